//! Gantry's control plane.
//!
//! Takes decisions of people (GraphQL) and reports of launchers (control channel), gives runs, logs and state.
//! Never: runs anything of a stack itself, or starts a phase that changes the world without a durable grant.
#![forbid(unsafe_code)]

pub mod auth;
pub mod blobs;
pub mod clock;
pub mod domain;
pub mod pki;
pub mod store;
pub mod vault;
pub mod vcs_probe;
