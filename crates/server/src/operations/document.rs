//! What a run would be, for people who sign before it may happen.
//!
//! Takes the wish for a run, or a run that waits for its decision; gives the document. Never: a change.

use gantry_protocol::RunState;
use gantry_protocol::payload::Stage;

use super::{Operate, OperationError, TaskRequest, TriggerRequest, door};
use crate::clock::UnixMillis;
use crate::dispatch::Signable;

/// A run that does not exist yet.
#[derive(Clone, Debug)]
pub enum RunWish<'a> {
    /// One that plans.
    Plan(TriggerRequest<'a>),
    /// One command.
    Task(TaskRequest<'a>),
}

impl Operate {
    /// The document of a run as it would be if `triggered_by` (the caller otherwise) triggered it now.
    pub async fn document_of_wish(
        &self,
        wish: RunWish<'_>,
        triggered_by: Option<&str>,
    ) -> Result<Signable, OperationError> {
        let mut new = match wish {
            RunWish::Plan(wish) => self.planning(wish).await?,
            RunWish::Task(wish) => self.performing(wish).await?,
        };
        if let Some(name) = triggered_by {
            new.triggered_by = Some(name.to_owned());
        }
        let record = new.unsaved(UnixMillis::now());
        let dispatcher = &self.app.control.dispatcher;
        Ok(dispatcher.signable(&record, Stage::Start).await??)
    }

    /// The document of the apply that a confirm of this run would let happen.
    pub async fn document_of_run(
        &self,
        stack: &str,
        run: &str,
    ) -> Result<Signable, OperationError> {
        let mut conn = self.app.store.read().await?;
        let (_, record) = door::run(&mut conn, &self.principal, stack, run).await?;
        drop(conn);
        let state = record.run.state;
        if state != RunState::Unconfirmed {
            let run = run.to_string();
            return Err(OperationError::NothingToSign { run, state });
        }
        let dispatcher = &self.app.control.dispatcher;
        Ok(dispatcher.signable(&record, Stage::Apply).await??)
    }
}
