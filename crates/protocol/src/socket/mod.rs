//! The run socket (launcher ↔ worker) and the spool that both see.
//!
//! The *socket* carries what needs an answer: the work order, grants, managed state, stop requests, and a
//! bell that says "the spool grew". The *spool* directory carries what must survive either side: facts
//! (`events`, JSON lines) and raw log bytes (segment files), both append-only, both read by byte offset.
//! Everything from the worker is a claim by a process that shares its uid with hostile code.
//! `docs/PROTOCOL.md` describes the order of messages.

/// Name of the socket in the launcher-owned directory that both sides see.
pub const SOCKET_NAME: &str = "launcher.sock";

/// Directory in the container that holds the tool which the host brought, if it did.
pub const TOOL_DIR: &str = "/gantry/tool";

/// Directory in the container with the host's mirror of providers, if it has one.
pub const PROVIDERS_DIR: &str = "/gantry/providers";

pub mod frame;
pub mod message;
pub mod spool;

pub use frame::{Frame, FrameError, MAX_BODY, MAX_HEADER};
pub use message::{
    FromLauncher, FromWorker, Handed, HandedTo, StateOp, StopKind, ToolFrom, WorkOrder,
};
pub use spool::{Fact, FailureKind, Phase, PhaseExit, PlanSummary, WorkerEnd};
