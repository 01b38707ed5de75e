//! Plans as data: kept sealed, read for policies and for people.
//!
//! Takes what launchers send, gives documents and what would change. What the tool marks as sensitive was taken out on
//! the host and is taken out here again. Never: a document in clear on the disk.

use std::sync::Arc;

use bytes::Bytes;
use gantry_protocol::plan::{MAX_DOCUMENT, PlanData, PlanError, in_document, in_value, redact};
use gantry_protocol::{Digest, RunId};
use serde_json::Value;

pub use gantry_protocol::plan::{ChangeKind, PlannedChange};

use crate::blobs::{BlobError, Blobs};
use crate::store::plans::{PlanContent, PlanRow};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

/// The plans of all runs.
#[derive(Clone, Debug)]
pub struct PlanKeeper {
    store: Arc<Store>,
    vault: Arc<Vault>,
    blobs: Arc<Blobs>,
}

/// Why a plan can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PlanKeeperError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object storage failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The stored plan does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What came is not a plan as data. Says nothing of its content.
    #[error("what was sent of the plan of run {run} is not a plan as data")]
    NotData {
        /// The run.
        run: RunId,
    },
    /// It is one, and no plan.
    #[error("the plan of run {run} can't be kept")]
    Plan {
        /// The run.
        run: RunId,
        /// Why.
        source: PlanError,
    },
    /// What was stored is not a document any more.
    #[error("the stored plan of run {run} is damaged")]
    Damaged {
        /// The run.
        run: RunId,
    },
}

/// A plan that is sealed and stored, and stands in no table yet.
#[derive(Debug)]
pub struct Prepared {
    /// SHA-256 of what was sent.
    pub digest: Digest,
    /// What is kept.
    pub content: PlanContent,
}

impl PlanKeeper {
    /// A keeper over the server's stores.
    pub fn new(store: Arc<Store>, vault: Arc<Vault>, blobs: Arc<Blobs>) -> Self {
        Self {
            store,
            vault,
            blobs,
        }
    }

    /// Seals and stores what a launcher sent, outside any transaction.
    ///
    /// # Errors
    /// [`PlanKeeperError`].
    pub async fn prepare(&self, run: RunId, sent: Bytes) -> Result<Prepared, PlanKeeperError> {
        let digest = Digest::of(&sent);
        let vault = Arc::clone(&self.vault);
        // Other requests should not wait for this thread.
        let made = tokio::task::spawn_blocking(move || sealed(&vault, run, &sent)).await;
        let content = match made.expect("invariant: sealing a plan does not panic")? {
            Sealed::Withheld(why) => PlanContent::Withheld(why),
            Sealed::Document { bytes, size } => {
                let blob = format!("plans/{run}/{}", self.store.new_id());
                self.blobs.put_bytes(&blob, bytes.into()).await?;
                PlanContent::Document { blob, size }
            }
        };
        Ok(Prepared { digest, content })
    }

    /// Removes the object of a plan that is not kept (any more).
    pub async fn discard(&self, content: &PlanContent) {
        if let PlanContent::Document { blob, .. } = content
            && let Err(error) = self.blobs.delete(blob).await
        {
            tracing::warn!(blob, %error, "could not remove an unused plan");
        }
    }

    /// The document of a plan and what it would change; nothing where it was withheld.
    ///
    /// # Errors
    /// [`PlanKeeperError`].
    pub async fn whole(
        &self,
        row: &PlanRow,
    ) -> Result<Option<(Value, Vec<PlannedChange>)>, PlanKeeperError> {
        let whole = |plain: &[u8]| {
            let document: Value = serde_json::from_slice(plain)?;
            let changes = in_value(&document)?;
            Ok((document, changes))
        };
        self.read(row, whole).await
    }

    /// What a plan would change; nothing where it was withheld.
    ///
    /// # Errors
    /// [`PlanKeeperError`].
    pub async fn changes(
        &self,
        row: &PlanRow,
    ) -> Result<Option<Vec<PlannedChange>>, PlanKeeperError> {
        self.read(row, in_document).await
    }

    /// Opens a plan and reads it, where other requests do not wait for it.
    async fn read<T: Send + 'static>(
        &self,
        row: &PlanRow,
        read: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Option<T>, PlanKeeperError> {
        let run = row.run;
        let Some(plain) = self.open(row).await? else {
            return Ok(None);
        };
        let read = tokio::task::spawn_blocking(move || read(&plain)).await;
        let read = read.expect("invariant: reading a plan does not panic");
        Ok(Some(read.map_err(|_| PlanKeeperError::Damaged { run })?))
    }

    async fn open(&self, row: &PlanRow) -> Result<Option<Vec<u8>>, PlanKeeperError> {
        let PlanContent::Document { blob, .. } = &row.content else {
            return Ok(None);
        };
        let sealed = self.blobs.get_bytes(blob).await?;
        Ok(Some(self.vault.open_bytes(&purpose(row.run), &sealed)?))
    }
}

enum Sealed {
    Document { bytes: Vec<u8>, size: u64 },
    Withheld(String),
}

fn sealed(vault: &Vault, run: RunId, sent: &[u8]) -> Result<Sealed, PlanKeeperError> {
    let data = serde_json::from_slice(sent).map_err(|_| PlanKeeperError::NotData { run })?;
    match data {
        PlanData::Withheld(why) => Ok(Sealed::Withheld(why.chars().take(1000).collect())),
        PlanData::Document(document) => {
            let redacted = redact(document.to_string().as_bytes(), MAX_DOCUMENT)
                .map_err(|source| PlanKeeperError::Plan { run, source })?;
            let size = redacted.bytes().len() as u64;
            let bytes = vault.seal_bytes(&purpose(run), redacted.bytes())?;
            Ok(Sealed::Document { bytes, size })
        }
    }
}

fn purpose(run: RunId) -> String {
    format!("plan of run {run}")
}
