//! The control channel as launchers see it: real HTTP on port 0, a real database, a small launcher that is
//! built on the protocol crate alone.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod autoscaler;
mod client;
mod drift_limit;
mod enrolment;
mod epochs;
mod expiry;
mod grants;
mod inbox;
mod killed;
mod lifecycle;
mod resets;
mod logs;
mod previews;
mod replan;
mod plans;
mod state;
mod upkeep;
mod world;
