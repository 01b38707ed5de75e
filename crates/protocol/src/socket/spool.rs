//! What stands in the spool directory: facts in `events`, log bytes in segment files.
//!
//! `events` holds one JSON [`Fact`] per line, appended with one `write` each. A log *section* is the output
//! of one phase, numbered from 1 in order of [`Fact::Entered`]. Its bytes stand in files named by
//! [`segment_name`]: section and raw offset of the first byte. A missing range between two segments was
//! dropped (disk budget) and is shown as a gap marker of exactly that size. The launcher unlinks segments
//! that are acknowledged.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::run::RunState;

/// File of facts within the spool.
pub const EVENTS: &str = "events";

/// Longest accepted line of [`EVENTS`] in bytes.
pub const MAX_FACT: usize = 256 << 10;

/// A segment is closed and the next begun at this size in bytes.
pub const SEGMENT: u64 = 4 << 20;

/// A part of a run with its own log section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The tool's init and its hooks.
    Init,
    /// The tool's plan and its hooks.
    Plan,
    /// The tool's apply and its hooks.
    Apply,
    /// The task's command and its hooks.
    Perform,
    /// The tool's destroy and its hooks.
    Destroy,
}

impl Phase {
    /// Whether this phase changes the world.
    pub fn writes(self) -> bool {
        self.state().needs_grant()
    }

    /// The run state in which this phase runs.
    pub fn state(self) -> RunState {
        match self {
            Self::Init => RunState::Initializing,
            Self::Plan => RunState::Planning,
            Self::Apply => RunState::Applying,
            Self::Perform => RunState::Performing,
            Self::Destroy => RunState::Destroying,
        }
    }
}

/// One thing that happened in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fact {
    /// A phase began; its log is `section`.
    Entered {
        /// Numbered from 1, one more each time.
        section: u32,
        /// Which phase.
        phase: Phase,
    },
    /// A phase ended and its section will grow no more.
    Left {
        /// The section.
        section: u32,
        /// Raw length of the section in bytes.
        end: u64,
        /// How the phase ended.
        exit: PhaseExit,
    },
    /// The plan was made.
    Planned(PlanSummary),
    /// Always last. The process exits with [`WorkerEnd::exit_code`], and both have to agree.
    Finished(WorkerEnd),
}

/// How a phase ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "exit", rename_all = "snake_case", deny_unknown_fields)]
pub enum PhaseExit {
    /// All commands succeeded.
    Ok,
    /// A command ended with this code.
    Code {
        /// What failed: the tool's or the hook's name, such as `before_init[0]` or `terraform plan`.
        what: String,
        /// Its exit code.
        code: i32,
    },
    /// A command was ended by this signal.
    Signal {
        /// What.
        what: String,
        /// The signal's number.
        signal: i32,
    },
    /// A command could not be started.
    NotStarted {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
}

/// What a plan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSummary {
    /// Whether anything (resources or outputs) would change.
    pub has_changes: bool,
    /// Resources to create.
    pub add: u32,
    /// Resources to change in place.
    pub change: u32,
    /// Resources to destroy (a replacement counts as one `add` and one `delete`).
    pub delete: u32,
    /// SHA-256 of the plan file.
    pub plan: Option<Digest>,
    /// SHA-256 of the tool's rendering of the plan, as people read it.
    pub rendered: Option<Digest>,
}

/// How the worker's work ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkerEnd {
    /// Everything that was asked for was done.
    Succeeded,
    /// A plan with changes waits for a decision; the workspace has to be packed.
    Parked,
    /// Something failed.
    Failed {
        /// Which kind of thing.
        kind: FailureKind,
        /// One sentence that names the thing and what to do.
        message: String,
    },
    /// A stop was honoured.
    Stopped {
        /// What was interrupted and what may be left behind (a lock, a partial apply).
        message: String,
    },
}

/// Kinds of failure in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A hook failed.
    Hook,
    /// The tool or the task's command failed.
    Tool,
    /// The tool is not in the image, or is another one or another version than asked for.
    ToolMissing,
    /// The launcher denied the phase.
    Denied,
    /// The workspace is not as it has to be (no source, no plan file).
    Workspace,
    /// The worker itself failed.
    Internal,
}

impl WorkerEnd {
    /// Exit code of the worker process for this end.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Parked => 10,
            Self::Failed { .. } => 20,
            Self::Stopped { .. } => 30,
        }
    }
}

/// File name of the segment of `section` whose first byte has raw offset `start`.
pub fn segment_name(section: u32, start: u64) -> String {
    format!("log-{section:05}-{start:020}")
}

/// Section and start offset that a segment's file name tells; `None` for any other name.
pub fn parse_segment_name(name: &str) -> Option<(u32, u64)> {
    let (section, start) = name.strip_prefix("log-")?.split_once('-')?;
    let parsed = (section.parse().ok()?, start.parse().ok()?);
    (segment_name(parsed.0, parsed.1) == name).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segment_names_round_trip(section: u32, start: u64) {
            let name = segment_name(section, start);
            prop_assert_eq!(parse_segment_name(&name), Some((section, start)));
        }

        #[test]
        fn other_names_are_no_segments(name in "\\PC*") {
            if let Some((section, start)) = parse_segment_name(&name) {
                prop_assert_eq!(segment_name(section, start), name);
            }
        }
    }
}
