//! All leases of this launcher: intake, renewal, stopping.
//!
//! Takes inbox messages, ends of leases and signals. Gives the reason to exit. The loop only collects;
//! [`State`] decides synchronously and the effects are performed afterwards. Never: a message
//! acknowledged before it is journaled, a lease taken over capacity, a container touched when fenced.

mod inbox;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::inbox::{Content, Message};
use gantry_protocol::control::run::{Gate, Lease, Outcome, Renewed, RunResult};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::exit::Exit;
use crate::job::{self, Accepted, Fault, Host, StopReason};
use crate::journal::{Entry, JournalError};
use crate::report::Chain;
use crate::session::CallError;
use crate::shutdown::{Signals, Urgency};
use inbox::Inbox;
use state::{Effect, State};

/// A lease whose journal can't be written is taken up again after this long.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// After a message that could not be journaled, the next is looked at this much later.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// Ended leases are forgotten this often.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// Runs leases until there is a reason to exit.
pub struct Supervisor {
    host: Arc<Host>,
    state: State,
    inbox: Inbox,
    stops: BTreeMap<(String, u32), watch::Sender<Option<StopReason>>>,
    jobs: JoinSet<(Lease, Result<(), Fault>)>,
    /// At most one: a server that is silent must not hold up signals and ends.
    renewal: JoinSet<Result<Renewed, CallError>>,
}

impl Supervisor {
    /// For `capacity` leases at a time.
    pub fn new(host: Arc<Host>, capacity: u32) -> Self {
        let inbox = Inbox::start(host.session.clone());
        Self {
            host,
            state: State::new(capacity),
            inbox,
            stops: BTreeMap::new(),
            jobs: JoinSet::new(),
            renewal: JoinSet::new(),
        }
    }

    /// Takes up what an earlier process left, then runs until there is a reason to exit.
    ///
    /// # Errors
    /// When the journal can't be read: going on would forget promises.
    pub async fn run(mut self, mut signals: Signals) -> Result<Exit, JournalError> {
        let entries = self.host.journal.entries()?;
        job::sweep(&self.host, &entries).await;
        self.report_strangers(&entries).await;
        for entry in entries {
            info!(run = %entry.lease.run, attempt = %entry.lease.attempt, "taken up again");
            self.start(entry, Duration::ZERO);
        }
        let mut keeper = JoinSet::new();
        keeper.spawn(job::keep(self.host.clone()));
        let mut renew = tokio::time::interval(self.host.session.lease() / 3);
        let mut tidy = tokio::time::interval(HOUSEKEEPING);
        loop {
            self.inbox.free_slots(self.state.free_slots());
            self.host.standbys.open(self.state.takes_runs());
            if let Some(exit) = self.state.exit() {
                info!(?exit, "ending");
                if exit != Exit::Left {
                    job::end_all(&self.host).await;
                }
                self.inbox.leave(&self.host.session).await;
                return Ok(exit);
            }
            tokio::select! {
                message = self.inbox.next() => self.on_message(message).await,
                Some(ended) = self.jobs.join_next() => self.on_end(ended),
                () = signals.next() => self.on_signal(),
                code = self.host.session.ended() => return Ok(shut_out(code)),
                _ = renew.tick() => self.renew(),
                Some(renewed) = self.renewal.join_next() => self.on_renewed(renewed),
                _ = tidy.tick() => self.tidy(),
            }
        }
    }

    async fn on_message(&mut self, message: Message) {
        let id = message.id;
        let taken = match message.content {
            Content::Run(sealed) => self.on_run(*sealed).await,
            Content::Stop { run, attempt, note } => {
                self.stop(Lease { run, attempt }, StopReason::Person(note));
                Ok(())
            }
            Content::Drain { on } => {
                self.state.drain(on);
                Ok(())
            }
            Content::Cycle => {
                self.state.cycle();
                Ok(())
            }
            Content::Unknown => {
                warn!(
                    id,
                    "a message of a kind that this launcher does not know; left alone"
                );
                Ok(())
            }
        };
        match taken {
            Ok(()) => self.inbox.acknowledge(id),
            Err(error) => {
                error!(error = %Chain(&error), "a message could not be journaled");
                // Not acknowledged, so it comes again, and at once: a full disk must not fill the log too.
                tokio::time::sleep(JOURNAL_PAUSE).await;
            }
        }
    }

