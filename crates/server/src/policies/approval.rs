//! Whether a run that waits may go on.
//!
//! Takes a run, asks the approval policies of its stack, gives the decision and the moment that it is about.
//! What must never happen: a decision applied to a run that moved on, or to reviews that it has not seen.

use gantry_policy::PolicyKind;
use gantry_protocol::{RunId, RunState};
use ulid::Ulid;

use super::{Judge, Said, input};
use crate::clock::UnixMillis;
use crate::domain::{Actor, Gate, Review, RunEvent};
use crate::error::chain;
use crate::store::runs::{self, RunRecord};
use crate::store::{Conn, StoreError, policies, reviews, stacks};

/// What the policies say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every policy approves and none rejects; so it is without any policy.
    Approved,
    /// These reject.
    Rejected(Vec<String>),
    /// These do not approve yet, or have no answer.
    Undecided(Vec<String>),
}

/// A decision and what it is about.
#[derive(Clone, Debug)]
pub struct Opinion {
    /// What the policies say.
    pub decision: Decision,
    /// How many policies were asked.
    pub asked: usize,
    record: RunRecord,
    newest: Option<Ulid>,
}

impl Opinion {
    /// Whether the run and its reviews are still those that the policies saw.
    pub async fn still_holds(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        let run = self.record.run.id;
        let same = runs::get(conn, run).await?.run == self.record.run;
        let newest = reviews::list(conn, run).await?.last().map(|row| row.id);
        Ok(same && newest == self.newest)
    }
}

impl Judge {
    /// What the stack's approval policies say about a run as it stands.
    ///
    /// # Errors
    /// When the database fails. A policy without an answer does not approve.
    pub async fn opinion(&self, run: RunId) -> Result<Opinion, StoreError> {
        let (record, asked, newest, document) = {
            let mut conn = self.store.read().await?;
            let record = runs::get(&mut conn, run).await?;
            let stack = stacks::get(&mut conn, &record.run.stack).await?;
            let asked = policies::about(&mut conn, &stack, PolicyKind::Approval).await?;
            let reviews = reviews::list(&mut conn, run).await?;
            let document = input::approval(&record, &stack, &reviews);
            (record, asked, reviews.last().map(|row| row.id), document)
        };
        let count = asked.len();
        let decision = match count {
            0 => Decision::Approved,
            _ => together(&self.ask(asked, &document).await?),
        };
        Ok(Opinion {
            decision,
            asked: count,
            record,
            newest,
        })
    }

    /// Asks about a run that waits, and does what follows: opens its gate, or ends it. `by` is the reviewer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle(&self, run: RunId, by: Option<&Actor>) -> Result<(), StoreError> {
        loop {
            let opinion = self.opinion(run).await?;
            let mut tx = self.store.begin().await?;
            if !opinion.still_holds(&mut tx).await? {
                // Somebody said more meanwhile.
                continue;
            }
            let state = opinion.record.run.state;
            let now = UnixMillis::now();
            let note = match &opinion.decision {
                Decision::Rejected(by) => format!("rejected by {}", named(by)),
                Decision::Approved | Decision::Undecided(_) => String::new(),
            };
            let event = match (state, &opinion.decision, by) {
                (RunState::Queued, Decision::Approved, _) => {
                    if opinion.record.gate == Gate::Open {
                        return Ok(());
                    }
                    runs::open_gate(&mut tx, &opinion.record.run, now).await?;
                    return self.store.commit(tx).await;
                }
                (RunState::Queued, Decision::Rejected(_), _) => (RunEvent::Rejected, Actor::Server),
                (RunState::Unconfirmed, Decision::Rejected(_), Some(by)) => {
                    (RunEvent::Discard, by.clone())
                }
                (RunState::PendingReview, Decision::Rejected(_), Some(by)) => {
                    (RunEvent::Reviewed(Review::Reject), by.clone())
                }
                (RunState::PendingReview, Decision::Approved, Some(by)) => {
                    (RunEvent::Reviewed(Review::Approve), by.clone())
                }
                _ => return Ok(()),
            };
            let (event, by) = event;
            let told = (!note.is_empty()).then_some(note.as_str());
            runs::apply(&mut tx, run, &event, &by, told, now).await?;
            if let Some(note) = told {
                runs::add_note(&mut tx, run, note).await?;
            }
            return self.store.commit(tx).await;
        }
    }

    /// Asks about every run that an approval policy keeps in `QUEUED`: after a start, and when policies changed.
    pub async fn settle_waiting(&self) {
        let waiting = match self.store.read().await {
            Ok(mut conn) => runs::behind_gate(&mut conn).await,
            Err(error) => Err(error),
        };
        let waiting = waiting.unwrap_or_else(|error| {
            tracing::error!(
                error = chain(&error),
                "could not look for runs that wait for approval"
            );
            Vec::new()
        });
        for run in waiting {
            if let Err(error) = self.settle(run, None).await {
                tracing::error!(%run, error = chain(&error), "could not ask who approves a run");
            }
        }
    }
}

/// All approve: approved. One rejects: rejected. Anything else waits, above all what has no answer.
fn together(all: &[Said]) -> Decision {
    let says = |said: &Said, rule: &str| said.answer.as_ref().is_ok_and(|a| a.flag(rule));
    let names = |which: &dyn Fn(&Said) -> bool| -> Vec<String> {
        let some = all.iter().filter(|said| which(said));
        some.map(|said| said.policy.id.to_string()).collect()
    };
    let rejecting = names(&|said| says(said, "reject"));
    if !rejecting.is_empty() {
        return Decision::Rejected(rejecting);
    }
    let silent = names(&|said| !says(said, "approve"));
    match silent.is_empty() {
        true => Decision::Approved,
        false => Decision::Undecided(silent),
    }
}

/// The policies' names for a sentence.
pub fn named(policies: &[String]) -> String {
    let quoted: Vec<String> = policies.iter().map(|id| format!("`{id}`")).collect();
    match policies.len() {
        1 => format!("policy {}", quoted.join(", ")),
        _ => format!("policies {}", quoted.join(", ")),
    }
}
