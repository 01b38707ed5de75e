//! The life of the agent: settings to slots, signals to an exit code.
//!
//! Takes a [`Config`], gives how the process ends. Never: an exit while an answer is still
//! going out and there is time left to drain.

use std::collections::BTreeMap;
use std::io::stdout;
use std::sync::Arc;
use std::time::Duration;

use gantry_net::egress::VcsAgentPurpose;
use gantry_net::{ClientOptions, Resolver};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::audit::{Audit, Tally};
use crate::config::{Config, CredentialFrom};
use crate::exit::Exit;
use crate::forward::{
    Base, BaseError, Credential, CredentialError, Forwarder, Limits, Setup, SetupError, chain,
};
use crate::health::{self, HealthError};
use crate::stream::{self, Agent, DialError, Dialler, Gateway, NotLetIn};

/// Why the agent can't begin.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Host(#[from] SetupError),
    #[error("the base endpoint can't be used")]
    Base(#[from] BaseError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Health(#[from] HealthError),
    #[error("signals can't be taken over")]
    Signals(#[from] std::io::Error),
}

/// Runs until a signal, or until the gateway says that this agent is not for its pool.
pub async fn run(config: Config) -> Exit {
    match begin(config).await {
        Ok(exit) => exit,
        Err(error) => {
            error!("{}", chain(&error));
            Exit::Failed
        }
    }
}

async fn begin(config: Config) -> Result<Exit, StartError> {
    let mut signals = Signals::take()?;
    let drain_limit = config.times.drain;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let listen = config.health;
    let agent = agent(config)?;
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
    let told = tokio::spawn(tell(Arc::clone(&agent)));
    let exit = live(&agent, &mut signals, drain_limit).await;
    told.abort();
    drop(health);
    Ok(exit)
}

/// Tells the service manager that the agent serves once a gateway has taken it in.
async fn tell(agent: Arc<Agent>) {
    agent.tally.connected().await;
    let _alive = gantry_service::ready(&format!("connected for pool {}", agent.token.pool));
    std::future::pending().await
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
    gantry_service::stopping();
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

fn agent(config: Config) -> Result<Arc<Agent>, StartError> {
    let tally = Arc::new(Tally::default());
    let pool = config.token.pool.clone();
    let audit = Audit::new(pool, config.dump, Box::new(stdout()), Arc::clone(&tally));
    let resolver = Resolver::system();
    let agent = concat!("gantry-vcs-agent/", env!("CARGO_PKG_VERSION"));
    let mut options = ClientOptions::new(VcsAgentPurpose::GitHost, agent, &config.outside);
    options.resolver = resolver.clone();
    let forwarder = Forwarder::new(Setup {
        base: Base::new(config.base)?,
        options,
        credential: credential(config.credential.as_ref())?,
        limits: Limits {
            short: config.times.short,
            bulk: config.times.bulk,
            idle: config.times.idle,
        },
        identity: config.identity,
        audit: audit.clone(),
    })?;
    let dialler = Dialler::new(
        &config.token.host,
        &config.outside,
        resolver,
        config.dial_insecure,
    )?;
    if config.dial_insecure {
        warn!(gateway = %dialler.origin(), "the pool's key and all requests go to the gateway in clear text");
    }
    Ok(Arc::new(Agent {
        token: config.token,
        dialler,
        parallelism: config.parallelism,
        tags: ascii_json(&config.tags),
        process: ulid::Ulid::generate().to_string(),
        rules: Arc::new(config.rules),
        forwarder,
        audit,
        tally,
        whole_limit: config.body_limit,
        gateway: Gateway::default(),
    }))
}

fn credential(from: Option<&CredentialFrom>) -> Result<Option<Credential>, CredentialError> {
    Ok(match from {
        Some(CredentialFrom::Text(text)) => Some(Credential::fixed(text)?),
        Some(CredentialFrom::File(path)) => Some(Credential::in_file(path)?),
        None => None,
    })
}

/// The tags as JSON that any header can carry.
fn ascii_json(tags: &BTreeMap<String, String>) -> String {
    let json = serde_json::to_string(tags).expect("invariant: texts have a JSON form");
    let mut ascii = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() && letter != '\x7f' {
            ascii.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_fit_into_a_header_and_read_back() {
        let tags: BTreeMap<_, _> =
            [("Ort".to_owned(), "Köln \u{1F680}\u{7f}\n\"".to_owned())].into();
        let json = ascii_json(&tags);
        assert!(
            json.bytes().all(|byte| (b' '..b'\x7f').contains(&byte)),
            "{json}"
        );
        assert_eq!(
            serde_json::from_str::<BTreeMap<String, String>>(&json).unwrap(),
            tags
        );
    }
}
