//! Reaches an internal Git host for a gateway, and nothing else.
#![forbid(unsafe_code)]

pub mod blocklist;
pub mod filter;
pub mod graphql;
pub mod project;
pub mod route;
pub mod rules;
pub mod target;
pub mod vendor;
