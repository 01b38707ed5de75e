//! Every fuzz target: those of the launcher and of what it shares, and those of the server.

#[path = "lib.rs"]
mod launcher;
pub mod server;

pub use launcher::*;
