//! Tidying up after runs that have ended.
//!
//! Takes nothing, removes what nobody can use any more: packed workspaces of ended runs (they hold secrets,
//! sealed), and small log pieces that were left in the database. Never: anything of a run that may go on.

use super::control::Control;
use crate::clock::UnixMillis;
use crate::logstore::LogError;
use crate::store::{StoreError, artifacts, local_workspaces, logs};

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
        self.drop_uploads().await?;
        let left = logs::scattered(&mut *self.store.read().await?).await?;
        for (run, attempt) in left {
            self.logs.gather_attempt(run, attempt).await;
        }
        Ok(())
    }

    /// Removes uploaded files whose run has ended, and those that nobody made a run of.
    async fn drop_uploads(&self) -> Result<(), UpkeepError> {
        let before = UnixMillis::now().plus(-local_workspaces::KEPT);
        let spent = local_workspaces::spent(&mut *self.store.read().await?, before).await?;
        for (id, blob) in spent {
            if let Some(blob) = blob {
                self.blobs.delete(&blob).await.map_err(LogError::from)?;
            }
            let mut tx = self.store.begin().await?;
            local_workspaces::drop(&mut tx, &id).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }
}
