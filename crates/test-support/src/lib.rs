//! What the tests on real programs share: a world of real processes, waits with deadlines, faults on demand.
//!
//! Takes a test's wishes, gives running programs, and checks on the way out that nothing was left behind.
//! Never: a process ended that a test did not start, a wait without a deadline, a test that is skipped
//! because something is missing.

mod api;
mod checkpoint;
mod cli;
pub mod corpus;
mod docker;
mod dockerd;
mod files;
pub mod hostile;
mod images;
mod launcher;
mod pool;
mod process;
mod programs;
mod publisher;
mod registry;
mod repo;
mod run;
mod server;
mod slow_repo;
mod stack;
mod wait;
mod wire;
mod world;

pub use api::Api;
pub use checkpoint::{Checkpoint, Hold};
pub use cli::{Cli, Ended};
pub use docker::Docker;
pub use dockerd::{Dockerd, Restore};
pub use files::{LoopDisk, contains_bytes, copy_tree};
pub use images::{Image, Images};
pub use launcher::{Launcher, LauncherBuilder, RunDir};
pub use pool::{Pool, openssl};
pub use process::{Exit, Process};
pub use programs::{Program, find_program};
pub use publisher::{KeyRing, WebServer, sum_line, zip_of};
pub use registry::Registry;
pub use repo::Repo;
pub use run::{Run, Seen};
pub use server::Server;
pub use slow_repo::SlowRepo;
pub use stack::{Stack, StackBuilder};
pub use wait::{LONG, SHORT, outage, wait_for};
pub use wire::Wire;
pub use world::{World, WorldBuilder};
