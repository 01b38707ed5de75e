//! What the release key signs, offline: a worker's manifest, and the manifest of a whole release.
//!
//! Takes and gives values. Never: a field that whoever reads it may pass over. `scripts/install` reads the release's manifest
//! with a shell, in exactly the order in which the fields stand here.

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

/// Product name in a release's manifest.
pub const RELEASE: &str = "gantry";

/// Every file of a release, under one signature: name and version are part of what is signed, so that an older or another
/// release can't stand in for the one that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseManifest {
    /// [`RELEASE`].
    pub product: String,
    /// Semantic version.
    pub version: String,
    /// The commit that it was made from: 40 hex digits.
    pub commit: String,
    /// The files, by name.
    pub files: Vec<ReleaseFile>,
}

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// Plain file name: letters, digits and `._+~-`.
    pub name: String,
    /// `x86_64`, `aarch64`, or `any`.
    pub arch: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
}

impl Signed for ReleaseManifest {
    const TYP: &'static str = "gantry-release+jws";
}
