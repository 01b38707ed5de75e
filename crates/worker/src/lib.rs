//! The static executable inside a run container, as a library so that its parts can be tested.
//!
//! Takes a work order over the run socket, gives facts and log bytes in the spool. Must never happen
//! here: a phase that changes the world without a grant, a second interrupt to the tool, a look-up of a
//! host or user name (the executable is static and runs in images of any libc or none).
#![forbid(unsafe_code)]

pub mod args;
pub mod run;

pub mod planner;

pub mod phase;

pub mod env;
pub mod fault;
pub mod hooks;
pub mod lookup;
pub mod tool;
pub mod trace;
pub mod workspace;

pub mod dump;
pub mod facts;
pub mod hash;
pub mod link;
pub mod process;
pub mod report;
pub mod spool;
pub mod state;
