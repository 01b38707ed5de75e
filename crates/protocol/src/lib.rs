//! What Gantry's parts say to each other: ids, states, messages, envelopes.
//!
//! Takes bytes and values, gives values and bytes. Never: I/O, a clock, a runtime. The worker uses the
//! crate without features; the launcher and the server add `control` (tokens, signatures, sealing).
//!
//! The rule for changing anything here stands in `docs/PROTOCOL.md`; the golden files under
//! `tests/golden/` hold every message as it looks on the wire.
#![forbid(unsafe_code)]

pub mod archive;
pub mod ids;
pub mod payload;
pub mod plan;
pub mod run;
pub mod secret;
pub mod socket;
pub mod version;

#[cfg(feature = "control")]
pub mod control;
#[cfg(feature = "control")]
pub mod crypto;
#[cfg(feature = "control")]
pub mod signature;

pub use ids::{Attempt, Digest, LauncherId, PoolId, RunId, StackId};
pub use run::{RunState, RunType};
pub use secret::Secret;
