//! All leases of this launcher: intake, renewal, stopping; and whether the host may take more.
//!
//! Takes inbox messages, ends of leases and signals. Gives the reason to exit. The loop only collects;
//! [`State`] decides synchronously and the effects are performed afterwards. Never: a message
//! acknowledged before it is journaled, more leases at work than there is capacity, a container touched when fenced.

mod care;
mod inbox;
mod pause;
mod pulse;
mod state;
mod turns;

pub use care::CareSettings;
pub use pause::Pause;
pub use pulse::{Pulse, Watched};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::inbox::{Content, Message};
use gantry_protocol::control::run::{Gate, Lease, Outcome, Renewed, RunResult};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::engine::Circuit;
use crate::exit::Exit;
use crate::job::{self, Accepted, Fault, Host, StopReason};
use crate::journal::{Entry, JournalError};
use crate::notify::{Notifier, Seen};
use crate::quiet::Quiet;
use crate::report::Chain;
use crate::session::CallError;
use crate::shutdown::{Signals, Urgency};
use crate::spot::Notice;
use care::{Care, Looked};
use inbox::{Heard, Inbox};
use state::{Effect, State};
use turns::Turns;

/// A lease whose journal can't be written is taken up again after this long.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// After a message that could not be journaled, the next is looked at this much later.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// Room and engine are looked at this often.
const LOOK: Duration = Duration::from_secs(15);

/// Before a spot instance goes, what changes nothing yet is stopped this much ahead.
const BEFORE_SPOT: Duration = Duration::from_secs(30);

/// What a supervisor is told besides the host.
#[derive(Debug)]
pub struct Settings {
    /// Leases at a time.
    pub capacity: u32,
    /// Room and leftovers.
    pub care: CareSettings,
    /// Spot notices, when they are asked for.
    pub spot: Option<mpsc::Receiver<Notice>>,
}

/// Runs leases until there is a reason to exit.
pub struct Supervisor {
    host: Arc<Host>,
    state: State,
    turns: Turns,
    inbox: Inbox,
    stops: BTreeMap<(String, u32), watch::Sender<Option<StopReason>>>,
    jobs: JoinSet<(Lease, Result<(), Fault>)>,
    /// At most one: a server that is silent must not hold up signals and ends.
    renewal: JoinSet<Result<Renewed, CallError>>,
    unrenewed: Quiet,
    care: Care,
    spot: Option<mpsc::Receiver<Notice>>,
    /// When what changes nothing yet is stopped, because the instance goes.
    leave_spot: Option<Instant>,
    notifier: Notifier,
    pulse: watch::Sender<Pulse>,
}

impl Supervisor {
    /// For the host's leases.
    pub fn new(host: Arc<Host>, settings: Settings) -> Self {
        let inbox = Inbox::start(host.session.clone(), host.metrics.clone());
        Self {
            state: State::new(settings.capacity),
            turns: Turns::new(settings.capacity),
            inbox,
            stops: BTreeMap::new(),
            jobs: JoinSet::new(),
            renewal: JoinSet::new(),
            unrenewed: Quiet::default(),
            care: Care::new(host.clone(), settings.care),
            spot: settings.spot,
            leave_spot: None,
            notifier: Notifier::of_this_process(),
            pulse: watch::Sender::new(Pulse::first(settings.capacity)),
            host,
        }
    }

    /// What others may know, turn by turn.
    pub fn watch(&self) -> Watched {
        self.pulse.subscribe()
    }

    /// Takes up what an earlier process left, then runs until there is a reason to exit.
    ///
    /// # Errors
    /// When the journal can't be read: going on would forget promises.
    pub async fn run(mut self, mut signals: Signals) -> Result<Exit, JournalError> {
        let entries = self.host.journal.entries()?;
        job::sweep(&self.host, &entries).await;
        for entry in entries {
            info!(run = %entry.lease.run, attempt = %entry.lease.attempt, "taken up again");
            self.start(entry, Duration::ZERO);
        }
        let mut keeper = JoinSet::new();
        keeper.spawn(job::keep(self.host.clone()));
        let mut renew = tokio::time::interval(self.host.session.lease() / 3);
        let mut look = tokio::time::interval(LOOK);
        let mut beat = tokio::time::interval(self.notifier.beat());
        let host = self.host.clone();
        loop {
            self.turn();
            if let Some(exit) = self.state.exit() {
                info!(?exit, "ending");
                if exit != Exit::Left {
                    job::end_all(&self.host).await;
                }
                if let Err(error) = self.host.ledger.save() {
                    warn!(error = %Chain(&error), "the list of pulled images could not be written");
                }
                self.inbox.leave(&self.host.session).await;
                return Ok(exit);
            }
            tokio::select! {
                heard = self.inbox.next() => self.on_heard(heard).await,
                Some(ended) = self.jobs.join_next() => self.on_end(ended),
                () = signals.next() => self.on_signal(),
                code = host.session.ended() => return Ok(shut_out(code)),
                _ = renew.tick() => self.renew(),
                Some(renewed) = self.renewal.join_next() => self.on_renewed(renewed),
                _ = look.tick() => self.care.look(self.state.is_short()),
                looked = self.care.looked() => self.on_looked(looked),
                () = host.breaker.changed() => self.on_engine(),
                notice = next_notice(&mut self.spot) => self.on_notice(&notice),
                () = reached(self.leave_spot) => self.on_last_moments(),
                _ = beat.tick() => {}
            }
        }
    }