    async fn on_run(
        &mut self,
        sealed: gantry_protocol::control::inbox::SealedRun,
    ) -> Result<(), JournalError> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        match job::accept(&self.host, sealed, now)? {
            Accepted::New(entry) => self.start(*entry, Duration::ZERO),
            Accepted::Again(lease) => {
                info!(run = %lease.run, attempt = %lease.attempt, "delivered again; nothing to do")
            }
            Accepted::Dropped(error) => error!(error = %Chain(&error), "a run envelope is refused"),
            Accepted::Refused(lease, message) => {
                error!(run = %lease.run, %message, "a run envelope is refused");
                let outcome = Outcome::Refused {
                    gate: Gate::Envelope,
                    message,
                };
                let result = RunResult {
                    outcome,
                    plan: None,
                    image: None,
                    worker: None,
                };
                let host = self.host.clone();
                tokio::spawn(async move {
                    if let Err(error) = host.session.result(lease, &result).await {
                        warn!(error = %Chain(&error), "the refusal could not be told");
                    }
                });
            }
        }
        Ok(())
    }

    fn start(&mut self, entry: Entry, pause: Duration) {
        let lease = entry.lease;
        let (stop, stopped) = watch::channel(None);
        self.stops.insert(key(lease), stop);
        self.state.started(lease);
        let host = self.host.clone();
        self.jobs.spawn(async move {
            tokio::time::sleep(pause).await;
            (lease, job::run(host, entry, stopped).await)
        });
    }

    fn on_end(&mut self, ended: Result<(Lease, Result<(), Fault>), tokio::task::JoinError>) {
        let (lease, ended) = ended.expect("invariant: a lease's task does not panic");
        self.stops.remove(&key(lease));
        self.state.ended(lease);
        let Err(fault) = ended else { return };
        error!(run = %lease.run, error = %Chain(&fault), "this launcher failed; taking the lease up again");
        match self.host.journal.entries() {
            Ok(entries) => {
                if let Some(entry) = entries.into_iter().find(|entry| entry.lease == lease) {
                    self.start(entry, FAULT_PAUSE);
                }
            }
            Err(error) => error!(error = %Chain(&error), "the journal can't be read"),
        }
    }

    fn on_signal(&mut self) {
        for effect in self.state.signal() {
            match effect {
                Effect::Say(urgency) => say(urgency),
                Effect::StopAll => {
                    for stop in self.stops.values() {
                        stop.send_replace(Some(StopReason::Shutdown));
                    }
                }
            }
        }
    }

    fn stop(&self, lease: Lease, reason: StopReason) {
        match self.stops.get(&key(lease)) {
            Some(stop) => {
                info!(run = %lease.run, ?reason, "stopping");
                stop.send_replace(Some(reason));
            }
            None => info!(run = %lease.run, "asked to stop a run that is not here"),
        }
    }

    fn renew(&mut self) {
        let leases = self.state.leases();
        if leases.is_empty() || !self.renewal.is_empty() {
            return;
        }
        let session = self.host.session.clone();
        self.renewal
            .spawn(async move { session.renew_leases(leases).await });
    }

    fn on_renewed(&self, renewed: Result<Result<Renewed, CallError>, tokio::task::JoinError>) {
        match renewed.expect("invariant: a renewal does not panic") {
            Ok(renewed) => {
                for lease in renewed.lost {
                    self.stop(lease, StopReason::Lost);
                }
            }
            Err(error) => {
                warn!(error = %Chain(&error), "leases could not be renewed; trying again")
            }
        }
    }

    fn tidy(&self) {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        if let Err(error) = self.host.journal.forget_expired(now) {
            warn!(error = %Chain(&error), "housekeeping of the journal failed");
        }
    }

    /// Containers with our label that the journal does not know are told of, never touched.
    async fn report_strangers(&self, entries: &[Entry]) {
        let strangers = job::strangers(&self.host, entries).await;
        for name in strangers {
            warn!(container = %name, "carries this launcher's label but is not in its journal; look at it, then remove it by hand");
        }
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Supervisor({} leases)", self.stops.len())
    }
}

fn key(lease: Lease) -> (String, u32) {
    (lease.run.to_string(), lease.attempt.0)
}

fn say(urgency: Urgency) {
    match urgency {
        Urgency::Running => {}
        Urgency::Drain => {
            info!("draining: finishing what runs, taking nothing new; signal again to stop runs")
        }
        Urgency::Cancel => {
            warn!("stopping runs with grace; signal again to leave them to the next process")
        }
        Urgency::Leave => warn!("leaving at once; containers stay for the next process"),
    }
}

fn shut_out(code: ProblemCode) -> Exit {
    match code {
        ProblemCode::Fenced => {
            error!(
                "a newer process uses this launcher's identity; this one ends and touches nothing"
            );
            Exit::Fenced
        }
        ProblemCode::Quarantined => {
            error!(
                "two processes use this launcher's identity: both are quarantined until an administrator clears it"
            );
            Exit::Refused
        }
        _ => {
            error!(?code, "the server has shut this launcher out");
            Exit::Refused
        }
    }
}
