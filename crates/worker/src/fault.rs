//! Everything that can go wrong within a phase, in the three forms that others need.
//!
//! Takes a cause, gives the phase's exit, the run's failure, and the line for the log when nobody else
//! printed one. Never: deciding what follows from it.

use gantry_protocol::socket::{FailureKind, PhaseExit};

use crate::hooks::HookError;
use crate::planner::Failure;
use crate::process::Exit;
use crate::process::query::words;

/// Why a phase did not succeed.
#[derive(Debug)]
pub struct Fault {
    /// The phase's exit.
    pub exit: PhaseExit,
    /// The run's failure.
    pub failure: Failure,
    /// What the log has to say; `None` when the command said it itself.
    pub line: Option<String>,
}

impl Fault {
    /// The tool or the task ended badly. Exit codes come with the tool's own words in the log.
    pub fn ended(what: String, exit: Exit, rescued: Option<String>) -> Self {
        let rescue = rescued.map(|file| {
            format!("; it could not save its state and left it in `{file}`, which has to be pushed by hand")
        });
        let message = format!("`{what}` {}{}", words(exit), rescue.unwrap_or_default());
        let line = match exit {
            Exit::Code(_) => None,
            Exit::Signal(_) => Some(message.clone()),
        };
        Self {
            exit: phase_exit(what, exit),
            failure: Failure {
                kind: FailureKind::Tool,
                message,
            },
            line,
        }
    }

    /// Something could not begin.
    pub fn not_started(
        what: impl Into<String>,
        kind: FailureKind,
        reason: impl Into<String>,
    ) -> Self {
        let (what, reason) = (what.into(), reason.into());
        let message = format!("`{what}` did not start: {reason}");
        Self {
            line: Some(message.clone()),
            failure: Failure { kind, message },
            exit: PhaseExit::NotStarted { what, reason },
        }
    }

    /// The same, with the cause that tools tell badly or not at all.
    #[must_use]
    pub fn on_full_disk(mut self) -> Self {
        const FULL: &str =
            "no space left on the disk of the run's workspace, free some on the launcher's host";
        let and_full = |text: String| format!("{text}; {FULL}");
        self.line = Some(self.line.map_or_else(|| FULL.to_owned(), and_full));
        self.failure.message = and_full(self.failure.message);
        self
    }

    /// A stop was requested before `what` began. The run's end tells the rest.
    pub fn stopped(what: impl Into<String>) -> Self {
        let fault = Self::not_started(what, FailureKind::Internal, "a stop was requested");
        Self {
            line: None,
            ..fault
        }
    }
}

impl From<HookError> for Fault {
    fn from(error: HookError) -> Self {
        match error {
            HookError::Failed { what, exit } => {
                let message = format!("hook `{what}` {}", words(exit));
                Self {
                    exit: phase_exit(what, exit),
                    line: Some(message.clone()),
                    failure: Failure {
                        kind: FailureKind::Hook,
                        message,
                    },
                }
            }
            HookError::Left { what } => {
                let message = format!(
                    "hook `{what}` ended the shell that it shares with its phase; leave out its `exit` or put it in parentheses"
                );
                Self {
                    exit: PhaseExit::Code { what, code: 0 },
                    line: Some(message.clone()),
                    failure: Failure {
                        kind: FailureKind::Hook,
                        message,
                    },
                }
            }
            HookError::NotStarted { what, reason } => {
                Self::not_started(what, FailureKind::Hook, reason)
            }
            HookError::Stopped { what } => Self::stopped(what),
        }
    }
}

fn phase_exit(what: String, exit: Exit) -> PhaseExit {
    match exit {
        Exit::Code(code) => PhaseExit::Code { what, code },
        Exit::Signal(signal) => PhaseExit::Signal { what, signal },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_repeats_nothing_that_the_tool_said() {
        let code = Fault::ended("terraform plan".into(), Exit::Code(1), None);
        assert_eq!(code.line, None);
        assert_eq!(
            code.failure.message,
            "`terraform plan` ended with exit code 1"
        );
        let signal = Fault::ended("terraform plan".into(), Exit::Signal(9), None);
        assert_eq!(
            signal.line.as_deref(),
            Some("`terraform plan` was ended by signal 9")
        );
        let rescued = Some("source/errored.tfstate".to_owned());
        let lost = Fault::ended("terraform apply".into(), Exit::Code(1), rescued);
        assert!(lost.failure.message.contains("`source/errored.tfstate`"));
    }

    #[test]
    fn a_full_disk_is_named_besides() {
        let silent = Fault::ended("terraform plan".into(), Exit::Code(1), None).on_full_disk();
        assert!(silent.line.unwrap().starts_with("no space left"));
        let told = Fault::not_started("x", FailureKind::Workspace, "y").on_full_disk();
        assert!(told.line.unwrap().contains("; no space left"));
        assert!(told.failure.message.contains("; no space left"));
    }

    #[test]
    fn a_hook_is_named() {
        let what = || "before_plan[1]".to_owned();
        let failed = Fault::from(HookError::Failed {
            what: what(),
            exit: Exit::Code(3),
        });
        assert_eq!(
            failed.exit,
            PhaseExit::Code {
                what: what(),
                code: 3
            }
        );
        assert_eq!(
            failed.line.as_deref(),
            Some("hook `before_plan[1]` ended with exit code 3")
        );
        assert_eq!(failed.failure.kind, FailureKind::Hook);
        let left = Fault::from(HookError::Left { what: what() });
        assert!(left.failure.message.contains("ended the shell"));
        let stopped = Fault::from(HookError::Stopped { what: what() });
        assert_eq!(stopped.line, None);
    }
}
