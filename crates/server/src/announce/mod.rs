//! Telling others about runs: people's own servers, and the code hosts that commits came from.
//!
//! Takes states that runs entered, gives requests that are repeated until somebody takes them. Nothing waits
//! for an answer but the delivery itself. Never: a request to an address inside that the operator did not allow,
//! a redirect followed, a secret in a message.

mod deliver;
mod hosts;
mod message;

pub use deliver::{deliver, ignored, tell};
pub use message::Word;
