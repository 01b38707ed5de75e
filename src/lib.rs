//! The launcher: a daemon on a host with Docker that receives runs and executes each in a fresh,
//! isolated container. `docs/ARCHITECTURE.md` is the map; the modules below stand in reading order.
#![forbid(unsafe_code)]

pub mod config;
pub mod token;
pub mod identity;
pub mod session;
pub mod journal;
pub mod engine;
pub mod registry;
pub mod mask;
pub mod logging;
pub mod image;
pub mod policy;
pub mod workspace;
pub mod source;
pub mod container;
pub mod network;
pub mod room;
pub mod telemetry;
pub mod link;
pub mod tool;
pub mod signature;
pub mod stdout;
pub mod ship;
pub mod job;
pub mod spot;
pub mod supervisor;
pub mod health;
pub mod start;
pub mod doctor;
pub mod egress;
pub mod commands;

pub mod backoff;
pub mod durable;
pub mod exit;
pub mod machine;
pub mod metrics;
pub mod notify;
pub mod quiet;
pub mod report;
pub mod shutdown;
