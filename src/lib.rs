//! The launcher: a daemon on a host with Docker that receives runs and executes each in a fresh,
//! isolated container. `docs/ARCHITECTURE.md` is the map; the modules below stand in reading order.
#![forbid(unsafe_code)]

pub mod config;
pub mod identity;
pub mod journal;
pub mod link;
pub mod session;
pub mod token;
pub mod engine;
pub mod image;
pub mod container;

pub mod backoff;
pub mod durable;
pub mod exit;
pub mod report;
