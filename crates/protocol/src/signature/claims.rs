//! What a signature says besides the run: for which part of it, from when to when, once, for whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::Fields;
use crate::payload::Stage;
use crate::run::RunType;

/// The longest life that a signature may have, in seconds: it bounds replay on another launcher.
pub const LONGEST_LIFE: i64 = 24 * 3600;

/// Which part of a run a signature lets happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedPhase {
    /// The run up to its plan. Nothing may change.
    Plan,
    /// The plan and then its apply, whatever was planned: autodeploy, and module tests.
    PlanAndApply,
    /// The apply of one plan of one run.
    Apply,
    /// A task's command.
    Task,
}

impl SignedPhase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Plan, Self::PlanAndApply, Self::Apply, Self::Task];

    /// The one phase that a lease needs a signature for.
    pub fn of(run_type: RunType, stage: Stage, autodeploy: bool) -> Self {
        match (stage, run_type) {
            (Stage::Apply, _) => Self::Apply,
            (Stage::Replan, _) => Self::Plan,
            (Stage::Start, RunType::Task) => Self::Task,
            (Stage::Start, RunType::Testing) => Self::PlanAndApply,
            (Stage::Start, RunType::Proposed) => Self::Plan,
            (Stage::Start, RunType::Tracked | RunType::Destroy) if autodeploy => Self::PlanAndApply,
            (Stage::Start, RunType::Tracked | RunType::Destroy) => Self::Plan,
        }
    }

    /// Whether the world may change in it.
    pub fn changes(self) -> bool {
        self != Self::Plan
    }

    /// The name as in a signature.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::PlanAndApply => "plan_and_apply",
            Self::Apply => "apply",
            Self::Task => "task",
        }
    }
}

impl fmt::Display for SignedPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The payload of a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Version of these claims: 1.
    pub v: u32,
    /// When it was made, Unix seconds.
    pub iat: i64,
    /// When it ends, Unix seconds; at most [`LONGEST_LIFE`] after `iat`.
    pub exp: i64,
    /// Used once: 43 characters of base64url.
    pub jti: String,
    /// For whom: a launcher, a pool, or a name that launchers were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// For which part of the run.
    pub phase: SignedPhase,
    /// Every part of the run.
    pub fields: Fields,
}
