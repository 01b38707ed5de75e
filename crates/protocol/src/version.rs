//! Versions of the two wires and the written rule for changing them.
//!
//! *Control channel* (launcher ↔ server): a client sends [`CONTROL_HEADER`] with [`CONTROL`]; the server
//! refuses a version it does not know with status 426 and names the versions it speaks. A field may be
//! added if its absence has one meaning; it may never change meaning or disappear within a version.
//! Signed documents are stricter: an unknown field is refused, so adding one raises the version.
//!
//! *Run socket* (launcher ↔ worker): a launcher speaks [`SOCKET`] and [`SOCKET_OLDEST`], so that a run
//! started before an upgrade is finished after it.

/// Version of the control channel spoken by this build.
pub const CONTROL: u32 = 1;

/// HTTP header that carries [`CONTROL`] on every control-channel request.
pub const CONTROL_HEADER: &str = "gantry-protocol";

/// Version of the run socket spoken by this build.
pub const SOCKET: u32 = 1;

/// Oldest run-socket version that a launcher of this build still serves.
pub const SOCKET_OLDEST: u32 = 1;
