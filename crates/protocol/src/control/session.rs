//! Enrolment and sessions: proof of possession over a server nonce, then epochs.
//!
//! *Epochs.* Each launcher process asks for a session with [`Takeover`]: the epoch that its data directory
//! holds, and a random process id that it wrote there before asking. The server answers with the next
//! epoch; the process before is fenced. A process that shows an epoch older than the newest while a newer
//! process lives is a copy of the data directory: both are quarantined.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crypto::{EdPublic, Signed};
use crate::ids::{Digest, LauncherId, PoolId};
use crate::secret::Secret;

/// A number used once: 32 random bytes in base64url, good for a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce {
    /// The text to sign.
    pub nonce: String,
}

/// Asks to become a launcher of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// [`EnrolProof`], signed with the pool's private key (PS256).
    pub proof: String,
    /// What the launcher says of itself; shown to people, trusted for nothing.
    pub about: About,
}

/// Proves that the sender holds the pool's private key, and binds the launcher's new key to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolProof {
    /// The server's nonce.
    pub nonce: String,
    /// The endpoint from the token: a proof for one server is no proof for another.
    pub audience: String,
    /// The pool.
    pub pool: PoolId,
    /// The key that the launcher will use from now on.
    pub launcher_key: EdPublic,
    /// Digest of the host's machine id, so that a cloned host shows.
    pub machine: Digest,
}

impl Signed for EnrolProof {
    const TYP: &'static str = "gantry-enrol+jws";
}

/// What a launcher says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// The launcher's product version.
    pub version: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// Host name.
    pub host: String,
    /// Tags from `SPACELIFT_METADATA_*`.
    pub metadata: BTreeMap<String, String>,
}

/// The answer to [`EnrolRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The launcher's id from now on.
    pub launcher: LauncherId,
}

/// Asks for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// [`SessionProof`], signed with the launcher's key (EdDSA).
    pub proof: String,
    /// As at enrolment, fresh.
    pub about: About,
}

/// Proves that the sender holds the launcher's private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionProof {
    /// The server's nonce.
    pub nonce: String,
    /// The endpoint from the token.
    pub audience: String,
    /// The launcher.
    pub launcher: LauncherId,
    /// A new process, or the same one again.
    pub claim: Claim,
}

impl Signed for SessionProof {
    const TYP: &'static str = "gantry-session+jws";
}

/// Which process asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "claim", rename_all = "snake_case", deny_unknown_fields)]
pub enum Claim {
    /// A new process takes the launcher over.
    Takeover(Takeover),
    /// The process of this epoch renews its session.
    Renew {
        /// Its epoch.
        epoch: u64,
    },
}

/// A process's first claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Takeover {
    /// The epoch that the data directory holds; 0 before the first.
    pub previous_epoch: u64,
    /// Random id, written to the data directory before asking: the same takeover asked twice gets the same
    /// epoch, so a crash between answer and write is not taken for a copy.
    pub process: String,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Bearer token.
    pub token: Secret,
    /// Seconds until it ends; renew at half.
    pub expires_in: u64,
    /// The process's epoch.
    pub epoch: u64,
    /// Seconds until an unrenewed lease expires; renew at a third.
    pub lease_seconds: u64,
    /// Server time, Unix seconds: the launcher warns when its own clock is far off.
    pub now: i64,
    /// Server keys as of now; the launcher accepts only those that its token names.
    pub server_keys: Vec<EdPublic>,
}
