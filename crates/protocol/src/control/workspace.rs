//! The packed workspace between plan and apply: sealed bytes and the packing launcher's signature.
//!
//! The server holds the pool's public key and could seal a workspace of its own; it does not hold the
//! private key, so it can't make this signature.

use serde::{Deserialize, Serialize};

use crate::crypto::Signed;
use crate::ids::{Attempt, Digest, RunId, StackId};

/// HTTP header that carries the signed [`WorkspaceAttestation`] beside the sealed bytes.
pub const HEADER: &str = "gantry-workspace-attestation";

/// What the packing launcher signs with the pool's private key (PS256).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceAttestation {
    /// Version of this document: 1.
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// Its stack.
    pub stack: StackId,
    /// The attempt that planned.
    pub attempt: Attempt,
    /// SHA-256 of the sealed bytes.
    pub sealed: Digest,
    /// SHA-256 of the plan file.
    pub plan: Digest,
    /// SHA-256 of the rendered plan.
    pub rendered: Digest,
    /// The image that planned: repository and digest.
    pub image: String,
    /// Digest of the worker executable that planned.
    pub worker: Digest,
    /// Digest of the tool's executable, where the host brought it; `None` when it was the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Digest>,
    /// What the plan was made from ([`crate::signature::RunDocument::planned`]); `None` by launchers that did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Digest>,
    /// SHA-256 of what the plan changes, as [`crate::plan::digest_of`] makes it; `None` where that is not known to the
    /// launcher (there was no plan as data, or the list is too long).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Digest>,
}

impl Signed for WorkspaceAttestation {
    const TYP: &'static str = "gantry-workspace+jws";
}
