//! What a policy said, or why it said nothing.
//!
//! Takes nothing; plain types. Never: an error that reads as an empty answer ([`Verdict::of`] makes it a denial).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the rules of a policy said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Values of rules that are texts, sorted; every such rule of the kind is there.
    pub texts: BTreeMap<String, Vec<String>>,
    /// Values of rules that are flags; every such rule of the kind is there.
    pub flags: BTreeMap<String, bool>,
    /// Lines of `print`, with their places.
    pub prints: Vec<String>,
    /// How long parsing and checking took.
    pub compiled_in: Duration,
    /// How long the rules took.
    pub evaluated_in: Duration,
}

impl Evaluation {
    /// Texts of `rule`; empty for a rule that is none of the kind's.
    pub fn texts(&self, rule: &str) -> &[String] {
        self.texts.get(rule).map_or(&[], Vec::as_slice)
    }

    /// Whether `rule` is true; false for a rule that is none of the kind's.
    pub fn flag(&self, rule: &str) -> bool {
        self.flags.get(rule).copied().unwrap_or_default()
    }
}

/// Why there is no answer. No text here holds a line of the policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalError {
    /// The engine or one of its functions refused.
    #[error("line {line} of policy `{policy}`: {what}")]
    Failed {
        /// The policy's name.
        policy: String,
        /// Line in its text, from 1.
        line: u32,
        /// What went wrong.
        what: String,
    },
    /// The same where no line is known.
    #[error("policy `{policy}`: {what}")]
    FailedSomewhere {
        /// The policy's name.
        policy: String,
        /// What went wrong.
        what: String,
    },
    /// A rule has a value that it can't have.
    #[error("rule `{rule}` of policy `{policy}` has to be {expected}, and is {found}")]
    WrongType {
        /// The policy's name.
        policy: String,
        /// The rule.
        rule: String,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Its time is over.
    #[error("policy `{policy}` took longer than {} s", .limit.as_secs_f32())]
    TimedOut {
        /// The policy's name.
        policy: String,
        /// What it has.
        limit: Duration,
    },
    /// It needs more memory than it may have.
    #[error("policy `{policy}` needs more than {} MiB of memory", .limit >> 20)]
    OutOfMemory {
        /// The policy's name.
        policy: String,
        /// What it may have, in bytes.
        limit: u64,
    },
    /// What it is asked about is too large.
    #[error("the input document of policy `{policy}` has {bytes} bytes, more than {most}")]
    InputTooLarge {
        /// The policy's name.
        policy: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The evaluating process can't be started or talked to.
    #[error("the process for policy `{policy}` did not answer: {what}")]
    NoProcess {
        /// The policy's name.
        policy: String,
        /// Why.
        what: String,
    },
}

/// Whether something may go on.
#[must_use = "a denial that nobody looks at is no denial"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not, for these reasons. There is at least one.
    Denied {
        /// Texts for people.
        messages: Vec<String>,
    },
}

impl Verdict {
    /// From what the rule `deny` said; no answer is a denial.
    pub fn of(result: &Result<Evaluation, EvalError>) -> Self {
        match result {
            Ok(evaluation) if evaluation.texts("deny").is_empty() => Self::Allowed,
            Ok(evaluation) => Self::Denied {
                messages: evaluation.texts("deny").to_vec(),
            },
            Err(error) => Self::Denied {
                messages: vec![format!("{error}; what can't be decided is denied")],
            },
        }
    }

    /// Whether it may not.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}
