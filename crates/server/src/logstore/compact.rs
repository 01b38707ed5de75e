//! Gathering small pieces into objects, so that the database holds an index and not the logs.

use bytes::Bytes;
use gantry_protocol::{Attempt, RunId};

use super::{LogError, LogStore, blob_name};
use crate::store::logs::{self, Place, SectionId};

impl LogStore {
    /// Gathers what is left of an attempt's small pieces; called when its lease is over. Failing costs
    /// nothing but room in the database, so it is logged and left for the next occasion.
    pub async fn gather_attempt(&self, run: RunId, attempt: Attempt) {
        let sections = match self.store.read().await {
            Ok(mut conn) => logs::of_attempt(&mut conn, run, attempt).await,
            Err(error) => Err(error),
        };
        match sections {
            Ok(sections) => {
                for section in sections.iter().filter(|section| section.inline > 0) {
                    self.gather_quietly(section.id).await;
                }
            }
            Err(error) => tracing::warn!(%run, %error, "could not look for small log pieces"),
        }
    }

    pub(super) async fn gather_quietly(&self, id: SectionId) {
        if let Err(error) = self.gather(id).await {
            tracing::warn!(run = %id.run, section = id.section, %error, "could not gather small log pieces");
        }
    }

    /// Puts the first unbroken row of small pieces into one object. The object is complete before the rows
    /// go, and both happen in one transaction; a crash in between leaves an unused object.
    pub(super) async fn gather(&self, id: SectionId) -> Result<(), LogError> {
        let pieces = logs::inline_run(&mut *self.store.read().await?, id).await?;
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return Ok(());
        };
        let range = first.start..last.start + last.length;
        let mut bytes = Vec::new();
        for piece in &pieces {
            if let Place::Inline(data) = &piece.place {
                bytes.extend_from_slice(data);
            }
        }
        let name = blob_name(&self.store, id, range.start);
        self.blobs.put_bytes(&name, Bytes::from(bytes)).await?;
        let mut tx = self.store.begin().await?;
        let replaced = logs::replace(&mut tx, id, range, pieces.len() as u64, &name).await?;
        if replaced {
            tx.commit().await.map_err(crate::store::StoreError::from)?;
        } else {
            // Another task gathered the same pieces.
            drop(tx);
            self.drop_blob(Some(name)).await;
        }
        Ok(())
    }
}
