//! Whether a run that waits may go on.
//!
//! Takes a run, asks the approval policies of its stack, gives the decision and the moment that it is about.
//! What must never happen: a decision applied to a run that moved on, or to reviews that it has not seen.

use gantry_policy::PolicyKind;
use gantry_protocol::{RunId, RunState};
use serde_json::Value;
use ulid::Ulid;

use super::known::{OfRun, OfStack};
use super::{Judge, Said, asked, input};
use crate::clock::UnixMillis;
use crate::domain::{Actor, AskedPolicy, Gate, Review, RunEvent};
use crate::error::chain;
use crate::plans::PlanKeeperError;
use crate::store::reviews::{self, ReviewRow};
use crate::store::run_flags::{self, FlagsOf};
use crate::store::runs::{self, RunRecord};
use crate::store::stacks::{self, Stack};
use crate::store::{Conn, StoreError, policies};

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
    asked: Vec<AskedPolicy>,
    /// What they note about the run.
    flags: Vec<FlagsOf>,
    /// Why, as far as they say.
    notes: Vec<String>,
    record: RunRecord,
    newest: Option<Ulid>,
}

impl Opinion {
    /// Whether the run and its reviews are still those that the policies saw, and the policies those that are to be asked.
    pub async fn still_holds(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        let run = self.record.run.id;
        let same = runs::get(conn, run).await?.run == self.record.run;
        let newest = reviews::list(conn, run).await?.last().map(|row| row.id);
        let Some(stack) = stacks::find(conn, &self.record.run.stack).await? else {
            return Ok(false);
        };
        let now = policies::about(conn, &stack, PolicyKind::Approval).await?;
        Ok(same && newest == self.newest && asked(&now) == self.asked)
    }
}

impl Judge {
    /// What the stack's approval policies say about a run as it stands.
    ///
    /// # Errors
    /// When the database fails. A policy without an answer does not approve.
    pub async fn opinion(&self, run: RunId) -> Result<Opinion, StoreError> {
        let mut conn = self.store.read().await?;
        let record = runs::get(&mut conn, run).await?;
        let stack = stacks::get(&mut conn, &record.run.stack).await?;
        let to_ask = policies::about(&mut conn, &stack, PolicyKind::Approval).await?;
        let reviews = reviews::list(&mut conn, run).await?;
        let opinion = Opinion {
            decision: Decision::Approved,
            asked: asked(&to_ask),
            flags: Vec::new(),
            notes: Vec::new(),
            record,
            newest: reviews.last().map(|row| row.id),
        };
        // Most stacks have none: then no plan is opened.
        if to_ask.is_empty() {
            return Ok(opinion);
        }
        let document = self.told(&mut conn, &stack, &opinion.record, &reviews);
        // Boxed: what it holds would stand in the future of every request that may ask.
        let document = Box::pin(document).await?;
        drop(conn);
        let Some(document) = document else {
            let silent = to_ask.iter().map(|policy| policy.id.to_string()).collect();
            return Ok(Opinion {
                decision: Decision::Undecided(silent),
                ..opinion
            });
        };
        let said = self.ask(to_ask, &document).await?;
        Ok(Opinion {
            decision: together(&said),
            flags: said.iter().map(Said::flags).collect(),
            notes: notes(&said),
            ..opinion
        })
    }

