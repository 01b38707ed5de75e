//! What is kept of verified tools: the executable by digest, and beside it what proves it.
//!
//! Takes a tool's signed list of checksums and its executable, gives both back after a restart without the
//! mirror. Never: an executable given out whose list no longer verifies.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Digest;
use serde::{Deserialize, Serialize};

use super::archive::listed;
use super::keys::{Keys, SignatureError};
use super::name::ToolName;
use crate::durable;
use crate::workspace::BinaryStore;

/// Longest record that is read, in bytes.
const MAX_RECORD: u64 = 4 << 20;

/// What proves an executable: the publisher's list, its signature, and what came out of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The list of checksums, base64.
    sums: String,
    /// The signature over it, base64.
    signature: String,
    /// SHA-256 of the archive, as the list has it.
    pub(super) archive: Digest,
    /// SHA-256 of the executable in it.
    pub(super) binary: Digest,
}

impl Record {
    pub(super) fn new(sums: &[u8], signature: &[u8], archive: Digest, binary: Digest) -> Self {
        Self {
            sums: STANDARD.encode(sums),
            signature: STANDARD.encode(signature),
            archive,
            binary,
        }
    }

    /// Verifies the list again, with the keys of today; gives the signer's fingerprint.
    pub(super) fn signer(&self, keys: &Keys, archive: &str) -> Result<String, SignatureError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SignatureError::Malformed);
        let (sums, signature) = (decode(&self.sums)?, decode(&self.signature)?);
        let signer = keys.verify(&sums, &signature)?;
        match listed(&sums, archive) == Some(self.archive) {
            true => Ok(signer),
            false => Err(SignatureError::Malformed),
        }
    }
}

/// Reads what is kept about a tool; nothing when there is nothing that can be read.
pub(super) fn read(store: &BinaryStore, name: &ToolName, arch: &str) -> Option<Record> {
    use std::io::Read as _;
    let path = store.path().join(name.record(arch));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Keeps a record, durably.
pub(super) fn write(
    store: &BinaryStore,
    name: &ToolName,
    arch: &str,
    record: &Record,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(record).expect("invariant: plain data serialises");
    durable::replace(&store.path().join(name.record(arch)), &bytes)
}
