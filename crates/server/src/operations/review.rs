//! What reviewers say about runs that wait.
//!
//! Takes a decision of a person, keeps it, asks the approval policies what follows from it. Never: a review of a
//! run that waits for nobody.

use gantry_protocol::{RunId, RunState};
use ulid::Ulid;

use super::operate::check_note;
use super::{Operate, OperationError, door};
use crate::auth::Principal;
use crate::clock::UnixMillis;
use crate::domain::{Gate, MetadataEntry, Review};
use crate::policies::{Decision, Opinion};
use crate::store::reviews::{self, ReviewRow};
use crate::store::runs::{self, RunRecord};
use crate::store::{Conn, StoreError};

impl Operate {
    /// Approves or rejects a run that waits; without a run, the one that holds the stack's lock.
    pub async fn review(
        &self,
        stack: &str,
        run: Option<&str>,
        (decision, note): (Review, Option<&str>),
        metadata: Option<&MetadataEntry>,
    ) -> Result<Ulid, OperationError> {
        check_note(note)?;
        let mut tx = self.app.store.begin().await?;
        let record = reviewed(&mut tx, &self.principal, stack, run).await?;
        let id = record.run.id;
        let review = ReviewRow {
            id: self.app.store.new_id(),
            run: id,
            state: record.run.state,
            version: record.run.version,
            decision,
            note: note.unwrap_or_default().to_owned(),
            author_id: self.principal.id().to_owned(),
            author: self.principal.name().to_owned(),
            role: self.principal.role(),
            given_at: UnixMillis::now(),
        };
        reviews::insert(&mut tx, &review).await?;
        if let Some(entry) = metadata {
            runs::add_metadata(&mut tx, id, entry).await?;
        }
        self.record(&mut tx, "run.review", id).await?;
        self.app.store.commit(tx).await?;
        let by = self.principal.actor();
        self.app.judge.settle(id, Some(&by)).await?;
        Ok(review.id)
    }

    /// The opinion that lets a run go on, or who keeps it.
    pub(super) async fn approved(&self, run: RunId) -> Result<Opinion, OperationError> {
        let opinion = self.app.judge.opinion(run).await?;
        match &opinion.decision {
            Decision::Approved => Ok(opinion),
            Decision::Rejected(by) | Decision::Undecided(by) => Err(OperationError::NotApproved {
                run,
                by: crate::policies::named(by),
            }),
        }
    }

    /// Asks the approval policies about a run that was just made. It stays in `QUEUED` if they can't be asked now.
    pub(super) async fn ask_approval(&self, record: RunRecord) -> Result<RunRecord, StoreError> {
        if record.gate == Gate::Open {
            return Ok(record);
        }
        let run = record.run.id;
        self.app.judge.settle_alone(run).await;
        runs::get(&mut *self.app.store.read().await?, run).await
    }
}

async fn reviewed(
    conn: &mut Conn,
    who: &Principal,
    stack: &str,
    run: Option<&str>,
) -> Result<RunRecord, OperationError> {
    let record = match run {
        Some(run) => door::run(conn, who, stack, run).await?.1,
        None => {
            let stack = door::stack(conn, who, stack).await?.id;
            let holder = runs::lock_holder(conn, &stack).await?;
            holder.ok_or_else(|| OperationError::NoBlocker {
                stack: stack.to_string(),
            })?
        }
    };
    match record.run.state {
        RunState::Unconfirmed | RunState::PendingReview => Ok(record),
        RunState::Queued if record.gate == Gate::Closed => Ok(record),
        state => Err(OperationError::NotReviewed {
            run: record.run.id,
            state,
        }),
    }
}
