//! One lease, from its journal entry to its reported end.
//!
//! Takes a journaled lease and the means of this host. Gives its end. This is the one module that knows the
//! whole line: gates ([`gates`], [`prepare`]), the running container ([`attend`]), the end ([`ending`]).
//! Never: a container before its journal entry, a grant before the server's durable answer, a directory
//! removed before its content was told or stored.

mod apply;
mod attend;
mod canary;
mod begin;
mod class;
mod course;
mod disk;
mod ending;
mod gates;
mod laps;
mod order;
mod outcome;
mod prepare;
mod providers;
mod reporter;
mod secrets;
mod standby;
mod states;
mod timer;
mod tool_choice;
mod vessel;
mod worker_binary;

use std::sync::Arc;

use gantry_protocol::control::run::{FailReason, Gate, Outcome, RunResult};
use gantry_protocol::crypto::{EdPublic, PoolKey};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{Instrument, error, info, info_span, warn};

pub use crate::room::container_of;
pub use canary::{CanaryError, prove};
pub use gates::{Accepted, accept};
pub use order::HostOrder;
pub use secrets::HiddenVariable;
use standby::{Recipe, Ticket};
pub use standby::{Standbys, end_all, keep, sweep};
pub use timer::Times;
pub use worker_binary::{WorkerBinaries, WorkerError};

use secrets::RunSecrets;

use crate::container::{ExtraMounts, HostPolicy};
use crate::engine::{Breaker, Docker};
use crate::image::{Allowlist, Images, Ledger};
use crate::journal::{Entry, Journal, JournalError, Progress};
use crate::logging::Secrets;
use crate::metrics::{Ended, Metrics};
use crate::network::Networks;
use crate::report::Chain;
use crate::session::{CallError, Session};
use crate::ship::{Shipper, Store};
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
    /// What the host adds to every order.
    pub order: HostOrder,
    /// Values of handed variables that logs hide.
    pub hidden: Vec<HiddenVariable>,
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
    /// Counts the container among the host's.
    ticket: Option<Ticket>,
    /// What the container was made from.
    recipe: Option<Recipe>,
    /// What is told of it to a collector.
    trace: LeaseTrace,
}

/// Brings a lease to its end. Gives an error only when this launcher can't go on.
///
/// # Errors
/// [`Fault`]: the lease stays in the journal for the next process.
pub async fn run(host: Arc<Host>, entry: Entry, stop: Stop) -> Result<(), Fault> {
    let lease = entry.lease;
    let span = info_span!("run", run = %lease.run, attempt = %lease.attempt);
    drive(host, entry, stop).instrument(span).await
}

async fn drive(host: Arc<Host>, mut entry: Entry, stop: Stop) -> Result<(), Fault> {
    let (mut _ticket, since) = (None, Instant::now());
    let trace = host.traces.lease(entry.lease, host.session.pool());
    let ended = match entry.progress.clone() {
        Progress::Ended { result } => Ok(*result),
        Progress::Accepted | Progress::Started(_) => {
            let worked = work(&host, entry, stop, trace.clone()).await;
            // The container counts until it is removed.
            (entry, _ticket) = (worked.entry, worked.ticket);
            worked.ended
        }
    };
    match ended {
        Ok(result) => {
            let outcome = counted(&result.outcome);
            host.metrics.run_ended(outcome, since.elapsed());
            if let Some(image) = &result.image {
                trace.set("gantry.image", image);
            }
            host.traces.ended(&trace, outcome.name(), outcome.is_fine());
            report(&host, entry, result).await
        }
        Err(Halt::Lost(why)) => {
            host.metrics.run_ended(Ended::Lost, since.elapsed());
            host.traces.ended(&trace, Ended::Lost.name(), false);
            warn!(error = %Chain(&why), "the lease is no longer ours; nothing is reported");
            clear(&host, &entry).await
        }
        Err(Halt::Fault(fault)) => Err(fault),
        Err(Halt::Refused(..) | Halt::Away(..) | Halt::Stopped(_)) => {
            unreachable!("invariant: work turns refusals and stops into results")
        }
    }
}

/// A lease that came to its end, with what is still held for it.
struct Worked {
    entry: Entry,
    ticket: Option<Ticket>,
    ended: Result<RunResult, Halt>,
}

/// Opens the payload and goes through gates, container and end.
async fn work(host: &Arc<Host>, entry: Entry, stop: Stop, trace: LeaseTrace) -> Worked {
    let opened = match gates::reopen(host, &entry) {
        Ok(opened) => opened,
        Err(message) => {
            let gate = Gate::Envelope;
            return Worked {
                entry,
                ticket: None,
                ended: Ok(plain(Outcome::Refused { gate, message })),
            };
        }
    };
    trace.set("gantry.stack", &opened.payload().stack.to_string());
    let secrets = RunSecrets::of(opened.payload(), &host.hidden);
    let _hidden = host.secrets.hide(secrets.values());
    let records = host.output.as_ref();
    let records = records.map(|output| output.run(entry.lease.run, &opened.payload().stack));
    let store = Store {
        session: host.session.clone(),
        lease: entry.lease,
        records,
        metrics: host.metrics.clone(),
    };
    let shipper = Shipper::start(store, secrets.mask());
    if let (Progress::Accepted, Some(warning)) = (&entry.progress, secrets.warning()) {
        shipper.narrator().say(warning);
    }
    let mut job = Job {
        host: host.clone(),
        entry,
        stop,
        shipper,
        ticket: None,
        recipe: None,
        trace,
    };
    let ended = match job.entry.progress.clone() {
        Progress::Started(started) => job.adopt(opened, started).await,
        Progress::Accepted | Progress::Ended { .. } => job.begin(opened).await,
    };
    let Job {
        entry,
        shipper,
        ticket,
        ..
    } = job;
    let ended = match result_of(&entry, ended) {
        Ok(result) => shipped(shipper, result).await,
        Err(halt) => {
            shipper.abandon();
            Err(halt)
        }
    };
    Worked {
        entry,
        ticket,
        ended,
    }
}

