//! Run types, states and phases under their documented names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a run is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunType {
    /// A preview: plans, never applies, takes no lock.
    Proposed,
    /// A deployment: plans, waits for a decision (or not, with autodeploy), applies.
    Tracked,
    /// One command in the stack's environment.
    Task,
    /// A module's test case: plans, applies, destroys.
    Testing,
    /// Destroys what the stack manages.
    Destroy,
}

/// Where a run stands. The transitions live in the server's state machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunState {
    /// Blocked: waits for the stack's lock.
    Queued,
    /// May run: waits for a launcher.
    Ready,
    /// Handed to a launcher that verifies, pulls and fetches.
    Preparing,
    /// Handed to a launcher again after a confirm.
    PreparingApply,
    /// Handed to a launcher again for a targeted replan.
    PreparingReplan,
    /// The tool's init runs.
    Initializing,
    /// The tool's plan runs.
    Planning,
    /// A proposed run waits for an approval.
    PendingReview,
    /// A plan with changes waits for a decision.
    Unconfirmed,
    /// A replan of chosen addresses was asked for.
    ReplanRequested,
    /// Accepted: waits for a launcher.
    Confirmed,
    /// The tool's apply runs.
    Applying,
    /// A task's command runs.
    Performing,
    /// The tool's destroy runs.
    Destroying,
    /// Ended well.
    Finished,
    /// Ended badly.
    Failed,
    /// Ended by a person's stop.
    Stopped,
    /// Ended by a person's discard.
    Discarded,
    /// Taken back before it started.
    Canceled,
    /// Never started: a condition made it unnecessary.
    Skipped,
}

impl RunType {
    /// Every type.
    pub const ALL: [Self; 5] = [
        Self::Proposed,
        Self::Tracked,
        Self::Task,
        Self::Testing,
        Self::Destroy,
    ];

    /// The documented upper-case name, as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "PROPOSED",
            Self::Tracked => "TRACKED",
            Self::Task => "TASK",
            Self::Testing => "TESTING",
            Self::Destroy => "DESTROY",
        }
    }

    /// Whether a run of this type excludes others of its stack.
    pub fn takes_stack_lock(self) -> bool {
        self != Self::Proposed
    }
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 20] = [
        Self::Queued,
        Self::Ready,
        Self::Preparing,
        Self::PreparingApply,
        Self::PreparingReplan,
        Self::Initializing,
        Self::Planning,
        Self::PendingReview,
        Self::Unconfirmed,
        Self::ReplanRequested,
        Self::Confirmed,
        Self::Applying,
        Self::Performing,
        Self::Destroying,
        Self::Finished,
        Self::Failed,
        Self::Stopped,
        Self::Discarded,
        Self::Canceled,
        Self::Skipped,
    ];

    /// The documented upper-case name, as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Ready => "READY",
            Self::Preparing => "PREPARING",
            Self::PreparingApply => "PREPARING_APPLY",
            Self::PreparingReplan => "PREPARING_REPLAN",
            Self::Initializing => "INITIALIZING",
            Self::Planning => "PLANNING",
            Self::PendingReview => "PENDING_REVIEW",
            Self::Unconfirmed => "UNCONFIRMED",
            Self::ReplanRequested => "REPLAN_REQUESTED",
            Self::Confirmed => "CONFIRMED",
            Self::Applying => "APPLYING",
            Self::Performing => "PERFORMING",
            Self::Destroying => "DESTROYING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
            Self::Discarded => "DISCARDED",
            Self::Canceled => "CANCELED",
            Self::Skipped => "SKIPPED",
        }
    }

    /// Whether nothing can follow.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Failed
                | Self::Stopped
                | Self::Discarded
                | Self::Canceled
                | Self::Skipped
        )
    }

    /// Whether entering this state needs a grant: from here on the world outside may change.
    pub fn needs_grant(self) -> bool {
        matches!(self, Self::Applying | Self::Performing | Self::Destroying)
    }
}

macro_rules! text_enum {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let known = Self::ALL.into_iter().find(|value| value.as_str() == text);
                known.ok_or_else(|| UnknownName(text.chars().take(64).collect()))
            }
        }
    };
}

/// A text that names no run type or state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a known name")]
pub struct UnknownName(String);

text_enum!(RunType);
text_enum!(RunState);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_the_wire() {
        for state in RunState::ALL {
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("\"{state}\"")
            );
            assert_eq!(state.as_str().parse::<RunState>(), Ok(state));
        }
        for kind in RunType::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(kind.as_str().parse::<RunType>(), Ok(kind));
        }
    }
}
