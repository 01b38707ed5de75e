//! A run's place among others: promoted to a deployment, moved ahead in its pool's queue.
//!
//! Takes a stack and a run. Never: a deployment of files that were uploaded, or another order of one stack's own runs.

use gantry_protocol::RunType;

use super::{Operate, OperationError, door};
use crate::domain::{MetadataEntry, TaskInit, Urgency};
use crate::store::runs::{self, RunRecord};

impl Operate {
    /// Makes a deployment of the commit that a proposed run looked at.
    pub async fn promote(
        &self,
        stack: &str,
        run: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        let stack = self.stack(stack).await?;
        let mut conn = self.app.store.read().await?;
        let (_, old) = door::run(&mut conn, &self.principal, stack.id.as_str(), run).await?;
        drop(conn);
        let run_type = old.run.run_type;
        if run_type != RunType::Proposed {
            let run = old.run.id;
            return Err(OperationError::NotPromoted { run, run_type });
        }
        if old.settings.archive.is_some() {
            return Err(OperationError::FilesGone { run: old.run.id });
        }
        let short: String = old.commit.hash.chars().take(8).collect();
        let title = format!("Deployment of {} at {short}", old.commit.branch);
        let run = self.queued(&stack, RunType::Tracked, TaskInit::Run);
        let new = self.new_run(&stack, run, title, old.commit, None, metadata)?;
        self.create(self.settled(&stack, new, None).await?).await
    }

    /// Moves a run ahead in its pool's queue, or back to its place.
    pub async fn prioritise(
        &self,
        stack: &str,
        run: &str,
        urgency: Urgency,
    ) -> Result<RunRecord, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let (_, record) = door::run(&mut tx, &self.principal, stack, run).await?;
        let run = record.run.id;
        if record.run.state.is_terminal() {
            let state = record.run.state;
            return Err(OperationError::Over { run, state });
        }
        runs::set_urgency(&mut tx, run, urgency).await?;
        let action = match urgency {
            Urgency::Prioritised => "run.prioritize",
            Urgency::Normal => "run.deprioritize",
        };
        self.record(&mut tx, action, run).await?;
        let record = runs::get(&mut tx, run).await?;
        self.app.store.commit(tx).await?;
        Ok(record)
    }
}