    /// What the policies are told of a run; nothing where its plan can't be read.
    async fn told(
        &self,
        conn: &mut Conn,
        stack: &Stack,
        record: &RunRecord,
        reviews: &[ReviewRow],
    ) -> Result<Option<Value>, StoreError> {
        let of_stack = OfStack::find(conn, stack).await?;
        match OfRun::find(conn, &self.plans, record.clone()).await {
            Ok(of_run) => Ok(Some(input::approval(&of_run, (stack, &of_stack), reviews))),
            Err(PlanKeeperError::Store(error)) => Err(error),
            Err(error) => {
                let run = record.run.id;
                tracing::error!(%run, error = chain(&error), "the plan of a run that waits can't be read");
                Ok(None)
            }
        }
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
            for flags in &opinion.flags {
                run_flags::note(&self.store, &mut tx, run, flags).await?;
            }
            let now = UnixMillis::now();
            let note = opinion.note();
            let told = match opinion.follows(by) {
                Follows::Nothing => None,
                Follows::Opens => {
                    runs::open_gate(&mut tx, &opinion.record.run, now).await?;
                    note
                }
                Follows::Happens(event, by) => {
                    runs::apply(&mut tx, run, &event, &by, note.as_deref(), now).await?;
                    note
                }
            };
            if let Some(note) = told {
                runs::add_note(&mut tx, run, &note).await?;
            }
            return self.store.commit(tx).await;
        }
    }

    /// Asks about every run that an approval policy keeps in `QUEUED` or in review: after a start, and when policies or
    /// labels changed.
    pub async fn settle_waiting(&self) {
        let waiting = match self.store.read().await {
            Ok(mut conn) => waiting(&mut conn).await,
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
            self.settle_alone(run).await;
        }
    }

    /// Asks about a run that waits, without a review. Where that fails it goes on waiting.
    pub async fn settle_alone(&self, run: RunId) {
        if let Err(error) = self.settle(run, None).await {
            tracing::error!(%run, error = chain(&error), "could not ask who approves a run");
        }
    }
}

async fn waiting(conn: &mut Conn) -> Result<Vec<RunId>, StoreError> {
    let mut all = runs::behind_gate(conn).await?;
    all.extend(runs::in_review(conn).await?);
    Ok(all)
}

/// What a decision does to the run that it is about.
enum Follows {
    Nothing,
    /// It may leave `QUEUED`.
    Opens,
    /// This, by this one.
    Happens(RunEvent, Actor),
}

impl Opinion {
    /// `by` is who reviewed; without one the policies speak alone.
    fn follows(&self, by: Option<&Actor>) -> Follows {
        use Decision::{Approved, Rejected};
        use RunState::{PendingReview, Queued, Unconfirmed};
        let (event, by) = match (self.record.run.state, &self.decision, by) {
            (Queued, _, _) if self.record.gate == Gate::Open => return Follows::Nothing,
            (Queued, Approved, _) => return Follows::Opens,
            (Unconfirmed, Rejected(_), Some(by)) => (RunEvent::Discard, by.clone()),
            (PendingReview, Rejected(_), Some(by)) => {
                (RunEvent::Reviewed(Review::Reject), by.clone())
            }
            (PendingReview, Approved, Some(by)) => {
                (RunEvent::Reviewed(Review::Approve), by.clone())
            }
            (PendingReview, Approved, None) => (RunEvent::Approved, Actor::Server),
            (Queued | Unconfirmed | PendingReview, Rejected(_), _) => {
                (RunEvent::Rejected, Actor::Server)
            }
            _ => return Follows::Nothing,
        };
        Follows::Happens(event, by)
    }

    /// What people are told about it.
    fn note(&self) -> Option<String> {
        let why = self.notes.join("; ");
        match (&self.decision, why.is_empty()) {
            (Decision::Rejected(by), true) => Some(format!("rejected by {}", named(by))),
            (Decision::Rejected(by), false) => Some(format!("rejected by {}: {why}", named(by))),
            (Decision::Approved, false) => Some(format!("approved: {why}")),
            (Decision::Approved, true) | (Decision::Undecided(_), _) => None,
        }
    }
}

/// Whether a policy says a thing, with or without a reason.
fn says(said: &Said, rule: &str) -> bool {
    let Ok(answer) = &said.answer else {
        return false;
    };
    answer.flag(rule) || !answer.texts(&with_note(rule)).is_empty()
}

fn with_note(rule: &str) -> String {
    format!("{rule}_with_note")
}

/// The reasons of those who reject if any does, else of those who approve.
fn notes(all: &[Said]) -> Vec<String> {
    let rejected = all.iter().any(|said| says(said, "reject"));
    let rule = with_note(if rejected { "reject" } else { "approve" });
    let answers = all.iter().filter_map(|said| said.answer.as_ref().ok());
    answers
        .flat_map(|answer| answer.texts(&rule))
        .cloned()
        .collect()
}

/// All approve: approved. One rejects: rejected. Anything else waits, above all what has no answer.
fn together(all: &[Said]) -> Decision {
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
