//! Reaches an internal Git host for a gateway, and nothing else.
#![forbid(unsafe_code)]

pub mod audit;
pub mod backoff;
pub mod blocklist;
pub mod exit;
pub mod check;
pub mod config;
pub mod egress;
pub mod filter;
pub mod forward;
pub mod graphql;
pub mod health;
pub mod note;
pub mod project;
pub mod route;
pub mod rules;
pub mod run;
pub mod stream;
pub mod target;
pub mod vendor;
