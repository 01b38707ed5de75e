//! Serving logs: pages of text for the API, exact bytes for downloads.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use gantry_protocol::RunId;

use super::page::cut;
use super::{LogError, LogStore};
use crate::domain::StateVersion;
use crate::store::leases::{self, LeaseStanding};
use crate::store::logs::{self, Chunk, Place, Section};
use crate::store::{Conn, StoreError, runs};

/// Longest text of a page in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;

/// Bytes of a page, at most.
const PAGE: u64 = 1 << 20;

/// Pieces looked at for one page.
const PIECES: u32 = 512;

/// A page of a state's log, under the names of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// Whether the state has a log at all.
    pub exists: bool,
    /// Whether the log is complete and this page reaches its end.
    pub finished: bool,
    /// Whether the next page can be asked for at once.
    pub has_more: bool,
    /// Texts, to be written one after the other with nothing in between.
    pub messages: Vec<String>,
    /// Where the next page begins; always set, so that nobody starts from the beginning by mistake.
    pub next_token: Option<String>,
}

impl LogStore {
    /// A page of the log of a state, from the token of the page before.
    ///
    /// # Errors
    /// [`LogError::Token`] for a token that is none of ours.
    pub async fn read(
        &self,
        run: RunId,
        version: StateVersion,
        token: Option<&str>,
    ) -> Result<LogPage, LogError> {
        let offset = offset(run, token)?;
        let (section, complete) = {
            let mut conn = self.store.read().await?;
            let Some(section) = logs::of_version(&mut conn, run, version).await? else {
                let next_token = Some(offset.to_string());
                return Ok(LogPage {
                    finished: true,
                    next_token,
                    ..LogPage::default()
                });
            };
            let complete = complete(&mut conn, &section).await?;
            // Looked at again: what came between the two looks belongs to a complete log.
            let again = logs::of_version(&mut conn, run, version).await?;
            (again.unwrap_or(section), complete)
        };
        let bytes = self.bytes(&section, offset, PAGE).await?;
        let end = offset + bytes.len() as u64;
        let more = end < section.stored || !complete;
        let (messages, used) = cut(&bytes, MAX_MESSAGE, more);
        let next = offset + used as u64;
        let at_end = end >= section.stored;
        Ok(LogPage {
            exists: true,
            finished: complete && at_end,
            has_more: !at_end,
            messages,
            next_token: Some(next.to_string()),
        })
    }

    /// The stored bytes of a state's log, exactly, with their number; nothing for a state without a log.
    ///
    /// # Errors
    /// See [`LogError`].
    pub async fn raw(
        &self,
        run: RunId,
        version: StateVersion,
    ) -> Result<Option<(u64, impl Stream<Item = Result<Bytes, LogError>> + use<>)>, LogError> {
        let section = logs::of_version(&mut *self.store.read().await?, run, version).await?;
        let Some(section) = section else {
            return Ok(None);
        };
        let length = section.stored;
        let start = (self.clone(), section, 0);
        let bytes = stream::try_unfold(start, |(logs, section, at)| async move {
            let bytes = logs.bytes(&section, at, PAGE).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let next = at + bytes.len() as u64;
            Ok(Some((Bytes::from(bytes), (logs, section, next))))
        });
        Ok(Some((length, bytes)))
    }

    /// Up to `most` stored bytes from `offset` on, none beyond the section's end as it was looked up.
    async fn bytes(&self, section: &Section, offset: u64, most: u64) -> Result<Vec<u8>, LogError> {
        let most = most.min(section.stored.saturating_sub(offset));
        if most == 0 {
            return Ok(Vec::new());
        }
        match self.gathered(section, offset, most).await {
            // Small pieces were put into an object between the look-up and the read.
            Err(LogError::Blob(crate::blobs::BlobError::Missing { .. })) => {
                self.gathered(section, offset, most).await
            }
            bytes => bytes,
        }
    }

    async fn gathered(
        &self,
        section: &Section,
        offset: u64,
        most: u64,
    ) -> Result<Vec<u8>, LogError> {
        let chunks = {
            let mut conn = self.store.read().await?;
            logs::chunks(&mut conn, section.id, offset, PIECES).await?
        };
        let mut bytes = Vec::new();
        for chunk in chunks {
            let at = offset + bytes.len() as u64;
            let left = most - bytes.len() as u64;
            if left == 0 || chunk.start > at {
                break;
            }
            let skip = at - chunk.start;
            let take = left.min(chunk.length - skip);
            self.copy(&chunk, skip, take, &mut bytes).await?;
        }
        Ok(bytes)
    }

    async fn copy(
        &self,
        chunk: &Chunk,
        skip: u64,
        take: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), LogError> {
        match &chunk.place {
            Place::Inline(data) => {
                let part = data.iter().skip(small(skip)).take(small(take));
                into.extend(part);
            }
            Place::Blob(name) => {
                into.extend_from_slice(&self.blobs.get_range(name, skip, take).await?);
            }
        }
        Ok(())
    }
}

/// Pages and pieces are far below the address space.
fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether nothing can follow in a section: its state was left, and the launcher speaks of later ones
/// already or has handed the run back. (A report of the next phase may overtake the last bytes of this one.)
async fn complete(conn: &mut Conn, section: &Section) -> Result<bool, StoreError> {
    let id = section.id;
    let run = runs::get(conn, id.run).await?.run;
    if run.version <= section.version {
        return Ok(false);
    }
    let lease = leases::find(conn, id.run, id.attempt).await?;
    if lease.is_none_or(|lease| lease.standing == LeaseStanding::Ended) {
        return Ok(true);
    }
    let sections = logs::of_attempt(conn, id.run, id.attempt).await?;
    Ok(sections
        .iter()
        .any(|other| other.id.section > id.section && other.raw_offset > 0))
}

fn offset(run: RunId, token: Option<&str>) -> Result<u64, LogError> {
    let Some(text) = token.filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let wrong = |_| LogError::Token {
        run,
        text: text.chars().take(64).collect(),
    };
    text.parse().map_err(wrong)
}
