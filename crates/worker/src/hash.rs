//! A SHA-256 that can be written to.
//!
//! Takes bytes as they stream by, gives their digest. Never: holding them.

use gantry_protocol::Digest;
use sha2::Digest as _;

/// The hash so far.
pub struct Hash(pub sha2::Sha256);

impl Hash {
    /// The digest of everything written.
    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

impl std::io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
