//! The inbox: ordered, at-least-once, by long poll.

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, RunId};

/// Asks for messages and acknowledges earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Ids that are journaled; they are not sent again.
    pub acknowledge: Vec<u64>,
    /// Runs that this launcher would take now.
    pub free_slots: u32,
    /// How long to wait for a message, in seconds, at most 55.
    pub wait_seconds: u32,
    /// Why it takes no runs, when that is its own decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// Why a launcher takes no runs by its own decision; shown to people, trusted for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// It is well and waits: for room on its disks, for its end.
    Paused {
        /// Why, in one sentence.
        reason: String,
    },
    /// Something that it needs does not work.
    Unhealthy {
        /// What, in one sentence.
        reason: String,
    },
}

/// Messages in order; empty after the wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Oldest first. The same message may come again until it is acknowledged.
    pub messages: Vec<Message>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Grows with each message of this launcher.
    pub id: u64,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// What messages say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// A run was leased to this launcher.
    Run(Box<SealedRun>),
    /// A person asks to stop a run.
    Stop {
        /// The run.
        run: RunId,
        /// Its attempt.
        attempt: Attempt,
        /// What the person wrote; may be empty.
        note: String,
    },
    /// Take nothing new (`true`) or take runs again (`false`).
    Drain {
        /// Whether to drain.
        on: bool,
    },
    /// Drain, then exit 0 so that the supervisor starts a fresh process.
    Cycle,
    /// A message of a newer server: acknowledged, logged and left alone.
    #[serde(other)]
    Unknown,
}

/// A leased run: the signed envelope and what it seals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRun {
    /// [`super::envelope::EnvelopeClaims`] as JWS.
    pub envelope: String,
    /// The sealed [`crate::payload::RunPayload`], standard base64.
    pub sealed: String,
}