    /// One turn of the loop: what the server, the service manager and everybody else may know.
    fn turn(&mut self) {
        self.care.probe();
        let (free_slots, pauses) = (self.state.free_slots(), self.state.pauses());
        let condition = pauses.iter().find_map(Pause::condition);
        self.inbox.offer(free_slots, condition);
        self.host.standbys.open(self.state.takes_runs());
        self.pulse.send_modify(|pulse| {
            pulse.turned = Instant::now();
            pulse.runs = self.state.leases().len();
            pulse.free_slots = free_slots;
            pulse.pauses = pauses;
        });
        let pulse = self.pulse.borrow();
        self.notifier.turn(&Seen {
            ready: pulse.answered,
            stopping: self.state.is_stopping(),
            status: pulse.line(),
        });
    }

    async fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Answer => {
                info!("ready for runs");
                self.pulse.send_modify(|pulse| pulse.answered = true);
            }
            Heard::Message(message) => self.on_message(*message).await,
        }
    }

    fn on_looked(&mut self, looked: Looked) {
        self.care.note(&looked);
        self.pulse
            .send_modify(|pulse| pulse.spaces.clone_from(&looked.spaces));
        let why = looked.shortage.as_ref().map(ToString::to_string);
        if self.state.room(looked.shortage) {
            match why {
                Some(why) => warn!(%why, "no run is taken until there is room again"),
                None => info!("there is room again; runs are taken"),
            }
        }
    }

    fn on_engine(&mut self) {
        let circuit = self.host.breaker.circuit();
        match &circuit {
            Circuit::Open { why, .. } => {
                error!(%why, "the container engine misbehaves; no run is taken until it works again");
            }
            Circuit::Trying { .. } => {
                info!("one run at a time is taken, to see whether the engine works")
            }
            Circuit::Closed => info!("the container engine works again; runs are taken"),
        }
        self.state.engine(circuit);
    }

    /// The instance goes. What runs is let run for as long as there is.
    fn on_notice(&mut self, notice: &Notice) {
        let left = notice.left();
        warn!(%notice, seconds = left.as_secs(), runs = self.stops.len(), "THIS SPOT INSTANCE IS TO BE INTERRUPTED: no run is taken any more; what can't end in time is cut by EC2");
        self.state.spot(notice.to_string());
        self.leave_spot = Some(Instant::now() + left.saturating_sub(BEFORE_SPOT));
    }

    /// What changes nothing yet is stopped while there is time to say so; an apply goes on to the last.
    fn on_last_moments(&mut self) {
        self.leave_spot = None;
        for stop in self.stops.values() {
            stop.send_replace(Some(StopReason::HostGoes));
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
        let (host, turn) = (self.host.clone(), self.turns.of(&entry));
        self.jobs.spawn(async move {
            tokio::time::sleep(pause).await;
            let _place = turn.come(stopped.clone()).await;
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
        let (session, metrics) = (self.host.session.clone(), self.host.metrics.clone());
        self.renewal.spawn(async move {
            let asked = Instant::now();
            let renewed = session.renew_leases(leases).await;
            metrics.renewed(renewed.is_ok().then(|| asked.elapsed()));
            renewed
        });
    }

    fn on_renewed(&mut self, renewed: Result<Result<Renewed, CallError>, tokio::task::JoinError>) {
        match renewed.expect("invariant: a renewal does not panic") {
            Ok(renewed) => {
                self.unrenewed.over();
                for lease in renewed.lost {
                    self.stop(lease, StopReason::Lost);
                }
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                if let Some(unsaid) = self.unrenewed.due(&error) {
                    warn!(%error, unsaid, "leases could not be renewed; trying again");
                }
            }
        }
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Supervisor({} leases)", self.stops.len())
    }
}

/// The next notice; waits for ever when none is asked for.
async fn next_notice(spot: &mut Option<mpsc::Receiver<Notice>>) -> Notice {
    match spot {
        Some(notices) => match notices.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
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
