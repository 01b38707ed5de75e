//! The launcher: a daemon on a host with Docker that receives runs and executes each in a fresh,
//! isolated container. `docs/ARCHITECTURE.md` is the map; the modules below stand in reading order.
#![forbid(unsafe_code)]

pub mod config;
pub mod token;

pub mod exit;
pub mod report;
