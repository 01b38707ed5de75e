//! What plan policies say about one plan. Pure.
//!
//! Takes texts, gives what follows from them. Never: a denial that is less than one.

use serde::{Deserialize, Serialize};

/// A policy as it was when it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPolicy {
    /// Its slug.
    pub id: String,
    /// When it was changed last, in Unix milliseconds.
    pub updated_at: i64,
}

/// What the plan policies of a stack say about a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanVerdict {
    /// Which were asked, in order of their slugs.
    pub asked: Vec<AskedPolicy>,
    /// Why the run may not go on, as sentences that name the policy.
    pub denials: Vec<String>,
    /// What a person should see first, as sentences that name the policy.
    pub warnings: Vec<String>,
}

/// What follows from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanSays {
    /// Nothing.
    Nothing,
    /// A person decides.
    Warns,
    /// The run fails.
    Denies,
}

impl PlanVerdict {
    /// What follows from it.
    pub fn says(&self) -> PlanSays {
        match (self.denials.is_empty(), self.warnings.is_empty()) {
            (false, _) => PlanSays::Denies,
            (true, false) => PlanSays::Warns,
            (true, true) => PlanSays::Nothing,
        }
    }

    /// Every sentence, denials first.
    pub fn lines(&self) -> Vec<String> {
        self.denials.iter().chain(&self.warnings).cloned().collect()
    }

    /// The sentences in one text for a note; none when nothing is said.
    pub fn note(&self) -> Option<String> {
        let lines = self.lines();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}
