//! A process that a test started, with its log.
//!
//! Takes a command, gives a handle that ends the process when it is dropped. Never: a signal to a process
//! that this handle did not start.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_for;

/// Lines of a log that a failure shows.
const SHOWN: usize = 60;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// A child process whose output goes to a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where this process's part of the log begins, in bytes: the file is shared by restarts.
    from: u64,
    ended: Option<Exit>,
}

impl Process {
    /// Starts it; both streams are appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let out = File::options().append(true).create(true).open(log);
        command.stdout(out.expect("open a process's log"));
        Self::start_with_output(name, command, log)
    }

    /// Starts it with the command's own standard output; standard error is appended to `log`.
    pub fn start_with_output(name: &str, mut command: Command, log: &Path) -> Self {
        let out = File::options()
            .append(true)
            .create(true)
            .open(log)
            .expect("open a process's log");
        let from = out.metadata().expect("look at a process's log").len();
        command.stdin(Stdio::null()).stderr(out);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            from,
            ended: None,
        }
    }

    /// Whether it has not ended.
    pub fn running(&mut self) -> bool {
        self.exit().is_none()
    }

    /// How it ended, if it has.
    pub fn exit(&mut self) -> Option<Exit> {
        if self.ended.is_none() {
            let status = self.child.try_wait().expect("look at a child process");
            self.ended = status.map(Exit::from);
        }
        self.ended
    }

    /// SIGTERM.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it stands still with everything that it has open.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.child.wait().expect("wait for a killed process");
        self.ended.get_or_insert(status.into());
    }

    fn signal(&mut self, signal: Signal) {
        if self.exit().is_some() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("signal {}: {error}", self.name));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on for longer than `within`.
    pub fn wait_exit(&mut self, within: Duration) -> Exit {
        let what = format!("{} to end", self.name);
        let log = self.log.clone();
        wait_for(&what, within, || {
            self.exit()
                .ok_or_else(|| format!("it runs; the end of its log:\n{}", tail(&log)))
        })
    }

    /// Waits until this process (not one before it) has logged `text`.
    ///
    /// # Panics
    /// When it has not within the time, or ended without.
    pub fn wait_logged(&mut self, text: &str, within: Duration) {
        let what = format!("{} to log `{text}`", self.name);
        wait_for(&what, within, || {
            let ended = self.exit();
            if self.log_text().contains(text) {
                return Ok(());
            }
            assert!(
                ended.is_none(),
                "{what}: it ended with {ended:?}:\n{}",
                tail(&self.log)
            );
            Err(tail(&self.log))
        });
    }

    /// What this process has logged.
    pub fn log_text(&self) -> String {
        let bytes = fs::read(&self.log).expect("read a process's log");
        let from = usize::try_from(self.from)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // Ended between two looks is as good.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The last lines of a log file.
pub(crate) fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
