//! The VCS gateway against agents that the tests play on the wire, as published and with our additions.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod answers;
mod bridge;
mod faults;
mod keys;
mod many;
mod queue;
mod time;
mod world;
