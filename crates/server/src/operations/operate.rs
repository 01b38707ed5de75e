//! The handle for moving runs.
//!
//! Takes a stack and a run, gives the run afterwards. Whether it is allowed now is the domain's to say; what
//! is checked here is that the run belongs to the stack, and what is attached to it.

use std::sync::Arc;

use gantry_protocol::{RunId, RunState};

use super::deed::{self, By};
use super::{OperationError, door};
use crate::app::App;
use crate::auth::Principal;
use crate::clock::UnixMillis;
use crate::domain::{MetadataEntry, RunEvent};
use crate::policies::Opinion;
use crate::store::runs::{self, RunRecord};
use crate::store::{StoreError, Tx, pool_keys};

/// The most that a note may hold, in bytes.
const NOTE_LIMIT: usize = 4 * 1024;

/// Moves runs.
#[derive(Clone, Debug)]
pub struct Operate {
    pub(super) app: Arc<App>,
    pub(super) principal: Principal,
}

impl Operate {
    /// Accepts a plan.
    pub async fn confirm(
        &self,
        stack: &str,
        run: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        self.decide(stack, run, RunEvent::Confirm, None, metadata)
            .await
    }

    /// Drops a plan.
    pub async fn discard(
        &self,
        stack: &str,
        run: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        self.decide(stack, run, RunEvent::Discard, None, metadata)
            .await
    }

    /// Takes back a run that no launcher has.
    pub async fn cancel(
        &self,
        stack: &str,
        run: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        self.decide(stack, run, RunEvent::Cancel, None, metadata)
            .await
    }

    /// Asks the launcher to stop a run.
    pub async fn stop(
        &self,
        stack: &str,
        run: &str,
        note: Option<&str>,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        self.decide(stack, run, RunEvent::Stop, note, metadata)
            .await
    }

    async fn decide(
        &self,
        stack: &str,
        run: &str,
        event: RunEvent,
        note: Option<&str>,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        check_note(note)?;
        // Asked before the transaction: it may take seconds.
        let opinion = match event {
            RunEvent::Confirm => self.opinion(stack, run).await?,
            _ => None,
        };
        let mut tx = self.app.store.begin().await?;
        let (stack, before) = door::run(&mut tx, &self.principal, stack, run).await?;
        let run = before.run.id;
        if event == RunEvent::Confirm {
            self.check_holder(&stack)?;
            check_key(&mut tx, run).await?;
        }
        if let Some(opinion) = opinion
            && !opinion.still_holds(&mut tx).await?
        {
            // The state machine has better words where somebody else was faster.
            let refused = before.run.apply_by(&event, &self.principal.actor());
            refused.map_err(StoreError::from)?;
            return Err(StoreError::Raced { run }.into());
        }
        let by = self.principal.actor();
        if let Some(entry) = metadata {
            runs::add_metadata(&mut tx, run, entry).await?;
        }
        let applied = runs::apply(&mut tx, run, &event, &by, note, UnixMillis::now()).await?;
        let action = match event {
            RunEvent::Confirm => "run.confirm",
            RunEvent::Discard => "run.discard",
            RunEvent::Cancel => "run.cancel",
            _ => "run.stop",
        };
        self.record(&mut tx, action, run).await?;
        self.app.store.commit(tx).await?;
        Ok(applied.record)
    }

    /// What approval policies say about a run that waits for a confirm; the state machine has the words for
    /// those that don't.
    async fn opinion(&self, stack: &str, run: &str) -> Result<Option<Opinion>, OperationError> {
        let mut conn = self.app.store.read().await?;
        let (_, record) = door::run(&mut conn, &self.principal, stack, run).await?;
        drop(conn);
        match record.run.state {
            RunState::Unconfirmed => Ok(Some(self.approved(record.run.id).await?)),
            _ => Ok(None),
        }
    }

    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        action: &'static str,
        run: RunId,
    ) -> Result<(), StoreError> {
        let by = By(&self.app, &self.principal);
        deed::record(by, tx, (action, format!("run:{run}")), None).await
    }
}

/// A packed plan whose key is over would fail on any host: better said before the confirm.
pub(super) async fn check_key(tx: &mut Tx, run: RunId) -> Result<(), OperationError> {
    match pool_keys::of_workspace(tx, run).await? {
        Some(key) if !key.is_valid(UnixMillis::now()) => Err(OperationError::KeyOver {
            run: run.to_string(),
        }),
        _ => Ok(()),
    }
}

pub(super) fn check_note(note: Option<&str>) -> Result<(), OperationError> {
    match note {
        Some(note) if note.len() > NOTE_LIMIT => {
            let rule = "expected at most 4 KiB";
            Err(OperationError::input("note", note, rule))
        }
        _ => Ok(()),
    }
}
