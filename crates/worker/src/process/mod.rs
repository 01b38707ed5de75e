//! Starts, reaps and signals processes.
//!
//! Takes commands, gives exits. Must never happen here: two interrupts in one run, a signal to a process
//! id that was reaped already, a start after a stop was requested, a zombie that stays.
//!
//! One lock covers starting, reaping and signalling: a process can't end up unknown between its start
//! and its entry, and can't be reaped between being looked up and being signalled.

pub mod capture;
pub mod query;
pub mod stop;

use std::collections::HashMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

pub use stop::{Cause, Stop};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A stop was requested before.
    #[error("a stop was requested before it started")]
    Stopped,
    /// The system refused.
    #[error("could not start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

/// What a process is for, which decides how a stop meets it.
#[derive(Clone, Debug)]
pub enum Role {
    /// The run's work under this name: gets the one interrupt, and does not start after a stop.
    Work(String),
    /// Beside the work (reading a plan, `after_run`): not interrupted, only killed.
    Aside,
}

/// A started process. Dropping it leaves the process alone.
#[derive(Debug)]
pub struct Running {
    exit: oneshot::Receiver<Exit>,
}

impl Running {
    /// Waits for the process's own end; what it started may live on.
    pub async fn exit(self) -> Exit {
        // The sender lives in the table until the reaper uses it; the table outlives every phase.
        self.exit
            .await
            .expect("invariant: the reaper answers for every started process")
    }
}

/// Every process of the run.
pub struct Processes {
    inner: Mutex<Inner>,
    /// Pid 1 owns its pid namespace: everything else in it belongs to the run.
    alone: bool,
    stop: watch::Sender<Stop>,
}

#[derive(Default)]
struct Inner {
    running: HashMap<i32, oneshot::Sender<Exit>>,
    work: Option<(i32, String)>,
    /// Process groups that were started, for when the worker is not pid 1.
    groups: Vec<Pid>,
}

impl Processes {
    /// The table, with its reaper running on the current runtime.
    ///
    /// # Errors
    /// When the handler for ended children can't be installed.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let processes = Arc::new(Self {
            inner: Mutex::new(Inner::default()),
            alone: nix::unistd::getpid().as_raw() == 1,
            stop: watch::Sender::new(Stop::None),
        });
        let mut ended = signal(SignalKind::child())?;
        let reaper = Arc::clone(&processes);
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                reaper.reap();
            }
        });
        Ok(processes)
    }

    /// Starts `command` in a process group of its own, without input.
    ///
    /// # Errors
    /// [`SpawnError`] when a stop forbids it or the system refuses.
    pub fn spawn(&self, command: &mut Command, role: Role) -> Result<Running, SpawnError> {
        command.stdin(Stdio::null()).process_group(0);
        let mut inner = self.lock();
        let stop = self.stop.borrow().clone();
        match (&role, stop) {
            (_, Stop::None) | (Role::Aside, Stop::Interrupted { .. }) => {}
            (Role::Work(_), Stop::Interrupted { .. }) | (_, Stop::Killed { .. }) => {
                return Err(SpawnError::Stopped);
            }
        }
        let child = command.spawn().map_err(|source| SpawnError::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
        let pid = child.id().cast_signed();
        let (tell, exit) = oneshot::channel();
        inner.running.insert(pid, tell);
        inner.groups.push(Pid::from_raw(pid));
        if let Role::Work(name) = role {
            inner.work = Some((pid, name));
        }
        Ok(Running { exit })
    }

    /// Sends the run's one interrupt to the work's own process. Later calls do nothing.
    pub fn interrupt(&self, cause: Cause) {
        let inner = self.lock();
        if *self.stop.borrow() != Stop::None {
            return;
        }
        let work = inner.work.clone();
        if let Some((pid, _)) = &work {
            // It is in the table, so it is not reaped: the id is still its own.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGINT);
        }
        let what = work.map(|(_, name)| name);
        self.stop.send_replace(Stop::Interrupted { what, cause });
    }

    /// Kills the work and everything around it.
    pub fn kill(&self) {
        let inner = self.lock();
        let what = match (&inner.work, &*self.stop.borrow()) {
            (Some((_, name)), _) => Some(name.clone()),
            (None, Stop::Interrupted { what, .. } | Stop::Killed { what }) => what.clone(),
            (None, Stop::None) => None,
        };
        self.stop.send_replace(Stop::Killed { what });
        self.kill_all(&inner.groups);
    }

    /// Kills whatever a phase left running.
    pub fn kill_strays(&self) {
        let groups = std::mem::take(&mut self.lock().groups);
        self.kill_all(&groups);
    }

    /// The stop as it stands.
    pub fn stop(&self) -> Stop {
        self.stop.borrow().clone()
    }

    /// Waits until a stop was requested.
    pub async fn stopped(&self) -> Stop {
        let mut watch = self.stop.subscribe();
        let stop = watch.wait_for(|stop| *stop != Stop::None).await;
        stop.map(|stop| stop.clone())
            .expect("invariant: the sender lives as long as the table")
    }

    fn kill_all(&self, groups: &[Pid]) {
        if self.alone {
            // From pid 1 this reaches every other process of the namespace, and not pid 1 itself.
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            return;
        }
        for group in groups {
            let _ = killpg(*group, Signal::SIGKILL);
        }
    }

    /// Reaps every ended child, adopted orphans included.
    fn reap(&self) {
        let mut inner = self.lock();
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            let Some(exit) = exit_of(status) else {
                continue;
            };
            if inner.work.as_ref().is_some_and(|(work, _)| *work == pid) {
                inner.work = None;
            }
            if let Some(tell) = inner.running.remove(&pid) {
                let _ = tell.send(exit);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exit_of(status: WaitStatus) -> Option<Exit> {
    let code = status.exit_status().map(Exit::Code);
    code.or_else(|| status.terminating_signal().map(Exit::Signal))
}
