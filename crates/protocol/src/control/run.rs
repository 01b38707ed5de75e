//! What a launcher tells the server about a leased run. Every request is idempotent: the launcher repeats
//! it until it is answered.

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, Digest, RunId};
use crate::run::RunState;
use crate::socket::PlanSummary;

/// Renews leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The leases that this launcher holds.
    pub leases: Vec<Lease>,
}

/// One lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// Its attempt.
    pub attempt: Attempt,
}

/// Answer to [`Renew`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Leases that are no longer this launcher's: a newer attempt exists or the run has ended. Stop them.
    pub lost: Vec<Lease>,
}

/// A phase that needs no grant began (`PREPARING` needs no report: the lease says it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterPhase {
    /// Log section of the phase, from 1; section 0 is the launcher's own (`PREPARING`, `PREPARING_APPLY`).
    pub section: u32,
    /// `INITIALIZING` or `PLANNING`.
    pub state: RunState,
}

/// Answer to [`EnterPhase`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    /// The run's state version under which the section is served.
    pub state_version: u32,
}

/// Asks for the durable "attempt n → APPLYING".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// Log section that the phase will have.
    pub section: u32,
    /// `APPLYING`, `PERFORMING` or `DESTROYING`.
    pub state: RunState,
    /// The plan that would be applied, where one was made.
    pub plan: Option<PlanSummary>,
}

/// Answer to [`GrantRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum GrantAnswer {
    /// Durable: the phase is this attempt's, once.
    Granted {
        /// The run's state version under which the section is served.
        state_version: u32,
    },
    /// A person has to decide first (autodeploy was switched off, the stack is locked by a person).
    Park,
    /// The run can't go on; the phase must not start.
    Denied {
        /// Why, for the run's log.
        reason: String,
    },
}

/// How far a log section is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStored {
    /// Raw offset below which everything is durable.
    pub offset: u64,
}

/// The end of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// How it ended.
    pub outcome: Outcome,
    /// What was planned, where a plan was made.
    pub plan: Option<PlanSummary>,
    /// The image as it was run: repository and digest.
    pub image: Option<String>,
    /// Digest of the worker executable.
    pub worker: Option<Digest>,
}

/// Answer to a plan as data ([`crate::plan::PlanData`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTaken {
    /// Lines for the run's log: what the server's policies say about it.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How a lease ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// All done.
    Succeeded,
    /// A plan with changes waits for a decision; the workspace is stored.
    Parked {
        /// [`super::workspace::WorkspaceAttestation`] as JWS.
        attestation: String,
    },
    /// A gate said no: nothing of the run was executed.
    Refused {
        /// Which gate.
        gate: Gate,
        /// One sentence for people.
        message: String,
    },
    /// The run failed.
    Failed {
        /// Why, by kind.
        reason: FailReason,
        /// One sentence for people: what failed, and what may be left behind.
        message: String,
    },
    /// A person's stop was honoured.
    Stopped {
        /// What was cut, and what may be left behind.
        message: String,
    },
}

/// The gates before a container starts, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Signature, addressee, time, replay.
    Envelope,
    /// Reference, allowlist, digest.
    Image,
    /// Whether somebody signed for the run, where that is required.
    Signature,
    /// Local admission policy.
    Policy,
    /// Pull and platform.
    Pull,
    /// Source, files, packed workspace.
    Workspace,
    /// The worker executable.
    Worker,
    /// The tool at the version that the stack asks for.
    Tool,
    /// Creating or starting the container.
    Container,
}

/// Why a run failed after its container started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// A hook failed.
    Hook,
    /// The tool failed.
    Tool,
    /// The tool is missing in the image.
    ToolMissing,
    /// A grant was denied.
    Denied,
    /// The workspace was not as it has to be.
    Workspace,
    /// The container ran out of memory.
    OutOfMemory,
    /// The run used more disk than it may.
    OutOfDisk,
    /// The container ended without the worker's final word.
    ContainerLost,
    /// A time limit passed.
    TimedOut,
    /// The launcher or the worker failed.
    Internal,
}

/// Answer to [`RunResult`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultTaken {
    /// The run's state now.
    pub state: RunState,
    /// `false` when the run had ended before and the result was only kept as a note.
    pub counted: bool,
}
