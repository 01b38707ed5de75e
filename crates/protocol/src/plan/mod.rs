//! A plan as data that may leave its host: Terraform's JSON of a plan without what it marks as sensitive.
//!
//! Takes what `terraform show -json` prints of a plan, gives the same document in which every value that is marked,
//! and every one that could be marked in a place that is not known here, is [`HIDDEN`]. Worker, launcher and server
//! each do it again: done twice it is the same. Never: a marked value given out, a member that is not known here given
//! out as it came, or memory without a bound.
//!
//! [`PlanData`] is how the document, or the reason why there is none, travels.

mod changes;
mod document;
mod marks;
mod shape;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use changes::{ChangeKind, MAX_CHANGES, PlannedChange, digest_of, in_document, in_value};
pub use document::{Redacted, redact};

/// What stands in the place of a value that is not given out.
pub const HIDDEN: &str = "(sensitive value)";

/// File within the spool in which a worker leaves its plan's [`PlanData`].
pub const PLAN_DATA: &str = "plan.json";

/// Longest plan as the tool shows it that is read, in bytes.
pub const MAX_SHOWN: u64 = 32 << 20;

/// Longest redacted document in bytes.
pub const MAX_DOCUMENT: usize = 8 << 20;

/// Longest [`PlanData`] as JSON in bytes.
pub const MAX_PLAN_DATA: usize = MAX_DOCUMENT + (64 << 10);

/// Words that a document is read by. One in which any of them is hidden says something else than the plan did.
pub const WORDS: [&str; 22] = [
    "resource_changes",
    "resource_drift",
    "deferred_changes",
    "output_changes",
    "planned_values",
    "prior_state",
    "configuration",
    "variables",
    "format_version",
    "address",
    "previous_address",
    "provider_name",
    "change",
    "actions",
    "before",
    "after",
    "after_unknown",
    "create",
    "update",
    "delete",
    "forget",
    "no-op",
];

/// What leaves a host of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanData {
    /// The redacted document.
    Document(Value),
    /// There is none: why, in one sentence for people.
    Withheld(String),
}

/// Why there is no redacted document. Says nothing of the plan's content.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no plan, or one of a tool that is newer than what is known here.
    #[error(
        "what the tool shows of its plan is not the JSON of a plan that is known here (line {line}, column {column})"
    )]
    NotPlan {
        /// Where reading ended.
        line: usize,
        /// Where reading ended.
        column: usize,
    },
    /// Its format is another.
    #[error("the plan's JSON has format version {0}, which is not known here")]
    Format(String),
    /// It is too long without what is hidden.
    #[error("the plan's JSON has more than {} MiB without what is hidden", .0 >> 20)]
    TooLong(usize),
    /// The tool showed more than is read.
    #[error("the plan's JSON has more than {} MiB", .0 >> 20)]
    TooMuchShown(u64),
}
