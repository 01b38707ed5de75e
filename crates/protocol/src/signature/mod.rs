//! Native run signatures: what people sign before a run may happen, and what launchers check.
//!
//! Takes payloads, keys and metadata entries; gives documents, entries and verdicts. Never: I/O, a clock, or
//! anything of the server's word in the verdict but what the signature states itself.
//!
//! One signature is one JWS for one phase of one run. It states every part of the run by name
//! ([`RunDocument::fields`]); the launcher computes the same from the payload that it is about to execute and
//! compares. `docs/POLICIES.md` says how it is used, `docs/decisions/0012-run-signatures.md` why it is so.

pub mod canonical;
mod check;
mod claims;
mod document;
mod private;
mod public;
mod token;
mod trust;

pub use check::{
    Audience, Checked, Expected, Requirement, SignatureRefusal, check, examine, required,
};
pub use claims::{Claims, LONGEST_LIFE, SignedPhase};
pub use document::{Fields, RunDocument, StatedFile, StatedVariable};
pub use private::{SigningKey, SigningKeyError};
pub use public::{Algorithm, JwkError, PublicKey};
pub use token::{Draft, LONGEST_ENTRY, MARK, TokenError};
pub use trust::{TrustError, TrustedKeys, kid};

/// Version of the claims that are made here.
pub const CLAIMS: u32 = token::VERSION;
