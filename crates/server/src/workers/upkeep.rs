//! Tidying up after runs that have ended.
//!
//! Takes nothing, removes what nobody can use any more: packed workspaces of ended runs (they hold secrets,
//! sealed), and small log pieces that were left in the database. Never: anything of a run that may go on.

use super::control::Control;
use crate::logstore::LogError;
use crate::store::{StoreError, artifacts, logs};

/// Why upkeep stopped early; it goes on at its next turn.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object storage failed.
    #[error(transparent)]
    Objects(#[from] LogError),
}

impl Control {
    /// One turn of upkeep.
    ///
    /// # Errors
    /// See [`UpkeepError`]; what was done stays done.
    pub async fn upkeep(&self) -> Result<(), UpkeepError> {
        let spent = artifacts::spent_workspaces(&mut *self.store.read().await?).await?;
        for workspace in spent {
            // The object first: a row without an object is found again, an object without a row never.
            self.blobs
                .delete(&workspace.blob)
                .await
                .map_err(LogError::from)?;
            let mut tx = self.store.begin().await?;
            artifacts::drop_workspace(&mut tx, workspace.run, workspace.attempt).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        let left = logs::scattered(&mut *self.store.read().await?).await?;
        for (run, attempt) in left {
            self.logs.gather_attempt(run, attempt).await;
        }
        Ok(())
    }
}
