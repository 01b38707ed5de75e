//! Gantry's control plane.
//!
//! Takes decisions of people (GraphQL) and reports of launchers (control channel), gives runs, logs and state.
//! Never: runs anything of a stack itself, or starts a phase that changes the world without a durable grant.
#![forbid(unsafe_code)]

pub mod announce;
pub mod app;
pub mod auth;
pub mod blobs;
pub mod clock;
pub mod code_hosts;
pub mod commits;
pub mod config;
pub mod dispatch;
pub mod dist;
pub mod domain;
pub mod download;
pub mod egress;
pub mod error;
pub mod gateway;
pub mod graphql;
pub mod logins;
pub mod logstore;
pub mod operations;
pub mod outgoing;
pub mod peer;
pub mod pki;
pub mod plans;
pub mod policies;
pub mod process;
pub mod runtime_config;
pub mod store;
pub mod tasks;
pub mod tfstate;
pub mod uploads;
pub mod vault;
pub mod vcs_probe;
pub mod web;
pub mod workers;
