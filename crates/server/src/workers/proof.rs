//! Proofs of possession: which key a proof has to be checked with, and what else has to be true of it.
//!
//! Takes the text of a signed proof, gives what it claims about its sender before the signature was
//! checked ([`claimed`]), for finding the key and nothing else. Never: a decision on an unchecked claim.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gantry_protocol::control::ProblemCode;
use serde::de::DeserializeOwned;

use super::control::Control;
use super::nonce;
use super::problem::Refusal;
use crate::clock::UnixMillis;
use crate::store::{Tx, launchers};

/// Longest accepted proof in bytes.
const MAX_PROOF: usize = 16 << 10;

/// Reads a claim out of a proof that is not checked yet.
pub(super) fn claimed<T: DeserializeOwned>(proof: &str) -> Result<T, Refusal> {
    let wrong = || Refusal::malformed("the proof is not a signed document");
    if proof.len() > MAX_PROOF {
        return Err(wrong());
    }
    let payload = proof.split('.').nth(1).ok_or_else(wrong)?;
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| wrong())?;
    serde_json::from_slice(&json).map_err(|_| wrong())
}

/// A proof that does not fit, and why.
pub(super) fn unfit(why: impl Into<String>) -> Refusal {
    Refusal::new(ProblemCode::Proof, why)
}

impl Control {
    /// Checks what a signed proof says beside its sender: made for this server, now.
    pub(super) fn check_proof(
        &self,
        audience: &str,
        nonce: &str,
        now: UnixMillis,
    ) -> Result<UnixMillis, Refusal> {
        let ours = &self.settings.public_url;
        if audience != ours {
            let text = format!(
                "the proof is for the server `{audience}`, this one is `{ours}`; take the pool token of this server"
            );
            return Err(unfit(text));
        }
        let expiry = nonce::check(self.keys.nonce(), nonce, now);
        expiry.ok_or_else(|| unfit("the proof's nonce is not one of this server's, or its minute is over; ask for a fresh one"))
    }
}

/// Takes a nonce out of the world, in the transaction that acts on its proof.
pub(super) async fn spend(tx: &mut Tx, nonce: &str, expiry: UnixMillis) -> Result<(), Refusal> {
    if launchers::use_nonce(tx, nonce, expiry).await? {
        return Ok(());
    }
    Err(unfit("the proof was used before; ask for a fresh nonce"))
}
