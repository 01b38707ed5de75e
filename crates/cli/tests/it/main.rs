//! The real `gantry` program against a fake server on the other side of the wire.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

mod ca;
mod fake;
mod follow;
mod hosts;
mod login;
mod manage;
mod metadata;
mod pools;
mod sign;
mod vcs_pools;
