//! One section of the worker's log on its way to the server.
//!
//! Takes what the spool holds, gives masked ranges. Never: bytes that are missing without a marker, an end that the
//! worker told and that was not reached.

use tracing::warn;

use super::{Store, lost_by_the_server};
use crate::mask::{Mask, MaskStream};
use crate::report::Chain;
use crate::session::CallError;
use crate::workspace::{LogRead, MAX_OFFSET, SpoolReader};

/// Bytes read, masked and stored at a time: each run's log holds about twice as much in memory.
const CHUNK: usize = 1 << 19;

/// A server that contradicts itself more often in a row is not asked again.
const MAX_CONFLICTS: u32 = 5;

/// How a step went.
pub(super) enum Stepped {
    /// Everything below this raw offset is stored.
    Stored(u64),
    /// The section is complete and stored.
    Done,
    /// Nothing to do now.
    Idle,
}

/// What is known of a section's end.
#[derive(Clone, Copy)]
enum End {
    Unknown,
    /// The worker told it.
    At(u64),
    /// The worker is gone: where the spool ends.
    OfSpool,
}

pub(super) struct Section {
    number: u32,
    pub(super) open: bool,
    end: End,
    at: Option<Position>,
    /// The most that the server ever had.
    had: u64,
    /// How often in a row the server was elsewhere than it had said.
    conflicts: u32,
    /// Whether it was told that the spool can't be read.
    unreadable: bool,
}

/// Where reading and storing stand.
struct Position {
    read: u64,
    stored: u64,
    mask: MaskStream,
}

impl Section {
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            open: false,
            end: End::Unknown,
            at: None,
            had: 0,
            conflicts: 0,
            unreadable: false,
        }
    }

    /// Whether the worker has left it: its last segment may go too.
    pub(super) fn is_left(&self) -> bool {
        matches!(self.end, End::At(_) | End::OfSpool)
    }

    pub(super) fn close(&mut self, end: Option<u64>) {
        // An end that no worker can mean is the spool's.
        let end = end.filter(|end| *end <= MAX_OFFSET);
        self.end = end.map_or(End::OfSpool, End::At);
    }

    /// Reads, masks and stores one chunk.
    pub(super) async fn step(
        &mut self,
        spool: &mut SpoolReader,
        mask: &Mask,
        store: &mut Store,
    ) -> Result<Stepped, CallError> {
        if !self.open {
            return Ok(Stepped::Idle);
        }
        let mut at = match self.at.take() {
            Some(at) => at,
            None => Position::from_server(store.stored(self.number).await?, mask),
        };
        let stepped = self.advance(&mut at, spool, mask, store).await;
        match stepped {
            // The server lost what it had acknowledged (restored from a backup): start from what it has.
            Err(error) if error.is_conflict() && self.conflicts < MAX_CONFLICTS => {
                self.conflicts += 1;
                let stored = store.stored(self.number).await?;
                self.at = Some(Position::from_server(stored, mask));
                Ok(Stepped::Stored(stored))
            }
            other => {
                self.had = self.had.max(at.stored);
                self.conflicts = 0;
                self.at = Some(at);
                other
            }
        }
    }

    async fn advance(
        &mut self,
        at: &mut Position,
        spool: &mut SpoolReader,
        mask: &Mask,
        store: &mut Store,
    ) -> Result<Stepped, CallError> {
        let read = spool
            .log(self.number, at.read, CHUNK)
            .unwrap_or_else(|error| {
                // Something else stands in a segment's place: what can't be read is a gap at the section's end.
                if !std::mem::replace(&mut self.unreadable, true) {
                    warn!(section = self.number, error = %Chain(&error), "the log can't be read");
                }
                LogRead::Nothing
            });
        match read {
            LogRead::Bytes(bytes) => {
                at.read += bytes.len() as u64;
                let masked = at.mask.push(&bytes);
                // Storing may take long; until then only the masked copy is needed.
                drop(bytes);
                self.put(at, masked.decided, masked.bytes, store).await
            }
            LogRead::Gap { to, .. } => self.gap(at, to, mask, store).await,
            LogRead::Nothing => match self.end {
                End::Unknown => Ok(Stepped::Idle),
                End::At(end) if at.read < end => self.gap(at, end, mask, store).await,
                End::At(_) | End::OfSpool => self.last(at, store).await,
            },
        }
    }

    async fn put(
        &self,
        at: &mut Position,
        to: u64,
        masked: Vec<u8>,
        store: &mut Store,
    ) -> Result<Stepped, CallError> {
        if to > at.stored {
            at.stored = store.put(self.number, (at.stored, to), masked).await?;
        }
        Ok(Stepped::Stored(at.stored))
    }

    /// Bytes that are gone: what was held is decided, and a marker of exactly their range follows.
    async fn gap(
        &self,
        at: &mut Position,
        to: u64,
        mask: &Mask,
        store: &mut Store,
    ) -> Result<Stepped, CallError> {
        let mut masked = at.mask.finish_at_gap().bytes;
        let lost = to - at.read;
        let marker = match at.read < self.had {
            true => lost_by_the_server(lost),
            false => dropped_here(lost),
        };
        masked.extend_from_slice(marker.as_bytes());
        at.read = to;
        at.mask = mask.stream_after_gap(to);
        self.put(at, to, masked, store).await
    }

    async fn last(&self, at: &mut Position, store: &mut Store) -> Result<Stepped, CallError> {
        let masked = match self.end {
            End::At(_) => at.mask.finish(),
            // The worker died in the middle of something.
            End::OfSpool | End::Unknown => at.mask.finish_at_gap(),
        };
        self.put(at, masked.decided, masked.bytes, store).await?;
        Ok(Stepped::Done)
    }
}

impl Position {
    /// Where the server says that it is. It can name a place in the middle of a secret, to be given the rest of it: so
    /// every place but the beginning is taken for the end of a gap.
    fn from_server(stored: u64, mask: &Mask) -> Self {
        let mask = match stored {
            0 => mask.stream(0),
            stored => mask.stream_after_gap(stored),
        };
        Self {
            read: stored,
            stored,
            mask,
        }
    }
}

/// What stands where bytes never left the host.
fn dropped_here(bytes: u64) -> String {
    format!(
        "\n[gantry: {bytes} bytes of this log were dropped on the run's host: the server was away too long or the disk was full]\n"
    )
}
