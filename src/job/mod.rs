//! One lease, from its journal entry to its reported end.
//!
//! Takes a journaled lease and the means of this host. Gives its end. This is the one module that knows the
//! whole line: gates ([`gates`], [`prepare`]), the running container ([`attend`]), the end ([`ending`]).
//! Never: a container before its journal entry, a grant before the server's durable answer, a directory
//! removed before its content was told or stored.

mod admission;
mod apply;
mod attend;
mod begin;
mod canary;
mod class;
mod course;
mod disk;
mod ending;
mod gates;
mod laps;
mod lease;
mod order;
mod outcome;
mod plan;
mod prepare;
mod providers;
mod reporter;
mod secrets;
mod standby;
mod states;
mod timer;
mod tool_choice;
mod upload;
mod vessel;
mod worker_binary;

use std::sync::Arc;

use gantry_protocol::control::run::Gate;
use gantry_protocol::crypto::{EdPublic, PoolKey};
use tokio::sync::watch;

pub use crate::room::container_of;
pub use canary::{CanaryError, prove};
pub use gates::{Accepted, accept};
pub use lease::run;
pub use order::HostOrder;
pub use secrets::HiddenVariable;
use standby::{Recipe, Ticket};
pub use standby::{Standbys, end_all, keep, sweep};
pub use timer::Times;
pub use worker_binary::{WorkerBinaries, WorkerError};

use crate::container::{ExtraMounts, HostPolicy};
use crate::engine::{Breaker, Docker};
use crate::image::{Allowlist, Images, Ledger};
use crate::journal::{Entry, Journal, JournalError};
use crate::logging::Secrets;
use crate::mask::Mask;
use crate::metrics::Metrics;
use crate::network::Networks;
use crate::policy::InitPolicy;
use crate::session::{CallError, Session};
use crate::ship::Shipper;
use crate::signature::{Rights, Signatures};
use crate::source::Fetcher;
use crate::stdout::StandardOutput;
use crate::telemetry::{LeaseTrace, Traces};
use crate::tool::{ProviderCache, Tools};
use crate::workspace::DataDir;

/// The means of this host, shared by all leases.
pub struct Host {
    /// The server.
    pub session: Arc<Session>,
    /// What was promised.
    pub journal: Journal,
    /// Docker.
    pub engine: Docker,
    /// Images on it.
    pub images: Images,
    /// Where images may come from.
    pub allowlist: Allowlist,
    /// Image of stacks that name none.
    pub default_image: Option<String>,
    /// What containers look like.
    pub policy: HostPolicy,
    /// Networks that they get.
    pub networks: Networks,
    /// Paths of the host that they get.
    pub mounts: ExtraMounts,
    /// Run directories.
    pub data: DataDir,
    /// Fetches source.
    pub fetcher: Fetcher,
    /// Worker executables.
    pub workers: WorkerBinaries,
    /// Containers that wait for their run.
    pub standbys: Arc<Standbys>,
    /// Providers kept for later runs, if they are kept.
    pub providers: Option<ProviderCache>,
    /// Tools that stacks ask for.
    pub tools: Arc<Tools>,
    /// Opens payloads, signs workspaces.
    pub pool_key: PoolKey,
    /// Keys that may sign envelopes.
    pub server_keys: Vec<EdPublic>,
    /// Checks who signed for runs.
    pub signatures: Signatures,
    /// What the host adds to every order.
    pub order: HostOrder,
    /// Values of handed variables that logs hide.
    pub hidden: Vec<HiddenVariable>,
    /// What the host's owner asks about every run.
    pub init_policy: Option<Arc<InitPolicy>>,
    /// Keeps secrets out of the launcher's own log.
    pub secrets: Secrets,
    /// Where logs of runs go besides the server.
    pub output: Option<StandardOutput>,
    /// Bytes of disk that a run may use.
    pub disk: u64,
    /// Time-outs of runs.
    pub times: Times,
    /// Keep ended containers.
    pub keep_containers: bool,
    /// What is thought of the engine.
    pub breaker: Breaker,
    /// What is counted.
    pub metrics: Metrics,
    /// Images that were pulled here.
    pub ledger: Ledger,
    /// Where traces go.
    pub traces: Traces,
}

impl Host {
    /// Whether a container without a lease is in use all the same: one that waits for its run.
    pub fn spares(&self, container: &str) -> bool {
        standby::is_name(container)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({})", self.session.launcher())
    }
}

/// Why a lease has to end early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A person asked for it, with this note.
    Person(String),
    /// This launcher was told twice to stop.
    Shutdown,
    /// The instance that this launcher is on is about to be taken away.
    HostGoes,
    /// The server says that the lease is no longer ours.
    Lost,
}

impl StopReason {
    fn sentence(&self) -> String {
        match self {
            Self::Person(note) if note.is_empty() => "a person stopped the run".to_owned(),
            Self::Person(note) => format!("a person stopped the run: {note}"),
            Self::Shutdown => "the launcher was told to stop at once".to_owned(),
            Self::HostGoes => {
                "the cloud takes the launcher's instance away in less than 30 s".to_owned()
            }
            Self::Lost => "the server gave the run to another launcher or ended it".to_owned(),
        }
    }
}

/// How a stop reaches a lease.
pub type Stop = watch::Receiver<Option<StopReason>>;

/// Why a lease did not come to an outcome of its own.
#[derive(Debug)]
pub(crate) enum Halt {
    /// A gate said no; nothing of the run was executed.
    Refused(Gate, String),
    /// It was stopped before its container started.
    Stopped(StopReason),
    /// The container engine is away, as when it restarts: what was tried at the gate may be tried again.
    Away(Gate, String),
    /// The server refused this lease for good: leave no trace.
    Lost(CallError),
    /// This launcher failed.
    Fault(Fault),
}

/// Failures of this launcher, not of the run.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The journal.
    #[error("the journal can't be written")]
    Journal(#[from] JournalError),
}

impl From<JournalError> for Halt {
    fn from(error: JournalError) -> Self {
        Self::Fault(error.into())
    }
}

/// A lease at work.
pub(crate) struct Job {
    host: Arc<Host>,
    entry: Entry,
    stop: Stop,
    shipper: Shipper,
    /// What nothing that leaves this host may show.
    mask: Mask,
    /// Counts the container among the host's.
    ticket: Option<Ticket>,
    /// What the container was made from.
    recipe: Option<Recipe>,
    /// What it may be granted, once it was admitted.
    rights: Option<Rights>,
    /// What is told of it to a collector.
    trace: LeaseTrace,
}
