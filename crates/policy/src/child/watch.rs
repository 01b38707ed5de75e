//! The process around an evaluation that may run commands.
//!
//! Takes the evaluation's arguments, gives how it ended. Never: a process of a command that outlives it, also where the
//! evaluation itself was killed, ran out of memory or did not wait.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{WaitOptions, getpid, wait};

use super::{ARGUMENT, fence};
use crate::kin;

/// Added to a signal's number where the evaluation was killed by it.
pub(crate) const KILLED: i32 = 128;

/// Starts the evaluation with this process's own streams, and ends what it leaves behind.
pub(super) fn watch(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if fence::watcher().is_err() {
        return ExitCode::from(70);
    }
    let mut evaluation = Command::new("/proc/self/exe");
    let ended = evaluation.arg(ARGUMENT).args(arguments).status();
    kin::end_descendants(getpid());
    // All of them were killed: there is nothing to wait for long.
    while let Ok(Some(_)) = wait(WaitOptions::empty()) {}
    let code = ended
        .ok()
        .and_then(|ended| u8::try_from(number(ended)).ok());
    ExitCode::from(code.unwrap_or(71))
}

fn number(status: ExitStatus) -> i32 {
    let killed = status.signal().map(|signal| KILLED + signal);
    status.code().or(killed).unwrap_or(-1)
}
