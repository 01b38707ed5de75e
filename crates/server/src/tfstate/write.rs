//! Writing a state: a new version, or the same one again.

use bytes::Bytes;
use gantry_protocol::{Attempt, Digest, RunId, StackId};

use super::document::Document;
use super::{StateError, StateKeeper, purpose};
use crate::clock::UnixMillis;
use crate::store::runs::RunRecord;
use crate::store::tfstate::{self as rows, StateLock, StateVersionRow};
use crate::store::{StoreError, Tx};

/// What becomes of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteAnswer {
    /// This is the newest version.
    Written {
        /// Counts per stack from 1.
        version: u64,
        /// Whether this write made it; a repeated one finds it there.
        fresh: bool,
    },
    /// Somebody else holds the lock: their description.
    Held(String),
    /// The lock that the write names is not held any more.
    LockGone,
    /// A newer state is there, or another one of the same serial.
    Outdated {
        /// The serial that is there.
        newest: u64,
        /// The serial that was sent.
        sent: u64,
    },
}

/// A state that is sealed and stored, and stands in no table yet.
#[derive(Debug)]
pub struct Prepared {
    document: Document,
    digest: Digest,
    size: u64,
    blob: String,
}

impl Prepared {
    /// Its row as the version after the newest, in the name of who wrote `former`.
    pub(super) fn row(
        &self,
        former: &StateVersionRow,
        version: u64,
        created_at: UnixMillis,
    ) -> StateVersionRow {
        StateVersionRow {
            version,
            serial: self.document.serial,
            digest: self.digest,
            size: self.size,
            blob: self.blob.clone(),
            created_at,
            ..former.clone()
        }
    }
}

impl StateKeeper {
    /// Seals and stores a state outside any transaction.
    ///
    /// # Errors
    /// [`StateError::NotState`] for anything else.
    pub async fn prepare(&self, stack: &StackId, body: &Bytes) -> Result<Prepared, StateError> {
        let document = Document::parse(body)?;
        let digest = Digest::of(body);
        // Sealing a large state takes longer than other requests should wait for this thread.
        let (vault, plain, what) = (self.vault.clone(), body.clone(), purpose(stack));
        let sealed = tokio::task::spawn_blocking(move || vault.seal_bytes(&what, &plain)).await;
        let sealed = sealed.expect("invariant: sealing does not panic")?;
        let blob = format!("states/{stack}/{}", self.store.new_id());
        self.blobs.put_bytes(&blob, sealed.into()).await?;
        Ok(Prepared {
            document,
            digest,
            size: body.len() as u64,
            blob,
        })
    }

    /// Makes a prepared state the newest, in the transaction in which the right to write was checked.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn write(
        &self,
        tx: &mut Tx,
        run: &RunRecord,
        attempt: Attempt,
        lock_id: Option<&str>,
        state: &Prepared,
    ) -> Result<WriteAnswer, StateError> {
        let stack = &run.run.stack;
        let newest = rows::newest(tx, stack).await?;
        if let Some(there) = &newest
            && there.digest == state.digest
        {
            return Ok(WriteAnswer::Written {
                version: there.version,
                fresh: false,
            });
        }
        let lock = rows::lock(tx, stack).await?;
        if let Some(answer) = refused_by_lock(lock, run.run.id, lock_id) {
            return Ok(answer);
        }
        let (sent, lineage) = (state.document.serial, &state.document.lineage);
        if let Some(there) = &newest
            && there.lineage == *lineage
            && there.serial >= sent
        {
            return Ok(WriteAnswer::Outdated {
                newest: there.serial,
                sent,
            });
        }
        let version = newest.map_or(1, |there| there.version + 1);
        let row = StateVersionRow {
            version,
            run: run.run.id,
            attempt,
            lineage: lineage.clone(),
            serial: sent,
            digest: state.digest,
            size: state.size,
            blob: state.blob.clone(),
            created_at: UnixMillis::now(),
        };
        rows::insert(tx, stack, &row).await?;
        Ok(WriteAnswer::Written {
            version,
            fresh: true,
        })
    }

    /// Removes the object of a write that was not taken, or was there before.
    pub async fn discard(&self, state: Prepared) {
        if let Err(error) = self.blobs.delete(&state.blob).await {
            tracing::warn!(blob = state.blob, %error, "could not remove an unused state object");
        }
    }

    /// Newest versions of a stack's state, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn versions(
        &self,
        stack: &StackId,
        limit: u32,
    ) -> Result<Vec<StateVersionRow>, StoreError> {
        rows::versions(&mut *self.store.read().await?, stack, limit).await
    }
}

fn refused_by_lock(
    lock: Option<StateLock>,
    run: RunId,
    named: Option<&str>,
) -> Option<WriteAnswer> {
    match (lock, named) {
        (None, None) => None,
        (None, Some(_)) => Some(WriteAnswer::LockGone),
        // A tool run with locking switched off, while its own run holds the lock, is the user's choice.
        (Some(held), named) if held.run == run && named.is_none_or(|id| id == held.id) => None,
        (Some(held), _) => Some(WriteAnswer::Held(held.info)),
    }
}
