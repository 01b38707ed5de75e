//! Doing again what did not work.
//!
//! Takes a run that ended without success, gives a new run of the same commit and command under the stack's
//! settings of now. Never: what users attached to the old run, for a signature is about one run.

use super::{Operate, OperationError, door};
use crate::domain::MetadataEntry;
use crate::store::runs::{NewRun, RunRecord};

impl Operate {
    /// Makes a run like one that failed, was stopped, canceled, discarded or skipped.
    pub async fn retry(
        &self,
        stack: &str,
        run: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<RunRecord, OperationError> {
        self.create(self.again(stack, run, metadata).await?).await
    }

    /// The run that a retry would make now.
    pub(super) async fn again(
        &self,
        stack: &str,
        run: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<NewRun, OperationError> {
        let stack = self.stack(stack).await?;
        let mut conn = self.app.store.read().await?;
        let (_, old) = door::run(&mut conn, &self.principal, stack.id.as_str(), run).await?;
        drop(conn);
        if !old.run.can_be_retried() {
            return Err(OperationError::NotRetried {
                run: old.run.id,
                state: old.run.state,
            });
        }
        if old.settings.archive.is_some() {
            return Err(OperationError::FilesGone { run: old.run.id });
        }
        let run = self.queued(&stack, old.run.run_type, old.run.task_init);
        let new = self.new_run(&stack, run, old.title, old.commit, old.command, metadata)?;
        self.settled(&stack, new, None).await
    }
}
