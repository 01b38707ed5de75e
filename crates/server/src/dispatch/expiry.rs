//! Leases whose launcher fell silent.
//!
//! Takes the time, gives what became of each silent lease. Before a grant nothing happened that can't be
//! done again: the run goes back to where another launcher may take it. After a grant nobody may do it
//! again: contact is lost, the stack stays locked, and the late result of the same attempt is waited for
//! until the written grace is over. A time in which the server itself did not answer never counts.

use gantry_protocol::{Attempt, RunId, RunState};

use super::Dispatcher;
use crate::clock::UnixMillis;
use crate::domain::{Actor, RunEvent, Step};
use crate::store::leases::{self, LeaseRow, LeaseStanding};
use crate::store::{StoreError, Tx, inbox, launchers, runs};
use crate::tfstate;

/// What became of a silent lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// The run went back to this state.
    TakenBack(RunId, Attempt, RunState),
    /// The run was granted: its late result is waited for.
    ContactLost(RunId, Attempt),
    /// The wait is over: the run failed.
    GivenUp(RunId, Attempt),
}

impl Dispatcher {
    /// Ends leases that were not renewed in time, and waits that are over.
    ///
    /// # Errors
    /// When the database fails; what was decided before stays so.
    pub async fn expire(&self, now: UnixMillis) -> Result<Vec<Expired>, StoreError> {
        let awake = now.0 - self.awake_since().0;
        let mut expired = Vec::new();
        if awake >= self.terms.lease {
            let before = now.plus(-self.terms.lease);
            let silent = leases::silent(&mut *self.store.read().await?, before).await?;
            for lease in silent {
                expired.extend(self.lose(&lease, now).await?);
            }
        }
        if awake >= self.terms.grace {
            let before = now.plus(-self.terms.grace);
            let lost = leases::lost(&mut *self.store.read().await?, before).await?;
            for lease in lost {
                expired.extend(self.give_up(&lease, now).await?);
            }
        }
        Ok(expired)
    }

    async fn lose(&self, lease: &LeaseRow, now: UnixMillis) -> Result<Option<Expired>, StoreError> {
        let (run, attempt) = (lease.run, lease.attempt);
        let mut tx = self.store.begin().await?;
        // Renewed, or ended, between the look and the turn to write.
        let fresh = leases::find(&mut tx, run, attempt).await?;
        if fresh.as_ref() != Some(lease) {
            return Ok(None);
        }
        let note = format!("launcher {} was not heard of in time", lease.launcher);
        let event = RunEvent::LeaseLost(attempt);
        let applied = runs::apply(&mut tx, run, &event, &Actor::Server, Some(&note), now).await?;
        let outcome = match applied.step {
            Step::Entered(state) => {
                end(&mut tx, run, attempt, now).await?;
                tfstate::release(&mut tx, &applied.record, attempt).await?;
                Expired::TakenBack(run, attempt, state)
            }
            Step::ContactLost | Step::ContactRestored | Step::StopAsked => {
                leases::stand(&mut tx, run, attempt, LeaseStanding::Lost, now).await?;
                Expired::ContactLost(run, attempt)
            }
        };
        // It gets nothing new before it says again that it would take something.
        launchers::take_offer_back(&mut tx, lease.launcher).await?;
        self.store.commit(tx).await?;
        tracing::warn!(%run, %attempt, launcher = %lease.launcher, ?outcome, "lease lost");
        Ok(Some(outcome))
    }

    async fn give_up(
        &self,
        lease: &LeaseRow,
        now: UnixMillis,
    ) -> Result<Option<Expired>, StoreError> {
        let (run, attempt) = (lease.run, lease.attempt);
        let mut tx = self.store.begin().await?;
        let fresh = leases::find(&mut tx, run, attempt).await?;
        if fresh.as_ref() != Some(lease) {
            return Ok(None);
        }
        let minutes = self.terms.grace / 60_000;
        let mut note = format!(
            "contact with launcher {} was lost after the phase was granted, and no result came within {minutes} minutes: what was changed is not known",
            lease.launcher
        );
        let event = RunEvent::GraceOver(attempt);
        let applied = runs::apply(&mut tx, run, &event, &Actor::Server, Some(&note), now).await?;
        if let Some(left) = tfstate::release(&mut tx, &applied.record, attempt).await? {
            note = format!("{note}; {left}");
        }
        runs::add_note(&mut tx, run, &note).await?;
        end(&mut tx, run, attempt, now).await?;
        self.store.commit(tx).await?;
        tracing::error!(%run, %attempt, launcher = %lease.launcher, "a granted run was given up");
        Ok(Some(Expired::GivenUp(run, attempt)))
    }
}

async fn end(tx: &mut Tx, run: RunId, attempt: Attempt, now: UnixMillis) -> Result<(), StoreError> {
    leases::stand(tx, run, attempt, LeaseStanding::Ended, now).await?;
    inbox::withdraw(tx, run, attempt).await
}
