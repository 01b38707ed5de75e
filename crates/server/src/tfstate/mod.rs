//! Managed state: what a Terraform `http` backend asks for, per stack, with versions and one lock.
//!
//! Takes requests of attempts in a launcher's hands, gives the answers that the tool expects. Rights follow
//! the phase: any attempt may read, and lock and unlock for itself; only an attempt in a granted phase may
//! write. Every request may come again: the launcher repeats it until it is answered. Stored bytes are sealed
//! with the master key. Never: a write without its grant, two holders of the lock, an older state over a newer.

mod document;
mod entities;
mod lock;
mod outputs;
mod rollback;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use gantry_protocol::StackId;

pub use document::{Document, NotState};
pub use entities::{Entity, EntityDetail, Planned};
pub use lock::{LockAnswer, release};
pub use outputs::Output;
pub use rollback::Former;
pub use write::WriteAnswer;

use crate::blobs::{BlobError, Blobs};
use crate::store::tfstate::{self as rows, StateVersionRow};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

/// Largest accepted state in bytes.
pub const MAX_STATE: usize = 128 << 20;

/// The states of all stacks.
#[derive(Clone, Debug)]
pub struct StateKeeper {
    store: Arc<Store>,
    vault: Arc<Vault>,
    blobs: Arc<Blobs>,
}

/// Why a state can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object storage failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The stored state does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What came is not a state.
    #[error(transparent)]
    NotState(#[from] NotState),
}

impl StateKeeper {
    /// A keeper over the server's stores.
    pub fn new(store: Arc<Store>, vault: Arc<Vault>, blobs: Arc<Blobs>) -> Self {
        Self {
            store,
            vault,
            blobs,
        }
    }

    /// The newest state of a stack, exactly as the tool wrote it; nothing before the first write.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn read(&self, stack: &StackId) -> Result<Option<Bytes>, StateError> {
        let newest = rows::newest(&mut *self.store.read().await?, stack).await?;
        let Some(row) = newest else { return Ok(None) };
        Ok(Some(self.open(stack, &row).await?))
    }

    /// A version of a stack's state, exactly as the tool wrote it; nothing where it does not exist (any more).
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn read_version(
        &self,
        stack: &StackId,
        version: u64,
    ) -> Result<Option<Bytes>, StateError> {
        let row = rows::version(&mut *self.store.read().await?, stack, version).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(self.open(stack, &row).await?))
    }

    /// What a version of a stack's state holds, without what is marked.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn entities(
        &self,
        stack: &StackId,
        row: &StateVersionRow,
        planned: Planned,
    ) -> Result<Vec<Entity>, StateError> {
        let bytes = self.open(stack, row).await?;
        // Reading a large state takes longer than other requests should wait for this thread.
        let read = tokio::task::spawn_blocking(move || entities::entities(&bytes, &planned)).await;
        Ok(read.expect("invariant: reading a state does not panic")?)
    }

    async fn open(&self, stack: &StackId, row: &StateVersionRow) -> Result<Bytes, StateError> {
        let sealed = self.blobs.get_bytes(&row.blob).await?;
        let plain = self.vault.open_bytes(&purpose(stack), &sealed)?;
        Ok(plain.into())
    }
}

fn purpose(stack: &StackId) -> String {
    format!("state of stack {stack}")
}
