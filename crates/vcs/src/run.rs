//! The life of the agent: settings to slots, signals to an exit code.
//!
//! Takes [`Settings`] that have no mistakes left, gives how the process ends. Never: an exit while an answer is still
//! going out and there is time left to drain.

use std::io::stdout;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_net::{ClientOptions, NamedPem, Resolver};
use gantry_vcs_wire::PoolToken;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::audit::{Audit, Tally};
use crate::exit::Exit;
use crate::forward::{Base, Credential, Forwarder, Limits, Setup, SetupError, chain};
use crate::health::{self, HealthError};
use crate::rules::Rules;
use crate::stream::{self, Agent, DialError, Dialler, Gateway, NotLetIn};

/// What an agent is told, checked.
pub struct Settings {
    /// The gateway, and what opens it.
    pub token: PoolToken,
    /// Clear text to the gateway.
    pub insecure: bool,
    /// Number of streams.
    pub parallelism: usize,
    /// The tags, as a JSON object.
    pub tags: String,
    /// CAs that are trusted besides the bundled and the host's.
    pub roots: Vec<NamedPem>,
    /// The Git host.
    pub base: Base,
    /// What may pass.
    pub rules: Rules,
    /// What the agent shows the host instead of what the gateway sends.
    pub credential: Option<Credential>,
    /// How long exchanges may take.
    pub limits: Limits,
    /// Whether the host is told not to compress.
    pub identity: bool,
    /// Largest body for a gateway that takes no parts, in bytes.
    pub whole_limit: usize,
    /// Requests and responses are printed with their headers.
    pub dump: bool,
    /// How long stopping waits for what is in flight.
    pub drain: Duration,
    /// Where health and metrics are served.
    pub health: Option<SocketAddr>,
}

/// Why the agent can't begin.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Host(#[from] SetupError),
    #[error(transparent)]
    Health(#[from] HealthError),
    #[error("signals can't be taken over")]
    Signals(#[from] std::io::Error),
}

/// Runs until a signal, or until the gateway says that this agent is not for its pool.
pub async fn run(settings: Settings) -> Exit {
    match begin(settings).await {
        Ok(exit) => exit,
        Err(error) => {
            error!("{}", chain(&error));
            Exit::Failed
        }
    }
}

async fn begin(settings: Settings) -> Result<Exit, StartError> {
    let mut signals = Signals::take()?;
    let drain_limit = settings.drain;
    let listen = settings.health;
    let agent = agent(settings)?;
    let health = match listen {
        Some(address) => Some(health::serve(address, Arc::clone(&agent.tally)).await?),
        None => None,
    };
    info!(
        version = env!("CARGO_PKG_VERSION"),
        vendor = %agent.rules.vendor(),
        pool = agent.token.pool,
        streams = agent.parallelism,
        "gantry-vcs-agent"
    );
    let exit = live(&agent, &mut signals, drain_limit).await;
    drop(health);
    Ok(exit)
}

async fn live(agent: &Arc<Agent>, signals: &mut Signals, drain_limit: Duration) -> Exit {
    let drain = CancellationToken::new();
    // Dropped with everything that is in flight when this returns; each request then gets its line.
    let mut slots = Box::pin(stream::run(Arc::clone(agent), drain.clone()));
    tokio::select! {
        ended = &mut slots => return over(ended),
        () = signals.next() => {}
    }
    let in_flight = agent.tally.in_flight();
    info!(in_flight, limit = ?drain_limit, "stopping: no new requests; what is in flight is finished");
    drain.cancel();
    tokio::select! {
        ended = &mut slots => return over(ended),
        () = signals.next() => warn!(in_flight = agent.tally.in_flight(), "told to stop again: requests are cut"),
        () = sleep_until(Instant::now() + drain_limit) => {
            warn!(in_flight = agent.tally.in_flight(), "the drain limit has passed: requests are cut");
        }
    }
    match agent.tally.in_flight() {
        0 => Exit::Drained,
        _ => Exit::Cut,
    }
}

fn over(ended: Result<(), NotLetIn>) -> Exit {
    match ended {
        Ok(()) => {
            info!("stopped");
            Exit::Drained
        }
        Err(error) => {
            error!(
                "{error}; make a new token for the pool, or look whether the pool is still there"
            );
            Exit::Refused
        }
    }
}

fn agent(settings: Settings) -> Result<Arc<Agent>, StartError> {
    let tally = Arc::new(Tally::default());
    let pool = settings.token.pool.clone();
    let audit = Audit::new(pool, settings.dump, Box::new(stdout()), Arc::clone(&tally));
    let resolver = Resolver::system();
    let mut options = ClientOptions::new(concat!("gantry-vcs-agent/", env!("CARGO_PKG_VERSION")));
    options.extra_roots.clone_from(&settings.roots);
    options.resolver = resolver.clone();
    let forwarder = Forwarder::new(Setup {
        base: settings.base,
        options,
        credential: settings.credential,
        limits: settings.limits,
        identity: settings.identity,
        audit: audit.clone(),
    })?;
    let dialler = Dialler::new(
        &settings.token.host,
        &settings.roots,
        resolver,
        settings.insecure,
    )?;
    if settings.insecure {
        warn!(gateway = %dialler.origin(), "the pool's key and all requests go to the gateway in clear text");
    }
    Ok(Arc::new(Agent {
        token: settings.token,
        dialler,
        parallelism: settings.parallelism,
        tags: settings.tags,
        process: ulid::Ulid::generate().to_string(),
        rules: Arc::new(settings.rules),
        forwarder,
        audit,
        tally,
        whole_limit: settings.whole_limit,
        gateway: Gateway::default(),
    }))
}

/// The process's stop signals.
struct Signals {
    all: [Signal; 3],
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            all: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    async fn next(&mut self) {
        let [term, int, hup] = &mut self.all;
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {}
        }
    }
}
