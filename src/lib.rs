//! The launcher: a daemon on a host with Docker that receives runs and executes each in a fresh,
//! isolated container. `docs/ARCHITECTURE.md` is the map; the modules below stand in reading order.
#![forbid(unsafe_code)]

pub mod config;
pub mod container;
pub mod engine;
pub mod identity;
pub mod image;
pub mod job;
pub mod journal;
pub mod link;
pub mod mask;
pub mod session;
pub mod ship;
pub mod source;
pub mod start;
pub mod supervisor;
pub mod token;
pub mod workspace;

pub mod backoff;
pub mod durable;
pub mod exit;
pub mod report;
pub mod shutdown;
