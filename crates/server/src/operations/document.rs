//! What a run would be, for people who sign before it may happen.
//!
//! Takes the wish for a run, or a run that waits for its decision; gives the document. Never: a change.

use gantry_protocol::RunState;
use gantry_protocol::payload::Stage;

use super::{Operate, OperationError, TaskRequest, TriggerRequest, door};
use crate::clock::UnixMillis;
use crate::dispatch::Signable;
use crate::store::runs::{NewRun, RunRecord};

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
        let new = match wish {
            RunWish::Plan(wish) => self.planning(wish).await?,
            RunWish::Task(wish) => self.performing(wish).await?,
        };
        self.document_of_new(new, triggered_by).await
    }

    /// The document of the run that a retry of this one would make, triggered by `triggered_by` or the caller.
    pub async fn document_of_retry(
        &self,
        stack: &str,
        run: &str,
        triggered_by: Option<&str>,
    ) -> Result<Signable, OperationError> {
        let new = self.again(stack, run, None).await?;
        self.document_of_new(new, triggered_by).await
    }

    async fn document_of_new(
        &self,
        mut new: NewRun,
        triggered_by: Option<&str>,
    ) -> Result<Signable, OperationError> {
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
        let record = self.undecided(stack, run).await?;
        let dispatcher = &self.app.control.dispatcher;
        Ok(dispatcher.signable(&record, Stage::Apply).await??)
    }

    /// The document of a plan of these addresses that would take the place of the one this run waits with.
    pub async fn document_of_replan(
        &self,
        stack: &str,
        run: &str,
        targets: &[String],
    ) -> Result<Signable, OperationError> {
        super::replan::check(targets)?;
        let mut record = self.undecided(stack, run).await?;
        record.targets = targets.to_vec();
        let dispatcher = &self.app.control.dispatcher;
        Ok(dispatcher.signable(&record, Stage::Replan).await??)
    }

    /// A run that waits for its decision.
    async fn undecided(&self, stack: &str, run: &str) -> Result<RunRecord, OperationError> {
        let mut conn = self.app.store.read().await?;
        let (_, record) = door::run(&mut conn, &self.principal, stack, run).await?;
        match record.run.state {
            RunState::Unconfirmed => Ok(record),
            state => Err(OperationError::NothingToSign {
                run: run.to_owned(),
                state,
            }),
        }
    }
}
