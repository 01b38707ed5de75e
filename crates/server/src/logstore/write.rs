//! Storing pieces: objects for large ones, shared commits for all.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{LogError, LogStore, blob_name};
use crate::store::logs::{self, Place, Section, SectionId};
use crate::store::{Store, StoreError, Tx};

/// A piece of this size or more becomes an object of its own.
const LARGE: usize = 128 << 10;

/// Small pieces are gathered into an object when a section has this many bytes of them.
pub(super) const GATHER: u64 = 1 << 20;

/// Pieces of one commit at most; more would make a lease renewal wait noticeably.
const BATCH: usize = 256;

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Everything below this raw offset is durable.
    Stored(u64),
    /// The piece does not begin where the section ends, at this raw offset; nothing was stored.
    Gap(u64),
}

/// Commits pieces of all sections, as many at once as are waiting.
#[derive(Clone, Debug)]
pub(super) struct Committer {
    queue: mpsc::Sender<Piece>,
}

struct Piece {
    id: SectionId,
    range: Range<u64>,
    length: u64,
    place: Place,
    reply: oneshot::Sender<Result<Option<Section>, Arc<StoreError>>>,
}

impl LogStore {
    /// Stores the bytes that stand for the raw range `range` of a section.
    ///
    /// # Errors
    /// See [`LogError`]; on any error the piece may be sent again.
    pub async fn append(
        &self,
        id: SectionId,
        range: Range<u64>,
        bytes: Bytes,
    ) -> Result<Appended, LogError> {
        let stored = self.stored(id).await?;
        if range.end <= stored {
            return Ok(Appended::Stored(stored));
        }
        if range.start != stored {
            return Ok(Appended::Gap(stored));
        }
        let length = bytes.len() as u64;
        let place = if bytes.len() >= LARGE {
            let name = blob_name(&self.store, id, range.start);
            self.blobs.put_bytes(&name, bytes).await?;
            Place::Blob(name)
        } else {
            Place::Inline(bytes.to_vec())
        };
        let blob = match &place {
            Place::Blob(name) => Some(name.clone()),
            Place::Inline(_) => None,
        };
        let end = range.end;
        match self.committer.commit(id, range, length, place).await? {
            Some(section) => {
                self.gather_if_due(&section);
                Ok(Appended::Stored(section.raw_offset))
            }
            None => {
                // The same piece came twice at once and the other one won.
                self.drop_blob(blob).await;
                let stored = self.stored(id).await?;
                let done = end <= stored;
                Ok(if done {
                    Appended::Stored(stored)
                } else {
                    Appended::Gap(stored)
                })
            }
        }
    }

    /// How far a section is stored, as a raw offset.
    ///
    /// # Errors
    /// [`LogError::Unknown`] for a section that nobody opened.
    pub async fn stored(&self, id: SectionId) -> Result<u64, LogError> {
        let section = logs::find(&mut *self.store.read().await?, id).await?;
        Ok(section.ok_or(LogError::Unknown { id })?.raw_offset)
    }

    pub(super) async fn drop_blob(&self, name: Option<String>) {
        let Some(name) = name else { return };
        if let Err(error) = self.blobs.delete(&name).await {
            tracing::warn!(name, %error, "could not remove an unused log object");
        }
    }

    fn gather_if_due(&self, section: &Section) {
        if section.inline >= GATHER {
            let (logs, id) = (self.clone(), section.id);
            tokio::spawn(async move { logs.gather_quietly(id).await });
        }
    }
}

impl Committer {
    pub(super) fn start(store: Arc<Store>) -> Self {
        let (queue, pieces) = mpsc::channel(4 * BATCH);
        tokio::spawn(run(store, pieces));
        Self { queue }
    }

    async fn commit(
        &self,
        id: SectionId,
        range: Range<u64>,
        length: u64,
        place: Place,
    ) -> Result<Option<Section>, LogError> {
        let (reply, answer) = oneshot::channel();
        let piece = Piece {
            id,
            range,
            length,
            place,
            reply,
        };
        self.queue
            .send(piece)
            .await
            .map_err(|_| LogError::Stopped)?;
        answer
            .await
            .map_err(|_| LogError::Stopped)?
            .map_err(LogError::Batch)
    }
}

async fn run(store: Arc<Store>, mut pieces: mpsc::Receiver<Piece>) {
    let mut batch = Vec::with_capacity(BATCH);
    while pieces.recv_many(&mut batch, BATCH).await > 0 {
        match commit(&store, &batch).await {
            Ok(sections) => {
                for (piece, section) in batch.drain(..).zip(sections) {
                    // A sender that went away asks again and is told how far the section is.
                    let _ = piece.reply.send(Ok(section));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for piece in batch.drain(..) {
                    let _ = piece.reply.send(Err(Arc::clone(&error)));
                }
            }
        }
    }
}

async fn commit(store: &Store, batch: &[Piece]) -> Result<Vec<Option<Section>>, StoreError> {
    let mut tx: Tx = store.begin().await?;
    let mut sections = Vec::with_capacity(batch.len());
    for piece in batch {
        let range = piece.range.clone();
        let done = logs::append(&mut tx, piece.id, range, piece.length, &piece.place).await?;
        sections.push(done);
    }
    // Not through `Store::commit`: nobody who waits for changes of runs has to look because of log bytes.
    tx.commit().await?;
    Ok(sections)
}
