//! Somebody whose signature launchers ask for. A hostile server has what they signed, and not their key.
//!
//! Takes payloads as they are wanted, gives metadata entries. Never: a signature over anything that this person was not
//! shown.

use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::EdKey;
use gantry_protocol::payload::RunPayload;
use gantry_protocol::signature::{Algorithm, Claims, Draft, RunDocument, SignedPhase, SigningKey};
use serde_json::json;

use super::wire::unix_now;

/// How long signatures live, in seconds.
const LIFE: i64 = 3600;

/// A person with a key.
#[derive(Debug)]
pub struct Signer(SigningKey);

impl Signer {
    /// With a fresh key.
    pub fn new() -> Self {
        Self(SigningKey::generate(Algorithm::EdDsa).expect("a key can be made"))
    }

    /// The set of trusted keys with only this one in it.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.0.public().to_jwk()] }).to_string()
    }

    /// Claims about a run up to its plan, or all of it where its payload says so.
    pub fn run(&self, payload: &RunPayload) -> Claims {
        let phase = SignedPhase::of(payload.run_type, payload.stage, payload.autodeploy);
        claims(phase, RunDocument::of(payload).fields())
    }

    /// Claims about the apply of a plan.
    pub fn apply(&self, payload: &RunPayload, plan: &WorkspaceAttestation) -> Claims {
        claims(
            SignedPhase::Apply,
            RunDocument::of(payload).apply_fields(plan),
        )
    }

    /// Signs what it is given: a metadata entry.
    pub fn sign(&self, claims: &Claims) -> String {
        let public = self.0.public();
        let kid = public.thumbprint();
        let draft = Draft::new(claims, &public, &kid);
        let signature = self.0.sign(draft.input());
        draft.finish(&signature).expect("an entry")
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

fn claims(phase: SignedPhase, fields: gantry_protocol::signature::Fields) -> Claims {
    let now = unix_now();
    Claims {
        v: gantry_protocol::signature::CLAIMS,
        iat: now,
        exp: now + LIFE,
        // A public key is as random as anything, and of the right length.
        jti: EdKey::generate().public().to_string(),
        aud: None,
        phase,
        fields,
    }
}
