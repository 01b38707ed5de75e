//! The gateway with real agents: real processes beside a real Git host, in a network namespace of their own.
//!
//! Takes the built programs, root and the kernel's namespaces; gives what the gateway's callers see. Never: a way from
//! this process to the Git host but through an agent.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod faults;
mod git;
mod load;
mod net;
mod world;
