//! The worker's signed manifest. Signed offline by the release key; the server only hands it out.

use serde::{Deserialize, Serialize};

use crate::crypto::Signed;
use crate::ids::Digest;

/// Product name in the manifest of the worker: another product of the same key can't stand in for it.
pub const PRODUCT: &str = "gantry-worker";

/// What the release key signs (EdDSA).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerManifest {
    /// [`PRODUCT`].
    pub product: String,
    /// Semantic version.
    pub version: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// SHA-256 of the executable.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Signed for WorkerManifest {
    const TYP: &'static str = "gantry-worker+jws";
}