/// The result, once the log is stored.
async fn shipped(shipper: Shipper, result: RunResult) -> Result<RunResult, Halt> {
    shipper.narrator().say(closing_line(&result.outcome));
    match shipper.finish().await {
        Ok(()) => Ok(result),
        Err(error) if error.is_lost_lease() => Err(Halt::Lost(error)),
        Err(error) => {
            // The result matters more than the rest of the log.
            error!(error = %Chain(&error), "the server does not take the rest of the log");
            Ok(result)
        }
    }
}

/// What is reported, or why nothing is.
fn result_of(entry: &Entry, ended: Result<RunResult, Halt>) -> Result<RunResult, Halt> {
    match ended {
        Ok(result) => Ok(result),
        Err(Halt::Refused(gate, message) | Halt::Away(gate, message)) => {
            Ok(plain(refusal(entry, gate, message)))
        }
        Err(Halt::Stopped(StopReason::Lost)) => Err(Halt::Lost(CallError::lost())),
        Err(Halt::Stopped(why)) => {
            let message = why.sentence();
            Ok(plain(Outcome::Stopped { message }))
        }
        Err(halt) => Err(halt),
    }
}

/// A gate's no means that nothing was executed; after the worker got its order it can't mean that any more.
fn refusal(entry: &Entry, gate: Gate, message: String) -> Outcome {
    match &entry.progress {
        Progress::Started(started) if started.session.is_some() => Outcome::Failed {
            reason: FailReason::ContainerLost,
            message: format!("{message}{}", outcome::left_behind(started.has_any_grant())),
        },
        _ => Outcome::Refused { gate, message },
    }
}

fn plain(outcome: Outcome) -> RunResult {
    RunResult {
        outcome,
        plan: None,
        image: None,
        worker: None,
    }
}

fn counted(outcome: &Outcome) -> Ended {
    match outcome {
        Outcome::Succeeded => Ended::Succeeded,
        Outcome::Parked { .. } => Ended::Parked,
        Outcome::Refused { .. } => Ended::Refused,
        Outcome::Failed { .. } => Ended::Failed,
        Outcome::Stopped { .. } => Ended::Stopped,
    }
}

fn closing_line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "Done.".to_owned(),
        Outcome::Parked { .. } => {
            "The plan waits for a decision; the workspace is sealed and stored.".to_owned()
        }
        Outcome::Refused { message, .. } => format!("Refused: {message}"),
        Outcome::Failed { message, .. } => format!("Failed: {message}"),
        Outcome::Stopped { message } => format!("Stopped: {message}"),
    }
}

/// Writes the end down, tells it, and clears up.
async fn report(host: &Host, mut entry: Entry, result: RunResult) -> Result<(), Fault> {
    entry.progress = Progress::Ended {
        result: Box::new(result.clone()),
    };
    host.journal.write(&entry)?;
    match host.session.result(entry.lease, &result).await {
        Ok(taken) => info!(state = %taken.state, counted = taken.counted, "reported"),
        Err(refused) => error!(error = %Chain(&refused), "the server does not take the result"),
    }
    clear(host, &entry).await
}

/// Container first, then directory, then journal: each step can be repeated by the next process.
async fn clear(host: &Host, entry: &Entry) -> Result<(), Fault> {
    let lease = entry.lease;
    ending::remove_container(host, entry).await;
    host.networks.release(&container_of(entry));
    let dirs = host.data.run(lease.run, lease.attempt);
    for leftover in host.data.remove_run(&dirs) {
        warn!(path = %leftover.path, reason = %leftover.reason, "could not be removed");
    }
    let until = entry.expires + gantry_protocol::control::envelope::CLOCK_ALLOWANCE;
    Ok(host.journal.end(lease, until)?)
}

#[cfg(test)]
mod tests {
    use gantry_protocol::control::run::Lease;

    use super::*;
    use crate::journal::{GrantRecord, SessionRecord, Started};
    use gantry_protocol::control::inbox::SealedRun;
    use gantry_protocol::ids::{Attempt, Digest};
    use gantry_protocol::socket::Phase;

    fn entry(session: Option<SessionRecord>, granted: bool) -> Entry {
        let run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        let lease = Lease {
            run,
            attempt: Attempt(1),
        };
        let sealed = SealedRun {
            envelope: String::new(),
            sealed: String::new(),
        };
        let mut entry = Entry::accepted(lease, sealed, 0);
        let grant = GrantRecord {
            phase: Phase::Apply,
            section: 1,
            granted,
        };
        entry.progress = Progress::Started(Started {
            image: "image".into(),
            worker: Digest::of(b"worker"),
            tool: None,
            session,
            grants: vec![grant],
            began: 0,
        });
        entry
    }

    #[test]
    fn what_has_begun_is_never_called_refused() {
        let key = Digest::of(b"key");
        let why = || "the container is gone".to_owned();
        let fresh = refusal(&entry(None, false), Gate::Container, why());
        assert!(matches!(fresh, Outcome::Refused { .. }), "{fresh:?}");
        let record = Some(SessionRecord { key, given: true });
        for granted in [false, true] {
            let begun = refusal(&entry(record, granted), Gate::Container, why());
            let Outcome::Failed { reason, message } = begun else {
                panic!("{begun:?}")
            };
            assert_eq!(reason, FailReason::ContainerLost);
            assert_eq!(message.contains("may be locked"), granted, "{message}");
        }
    }
}
