//! Log bytes of runs: stored in order, served again exactly.
//!
//! Takes pieces of a section with the range of the tool's output that they cover, gives them back by stored
//! offset. A piece is answered only when it is durable, and the same piece again is answered without a
//! second copy. Small pieces of all runs are committed together and stand in the database until there is
//! enough of them for an object; large ones become objects at once, outside the database's one writer, so
//! that lease renewals never wait behind log bytes. Never: a byte changed, lost or doubled; lossy text is
//! made only where it is served as text.

mod compact;
mod page;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use gantry_protocol::RunId;

pub use read::{LogPage, MAX_MESSAGE};
pub use write::Appended;

use crate::blobs::{BlobError, Blobs};
use crate::store::logs::SectionId;
use crate::store::{Store, StoreError};

/// The logs of all runs.
#[derive(Clone, Debug)]
pub struct LogStore {
    store: Arc<Store>,
    blobs: Arc<Blobs>,
    committer: write::Committer,
}

/// Why log bytes can't be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object storage failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The database failed for a whole batch of pieces.
    #[error("could not store a batch of log pieces")]
    Batch(#[source] Arc<StoreError>),
    /// No phase or lease opened the section.
    #[error("run {} has no log section {} in attempt {}: enter its phase first", id.run, id.section, id.attempt)]
    Unknown {
        /// Which section.
        id: SectionId,
    },
    /// Not a token that this server gave.
    #[error("`{text}` is not a place in the log of run {run}")]
    Token {
        /// The run.
        run: RunId,
        /// What was given.
        text: String,
    },
    /// The server is going down.
    #[error("the log store has stopped")]
    Stopped,
}

impl LogStore {
    /// Starts the log store; must be called inside a runtime. Its one task ends with the last clone.
    pub fn start(store: Arc<Store>, blobs: Arc<Blobs>) -> Self {
        let committer = write::Committer::start(Arc::clone(&store));
        Self {
            store,
            blobs,
            committer,
        }
    }
}

/// Where a section's object for the bytes from `start` stands. The last part makes each attempt to store a
/// piece its own object: an upload that lost a race never touches the winner's bytes.
fn blob_name(store: &Store, id: SectionId, start: u64) -> String {
    let unique = store.new_id();
    format!(
        "logs/{}/{}-{}/{start:012}-{unique}",
        id.run, id.attempt, id.section
    )
}
