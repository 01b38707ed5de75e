//! Commits that start runs: what code hosts tell and what they are asked.
//!
//! Takes webhooks and branches, gives runs. A push is kept before it is answered and acted upon afterwards,
//! once; what it says is only a reason to look: what counts is where the branch points. Never: a run because of
//! an unproven message.

mod act;
mod decide;
mod hosts;
mod poll;
mod receive;
mod start;

pub use act::follow;
pub use hosts::{Message, Refusal, read as read_webhook};
pub use poll::poll;
pub use receive::router;
