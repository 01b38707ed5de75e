//! Runs git under limits.
//!
//! Takes arguments and an environment, gives what git said. Never: an inherited variable, a child that
//! outlives the call, or output without a bound.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::environment::Environment;
use crate::workspace::{Bounds, Owner, tree_size};

/// Most bytes of each stream that are kept: the end of it.
const MAX_KEPT: usize = 64 << 10;

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// One call of git.
pub(super) struct Run<'a> {
    pub(super) arguments: &'a [String],
    pub(super) environment: &'a Environment,
    pub(super) directory: &'a Path,
    pub(super) owner: Owner,
    /// Directories that may not grow beyond the bounds, each.
    pub(super) watched: &'a [&'a Path],
    pub(super) bounds: Bounds,
    pub(super) limit: Duration,
}

/// How it ended.
pub(super) enum Outcome {
    Ended { ok: bool, out: String, err: Vec<u8> },
    TooLarge,
    TimedOut,
    NotStarted(io::Error),
}

/// Kills the whole process group (git starts helpers) when the call is over, however it ends.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left to kill is what it should be.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Run<'_> {
    /// Runs it; every piece of standard output goes through `on_output`, whose error means "too large".
    pub(super) async fn perform(
        &self,
        mut on_output: impl FnMut(&[u8]) -> Result<(), ()> + Send,
    ) -> Outcome {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => return Outcome::NotStarted(error),
        };
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let _group = Group(pid.and_then(rustix::process::Pid::from_raw));
        let work = communicate(&mut child, &mut on_output);
        tokio::select! {
            outcome = work => outcome,
            () = self.until_too_large() => Outcome::TooLarge,
            () = tokio::time::sleep(self.limit) => Outcome::TimedOut,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .args(self.arguments)
            .env_clear()
            .envs(
                self.environment
                    .variables()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if self.owner != Owner::own() {
            // Supplementary groups are dropped with this.
            command.uid(self.owner.uid).gid(self.owner.gid);
        }
        command
    }

    async fn until_too_large(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            for directory in self.watched {
                let (directory, bounds) = ((*directory).to_owned(), self.bounds);
                let fits = move || tree_size(&directory, bounds).is_some();
                if let Ok(false) = tokio::task::spawn_blocking(fits).await {
                    return;
                }
            }
        }
    }
}

async fn communicate(
    child: &mut Child,
    on_output: &mut (dyn FnMut(&[u8]) -> Result<(), ()> + Send),
) -> Outcome {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut fine = |_: &[u8]| Ok(());
    let (out, err) = tokio::join!(drain(out, on_output), drain(err, &mut fine));
    let (Ok(out), Ok(err)) = (out, err) else {
        return Outcome::TooLarge;
    };
    match child.wait().await {
        Ok(status) => Outcome::Ended {
            ok: status.success(),
            out: String::from_utf8_lossy(&out).into_owned(),
            err,
        },
        Err(error) => Outcome::NotStarted(error),
    }
}

/// Reads to the end, keeping the last [`MAX_KEPT`] bytes.
async fn drain(
    stream: Option<impl AsyncRead + Unpin>,
    on_chunk: &mut (dyn FnMut(&[u8]) -> Result<(), ()> + Send),
) -> Result<Vec<u8>, ()> {
    let Some(mut stream) = stream else {
        return Ok(Vec::new());
    };
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(kept),
            Ok(read) => {
                on_chunk(&buffer[..read])?;
                kept.extend_from_slice(&buffer[..read]);
                let excess = kept.len().saturating_sub(MAX_KEPT);
                kept.drain(..excess);
            }
        }
    }
}
