//! What a requested stop did so far, and the sentence about it.
//!
//! Takes the stop's state and the phase, gives a message for the result. Must never happen here: a
//! sentence that claims more than is known (whether a lock was released only the tool's output says).

use gantry_protocol::socket::Phase;

use crate::planner::{StopNote, name};

/// Who asked for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The launcher, over the socket.
    Launcher,
    /// The container runtime, by signal.
    Container,
}

/// Whether and how a stop was requested. It only ever moves down this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Not at all.
    None,
    /// The one interrupt was sent to `what`, or nothing ran.
    Interrupted {
        /// Name of the command that got it.
        what: Option<String>,
        /// Who asked.
        cause: Cause,
    },
    /// Everything was killed.
    Killed {
        /// Name of the command that ran.
        what: Option<String>,
    },
}

impl Stop {
    /// The sentence for the run's result; `None` while no stop was requested. `phase` is the one that
    /// ran or was asked for.
    pub fn note(&self, phase: Option<Phase>) -> Option<StopNote> {
        let changes = phase.is_some_and(|phase| phase.state().needs_grant());
        let message = match self {
            Self::None => return None,
            Self::Interrupted { what, cause } => {
                let by = match cause {
                    Cause::Launcher => "a stop was requested",
                    Cause::Container => "the container was told to stop",
                };
                match what {
                    None => format!("{by} {}", between(phase)),
                    Some(what) => {
                        format!(
                            "{by}: `{what}` got one interrupt and has ended; {}",
                            after(changes)
                        )
                    }
                }
            }
            Self::Killed { what: None } => format!("the run was killed {}", between(phase)),
            Self::Killed { what: Some(what) } if changes => format!(
                "`{what}` was killed: what it changed may be missing in the state, and a state lock may still be held"
            ),
            Self::Killed { what: Some(what) } => {
                format!("`{what}` was killed: a state lock may still be held")
            }
        };
        Some(StopNote(message))
    }
}

fn between(phase: Option<Phase>) -> String {
    match phase {
        None => "before the run began".to_owned(),
        Some(phase) => format!("around {}, while no command ran", name(phase)),
    }
}

fn after(changes: bool) -> &'static str {
    if changes {
        "what it had begun may be half done, and its output says whether its state lock was released"
    } else {
        "its output says whether its state lock was released"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_was_cut() {
        let interrupted = |what: Option<&str>, cause| Stop::Interrupted {
            what: what.map(str::to_owned),
            cause,
        };
        let killed = |what: Option<&str>| Stop::Killed {
            what: what.map(str::to_owned),
        };
        let apply = Some("terraform apply");
        let table = [
            (
                interrupted(apply, Cause::Launcher),
                Some(Phase::Apply),
                "half done",
            ),
            (
                interrupted(apply, Cause::Container),
                Some(Phase::Apply),
                "container was told",
            ),
            (
                interrupted(Some("terraform plan"), Cause::Launcher),
                Some(Phase::Plan),
                "lock",
            ),
            (
                interrupted(None, Cause::Launcher),
                None,
                "before the run began",
            ),
            (
                killed(apply),
                Some(Phase::Apply),
                "may be missing in the state",
            ),
            (killed(None), Some(Phase::Apply), "around apply"),
        ];
        for (stop, phase, part) in table {
            let StopNote(message) = stop.note(phase).unwrap();
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(Stop::None.note(Some(Phase::Apply)), None);
    }
}
