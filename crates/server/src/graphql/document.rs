//! Documents that people sign, in the API.

use async_graphql::SimpleObject;

use crate::dispatch::Signable;

/// A run as a launcher would get it, for signing. The signer builds what is signed from it.
#[derive(SimpleObject)]
pub(super) struct RunDocument {
    /// The document as JSON; values of variables and files are salted digests.
    json: String,
    /// What the signature has to be for: `plan`, `plan_and_apply`, `apply` or `task`.
    phase: &'static str,
    /// Of an apply: what the launcher that planned signed with the pool's private key (JWS).
    attestation: Option<String>,
}

impl From<Signable> for RunDocument {
    fn from(signable: Signable) -> Self {
        let json = serde_json::to_string(&signable.document);
        Self {
            json: json.expect("invariant: a document is plain data"),
            phase: signable.phase.as_str(),
            attestation: signable.attestation,
        }
    }
}
