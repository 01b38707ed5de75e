//! Runs the real worker executable against a launcher that these tests play over a real socket.
//!
//! Takes the built executable and a `terraform` on `PATH`, gives verdicts. Never: a skipped test where
//! the tool is missing, or a sleep where a condition can be waited for.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers fail like the test itself"
)]

mod launcher;
mod world;

mod hooks;
mod output;
mod reconnect;
mod runs;
mod state;
mod stop;
mod tools;
