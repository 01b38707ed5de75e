//! How the process ends, and how a chain of causes is printed.
//!
//! Takes errors, gives one line and an exit code. Never: a cause printed twice.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

/// How the process ends. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked, or stopped when it was asked to.
    Done,
    /// It could not start, or a command failed.
    Failed,
    /// The settings can't be used.
    BadConfig,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            // EX_USAGE of sysexits.h.
            Exit::BadConfig => 64,
        })
    }
}

/// The error and its causes, one after the other.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A transparent error repeats its cause's text.
        let next = error.to_string();
        if !text.ends_with(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not start")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Inner(#[from] std::io::Error);

    #[test]
    fn every_cause_is_said_once() {
        let error = Outer(Inner(std::io::Error::other("no disk")));
        assert_eq!(chain(&error), "could not start: no disk");
    }
}
