//! Reviews of runs in the API.

use async_graphql::{Enum, ID, SimpleObject};

use super::enums::RunState;
use crate::domain::Review;
use crate::store::reviews::ReviewRow;

/// A reviewer's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum RunReviewDecision {
    /// Go on.
    Approve,
    /// Don't.
    Reject,
}

/// A review that was taken.
#[derive(SimpleObject)]
pub(super) struct RunReview {
    pub(super) id: ID,
}

/// A review as the run shows it.
#[derive(SimpleObject)]
pub(super) struct RunReviewRecord {
    author: String,
    decision: RunReviewDecision,
    note: String,
    /// The state that the run was in.
    state: RunState,
    timestamp: i64,
}

impl From<RunReviewDecision> for Review {
    fn from(decision: RunReviewDecision) -> Self {
        match decision {
            RunReviewDecision::Approve => Self::Approve,
            RunReviewDecision::Reject => Self::Reject,
        }
    }
}

impl From<&ReviewRow> for RunReviewRecord {
    fn from(row: &ReviewRow) -> Self {
        Self {
            author: row.author.clone(),
            decision: match row.decision {
                Review::Approve => RunReviewDecision::Approve,
                Review::Reject => RunReviewDecision::Reject,
            },
            note: row.note.clone(),
            state: row.state.into(),
            timestamp: row.given_at.seconds(),
        }
    }
}
