//! How the process ends: one enum, one number each, also for scripts that read them.
//!
//! Takes a run's last state or an error, gives the code. Never: a code that changes its meaning.

use gantry_protocol::RunState;

/// What `--help` says about the codes.
pub const HELP: &str = "\
Exit codes:
  0  done; when a run was followed: it ended FINISHED
  1  an error
  2  wrong usage
  3  the run ended FAILED
  4  the run ended without doing its work: DISCARDED, CANCELED, STOPPED or SKIPPED
  5  the run waits for a decision (UNCONFIRMED or PENDING_REVIEW)
  6  not logged in, or not allowed";

/// The documented ends of the process. Wrong usage (2) is reported by the argument parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it says; a run that was followed ended `FINISHED`.
    Done,
    /// Any error without a code of its own.
    Error,
    /// The run ended `FAILED`.
    RunFailed,
    /// The run ended by a person or a condition before its work was done.
    RunEnded,
    /// The run waits for a person.
    RunWaits,
    /// No login, a wrong one, or one without the right.
    Unauthorized,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::RunFailed => 3,
            Self::RunEnded => 4,
            Self::RunWaits => 5,
            Self::Unauthorized => 6,
        }
    }

    /// How following a run ends in this state; `None` while it goes on by itself.
    pub fn of_run(state: RunState) -> Option<Self> {
        match state {
            RunState::Finished => Some(Self::Done),
            RunState::Failed => Some(Self::RunFailed),
            RunState::Discarded | RunState::Canceled | RunState::Stopped | RunState::Skipped => {
                Some(Self::RunEnded)
            }
            RunState::Unconfirmed | RunState::PendingReview => Some(Self::RunWaits),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let rows = [
            (Exit::Done, 0),
            (Exit::Error, 1),
            (Exit::RunFailed, 3),
            (Exit::RunEnded, 4),
            (Exit::RunWaits, 5),
            (Exit::Unauthorized, 6),
        ];
        for (exit, code) in rows {
            assert_eq!(exit.code(), code);
            assert!(
                HELP.contains(&format!("\n  {code}  ")),
                "{code} is not documented"
            );
        }
    }

    #[test]
    fn every_state_has_its_end() {
        for state in RunState::ALL {
            let end = Exit::of_run(state);
            assert!(
                end.is_some() || !state.is_terminal(),
                "{state} would be followed for ever"
            );
            if let Some(exit) = end {
                assert_eq!(exit == Exit::Done, state == RunState::Finished, "{state}");
                assert!(HELP.contains(state.as_str()), "{state} is not documented");
            }
        }
    }
}
