//! The real agent between a played gateway and a played Git host.
//!
//! Takes the executable and the wire, gives what both sides of it see. Never: a wait without a deadline.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod connecting;
mod gateway;
mod host;
mod process;
mod serving;
mod stopping;
mod tls;
