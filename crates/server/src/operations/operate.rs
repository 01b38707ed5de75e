//! The handle for moving runs.
//!
//! Takes a stack and a run, gives the run afterwards. Whether it is allowed now is the domain's to say; what
//! is checked here is that the run belongs to the stack, and what is attached to it.

use std::sync::Arc;

use gantry_protocol::{RunId, StackId};

use super::OperationError;
use crate::app::App;
use crate::auth::Principal;
use crate::clock::UnixMillis;
use crate::domain::{MetadataEntry, RunEvent};
use crate::store::audit::{self, Deed};
use crate::store::runs::{self, RunRecord};
use crate::store::{StoreError, Tx, stacks};

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
        let stack: StackId = stack.parse()?;
        let run: RunId = run.parse()?;
        if let Some(note) = note.filter(|note| note.len() > NOTE_LIMIT) {
            return Err(OperationError::input(
                "note",
                note,
                "expected at most 4 KiB",
            ));
        }
        let mut tx = self.app.store.begin().await?;
        let before = runs::get(&mut tx, run).await?;
        if before.run.stack != stack {
            let (run, stack) = (run.to_string(), stack.to_string());
            return Err(OperationError::OtherStack { run, stack });
        }
        if event == RunEvent::Confirm {
            self.check_holder(&stacks::get(&mut tx, &stack).await?)?;
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

    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        action: &'static str,
        run: RunId,
    ) -> Result<(), StoreError> {
        let deed = Deed {
            actor: &self.principal.actor(),
            action,
            subject: format!("run:{run}"),
            detail: serde_json::json!({ "key": self.principal.id() }),
        };
        audit::record(&self.app.store, tx, deed).await
    }
}
