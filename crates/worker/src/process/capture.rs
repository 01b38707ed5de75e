//! Carries what the processes of a phase print into the spool.
//!
//! Takes one pipe that all of them write to, so that the order of their output is kept, gives raw bytes
//! to the spool in large chunks. Must never happen here: looking at lines, or a tool that blocks because
//! the spool's disk is full.

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

use crate::process::Processes;
use crate::spool::Spool;

/// Pipe and read size in bytes: the largest pipe that an unprivileged process may have.
const CHUNK: usize = 1 << 20;

/// How long a process that outlived its phase may go on printing before it is killed.
const STRAYS: Duration = Duration::from_millis(300);

/// How long the pipe may take to empty once everything that could write is dead.
const DRAIN: Duration = Duration::from_secs(5);

/// The output of one phase while it runs.
pub struct Capture {
    writer: PipeWriter,
    /// Dropped to tell the pump to stop once the pipe is empty.
    stop: PipeWriter,
    done: oneshot::Receiver<()>,
}

impl Capture {
    /// Starts the pump into the spool's open section.
    ///
    /// # Errors
    /// When a pipe or a thread can't be made.
    pub fn start(spool: Arc<Spool>) -> std::io::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        let (stopped, stop) = std::io::pipe()?;
        // A smaller pipe is slower, not wrong.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, CHUNK);
        let (tell, done) = oneshot::channel();
        let pump = std::thread::Builder::new().name("output".to_owned());
        pump.spawn(move || {
            pump_all(reader, &stopped, &spool);
            let _ = tell.send(());
        })?;
        Ok(Self { writer, stop, done })
    }

    /// Standard output and standard error for a process of the phase.
    ///
    /// # Errors
    /// When the pipe can't be duplicated.
    pub fn stdio(&self) -> std::io::Result<(Stdio, Stdio)> {
        let out = self.writer.try_clone()?;
        let err = self.writer.try_clone()?;
        Ok((out.into(), err.into()))
    }

    /// Writes a text of the worker's own, behind everything that was printed before.
    pub fn tell(&self, text: &str) {
        // The pump reads to the end; without it there is no log to write into.
        let _ = (&self.writer).write_all(text.as_bytes());
    }

    /// Ends the phase's output: what is printed already is kept, what still runs is killed.
    pub async fn finish(self, processes: &Processes) {
        let Self {
            writer,
            stop,
            mut done,
        } = self;
        drop(writer);
        let quiet = tokio::time::timeout(STRAYS, &mut done).await.is_ok();
        processes.kill_strays();
        if quiet || tokio::time::timeout(DRAIN, &mut done).await.is_ok() {
            return;
        }
        drop(stop);
        // The pump ends once nothing is left to read; an error means that it has ended before.
        let _ = done.await;
    }
}

/// Reads until the pipe's end, or until it is empty after `stopped` was closed.
fn pump_all(mut reader: PipeReader, stopped: &PipeReader, spool: &Spool) {
    let mut chunk = vec![0; CHUNK];
    while wait(&reader, stopped) {
        match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => spool.append(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Waits until there is something to read (or the pipe's end); false when there is not and `stopped`
/// was closed.
fn wait(reader: &PipeReader, stopped: &PipeReader) -> bool {
    loop {
        let mut fds = [
            PollFd::new(reader.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return fds[0].any().unwrap_or(true),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}
