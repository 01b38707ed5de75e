//! Messages of the run socket.

use serde::{Deserialize, Serialize};

use crate::ids::{RunId, StackId};
use crate::payload::{Hooks, Stage, ToolKind, Variable};
use crate::run::RunType;
use crate::secret::Secret;
use crate::socket::spool::Phase;

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromWorker {
    /// First on every connection.
    Hello {
        /// [`crate::version::SOCKET`] of the worker's build.
        socket_version: u32,
        /// The worker's product version.
        worker_version: String,
        /// Absent on the first connection; afterwards the key from [`FromLauncher::Welcome`].
        session: Option<Secret>,
    },
    /// The spool grew: new facts or log bytes. Carries nothing else; coalesced to one per 10 ms at most.
    Bell,
    /// May this phase begin? Repeated after a reconnect until answered.
    Ask {
        /// The phase that changes the world.
        phase: Phase,
    },
    /// A managed-state request; the frame's body holds the state or the lock information. Repeated with
    /// the same id after a reconnect until answered.
    State {
        /// Chosen by the worker, unique within the run.
        id: u64,
        /// What is asked for.
        op: StateOp,
    },
}

/// What the launcher says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromLauncher {
    /// Answer to a first [`FromWorker::Hello`]: given once in a run's life.
    Welcome {
        /// Proves later connections.
        session: Secret,
        /// What to do.
        order: Box<WorkOrder>,
    },
    /// Answer to a first [`FromWorker::Hello`] of a worker that is here before its run: stay, and say nothing;
    /// [`FromLauncher::Welcome`] follows on this connection.
    Wait,
    /// Answer to a later [`FromWorker::Hello`].
    Resumed,
    /// The connection is refused; the worker keeps trying (a newer launcher may accept it).
    Refused {
        /// Why.
        reason: String,
    },
    /// The phase may begin.
    Grant {
        /// Which.
        phase: Phase,
    },
    /// The phase has to wait for a person: end as [`crate::socket::WorkerEnd::Parked`].
    Park {
        /// Which.
        phase: Phase,
    },
    /// The phase may not begin: end as failed with this reason.
    Deny {
        /// Which.
        phase: Phase,
        /// Why, for the run's log.
        reason: String,
    },
    /// Log bytes below `offset` of `section` are stored durably and may leave the spool.
    LogAck {
        /// The section.
        section: u32,
        /// Raw byte offset within it.
        offset: u64,
    },
    /// Stop what runs.
    Stop {
        /// How.
        kind: StopKind,
    },
    /// Answer to [`FromWorker::State`]; the frame's body holds what the tool gets to read.
    State {
        /// The request's id.
        id: u64,
        /// HTTP status for the tool: 200, 204 (no state yet), 403, 409, 423 (locked).
        status: u16,
    },
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// One interrupt to the tool's own process, then wait for it. Sent again, it does nothing more.
    Interrupt,
    /// Kill the tool. Data may be lost; the result says so.
    Kill,
}

/// A managed-state request of the tool's `http` backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum StateOp {
    /// Read the newest state.
    Read,
    /// Write a new one, held in the frame's body.
    Write {
        /// The tool's lock id, from the query's `ID`.
        lock_id: Option<String>,
    },
    /// Take the lock; the body holds the tool's lock information (JSON with `ID`).
    Lock,
    /// Give the lock back; same body.
    Unlock,
}

/// What the worker is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkOrder {
    /// The run.
    pub run: RunId,
    /// Its stack.
    pub stack: StackId,
    /// What the run is for.
    pub run_type: RunType,
    /// Which part of it.
    pub stage: Stage,
    /// Which tool.
    pub tool: ToolKind,
    /// Where it is taken from.
    #[serde(default, skip_serializing_if = "ToolFrom::is_any_of_image")]
    pub tool_from: ToolFrom,
    /// Directory of the code below `/mnt/workspace/source`; empty for its root. Checked by the launcher.
    pub project_root: String,
    /// Ask for the apply after a plan with changes, instead of parking.
    pub autodeploy: bool,
    /// Addresses that the plan is limited to; empty is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Task only: leave init out.
    pub skip_init: bool,
    /// Task only: the command for `sh -c`.
    pub command: Option<String>,
    /// Start the loopback state listener and point the tool's backend at it.
    pub managed_state: bool,
    /// The complete environment of tool and hooks, in order. The worker adds `TF_VAR_spacelift_run_state`
    /// of each phase, the final state for `after_run`, and the state listener's variables.
    pub environment: Vec<Variable>,
    /// Variables of the launcher that its owner hands to runs; the order's own win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handed: Vec<Handed>,
    /// Write each command into the log before it is executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace_commands: bool,
    /// Commands around the phases.
    pub hooks: Hooks,
    /// Unacknowledged log bytes that the spool may hold before the middle is dropped.
    pub spool_budget: u64,
}

/// Where a run's tool is taken from, and which version it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToolFrom {
    /// The image's own.
    Image {
        /// What it has to be; `None` takes what the image holds.
        version: Option<String>,
    },
    /// The host's, verified, mounted in [`crate::socket::TOOL_DIR`].
    Host {
        /// What it has to be.
        version: String,
    },
}

impl Default for ToolFrom {
    fn default() -> Self {
        Self::Image { version: None }
    }
}

impl ToolFrom {
    fn is_any_of_image(&self) -> bool {
        *self == Self::default()
    }
}

/// Which phases something of the host is handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandedTo {
    /// Every phase.
    Every,
    /// Phases that only read: init and plan.
    Reading,
    /// Phases that write: apply, perform, destroy.
    Writing,
}

impl HandedTo {
    /// Whether a phase that writes (or does not) gets it.
    pub fn reaches(self, writes: bool) -> bool {
        match self {
            Self::Every => true,
            Self::Reading => !writes,
            Self::Writing => writes,
        }
    }
}

/// A variable of the launcher that runs get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handed {
    /// Name that the run sees.
    pub name: String,
    /// Value.
    pub value: Secret,
    /// Phases that get it.
    pub to: HandedTo,
}
