//! Configuration → a [`Host`] that is ready for leases, in the order in which things can fail.

mod error;
mod parts;
mod source;

use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;
use tracing::{info, warn};

pub use error::StartError;
pub use parts::host_policy;
use parts::{
    about, hidden, host_order, images, keep_out_of_the_log, ledger, mounts, networks, output,
    provider_cache, tool_keys, tool_store, workers,
};
pub use source::BundleError;

use crate::config::Config;
use crate::container::RUN_ID;
use crate::engine::{Breaker, Docker, EngineError, EngineInfo, Platform};
use crate::identity::{DataDir as OwnDir, machine};
use crate::job::{Host, Standbys, prove};
use crate::journal::Journal;
use crate::logging::Secrets;
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::policy::InitPolicy;
use crate::registry::Logins;
use crate::room::{Keep, Need, Place};
use crate::session::{Session, Start, establish};
use crate::signature::Signatures;
use crate::spot;
use crate::supervisor::{CareSettings, Settings};
use crate::telemetry::Traces;
use crate::token::PoolCredentials;
use crate::tool::Tools;
use crate::workspace::{DataDir, Owner};

/// Everything that the supervisor needs; the data directory is held as long as this lives.
#[derive(Debug)]
pub struct Ready {
    /// The means of this host.
    pub host: Arc<Host>,
    /// What the supervisor is told besides.
    pub settings: Settings,
    /// Holds the data directory's lock.
    pub own: OwnDir,
}

/// Added CAs that nothing can be signed with any more are said, not refused: another one may be in use.
fn look_at_roots(config: &Config) {
    for root in &config.outside.roots {
        for oddity in gantry_net::oddities(root, SystemTime::now()).unwrap_or_default() {
            warn!("{oddity}");
        }
    }
}

/// Goes from configuration to a host that may take leases.
///
/// # Errors
/// The first thing that does not work; see [`StartError`].
pub async fn start(config: Config, secrets: Secrets) -> Result<Ready, StartError> {
    keep_out_of_the_log(&config, &secrets);
    let now = OffsetDateTime::now_utc();
    let credentials = PoolCredentials::read(&config.token, &config.pool_key, now)?;
    if let Some(days) = credentials.days_left_if_few(now) {
        warn!(
            days,
            "the pool certificate in SPACELIFT_TOKEN ends soon; reset the pool in time"
        );
    }
    look_at_roots(&config);
    let logins = Logins::new(config.images.logins.clone())?;
    let tool_keys = tool_keys(&config)?;
    let init_policy = init_policy(&config, &secrets)?;
    let trusted = Signatures::trusted(&config.signatures)?;
    let (engine, about_engine) = engine(&config).await?;
    let platform = platform(&config, &about_engine);
    let machine = Machine::of_image(&platform.architecture).or_else(Machine::own);
    let mounts = mounts(&config, &engine, &about_engine);
    mounts.check()?;
    let own = OwnDir::open(&config.data_dir)?;
    let owner = Owner::of_runs(RUN_ID, about_engine.remap);
    let data = DataDir::open(&config.data_dir, owner)?;
    let (session, journal) = join(&config, &credentials, &own).await?;
    let networks = networks(&config, &engine, &journal).await?;
    let (metrics, ledger) = (Metrics::default(), ledger(&config)?);
    let settings = settings(&config, &about_engine)?;
    let images = images(&engine, platform, &session, logins, config.images.pull);
    let images = images.hiding_logins(secrets.clone());
    let host = Host {
        images: images.noting(ledger.clone(), metrics.clone()),
        policy: host_policy(&config),
        init_policy,
        networks,
        standbys: Standbys::new(config.standby, config.capacity),
        mounts,
        workers: workers(&config, &session, machine)?,
        fetcher: source::fetcher(&config, owner)?,
        providers: provider_cache(&config, machine)?,
        tools: Arc::new(Tools::new(
            tool_keys,
            config.tools.mirror.clone(),
            config.outside.clone(),
            tool_store(&config)?,
            machine,
        )),
        session,
        journal,
        engine,
        allowlist: config.images.registries.clone(),
        default_image: config.images.default.clone(),
        data,
        pool_key: credentials.key,
        server_keys: credentials.server_keys,
        signatures: Signatures::open(&config.signatures, trusted, &config.data_dir)?,
        order: host_order(&config),
        hidden: hidden(&config),
        secrets,
        output: output(&config)?,
        disk: config.containers.limits.disk,
        times: config.times,
        keep_containers: config.keep_containers,
        breaker: Breaker::default(),
        metrics,
        ledger,
        traces: match &config.otlp {
            Some(base) => Traces::to(base, &config.outside)?,
            None => Traces::default(),
        },
    };
    // The engine's own runtime on this very host has nothing to prove: the first run would take no longer to tell.
    let native = config.containers.runtime.is_none() && config.containers.machine.is_none();
    if !native || host.engine.socket().is_none() {
        // The canary's own image is empty, and the engine says it was made for the engine.
        prove(&host, &about_engine.platform).await?;
    }
    Ok(Ready {
        host: Arc::new(host),
        settings,
        own,
    })
}

/// Before anything else is done with the host: without its policy it is not the host that its owner meant.
fn init_policy(config: &Config, secrets: &Secrets) -> Result<Option<Arc<InitPolicy>>, StartError> {
    let Some(path) = &config.init_policy else {
        return Ok(None);
    };
    let policy = InitPolicy::load(path, secrets.clone())?;
    let dialect = policy.policy().dialect();
    info!(path = %path.display(), %dialect, "initialization policy");
    Ok(Some(Arc::new(policy)))
}

fn settings(config: &Config, engine: &EngineInfo) -> Result<Settings, StartError> {
    let spot = match &config.spot {
        Some(endpoint) => Some(spot::watch(endpoint.clone()).map_err(StartError::Spot)?),
        None => None,
    };
    let times = config.times;
    Ok(Settings {
        capacity: config.capacity,
        spot,
        care: CareSettings {
            places: places(config, engine),
            need: Need {
                bytes: config.room.min_free,
            },
            keep: Keep {
                images: config.room.keep_images,
                ended_containers: config.keep_containers,
                run: times.run + times.grace.max(times.apply_grace),
            },
        },
    })
}

/// The data directory, and the engine's own where that is on this host.
fn places(config: &Config, engine: &EngineInfo) -> Vec<Place> {
    let mut places = vec![Place {
        name: "data",
        path: config.data_dir.clone(),
    }];
    let local = config
        .docker_host
        .as_deref()
        .is_none_or(|host| host.starts_with("unix:"));
    if local && engine.root_dir.is_dir() {
        places.push(Place {
            name: "engine",
            path: engine.root_dir.clone(),
        });
    }
    places
}

/// What runs are made for.
fn platform(config: &Config, engine: &EngineInfo) -> Platform {
    let machine = config.containers.machine.map(Platform::from);
    machine.unwrap_or_else(|| engine.platform.clone())
}

async fn engine(config: &Config) -> Result<(Docker, EngineInfo), EngineError> {
    let engine = Docker::new(config.docker_host.as_deref())?;
    let about = engine.info().await?;
    info!(version = %about.version, api = %about.api_version, platform = %about.platform, "Docker Engine");
    if !about.live_restore {
        warn!(
            "dockerd runs without live-restore: its restart interrupts runs; set \"live-restore\": true in daemon.json"
        );
    }
    Ok((engine, about))
}

/// Session first, journal second: a fresh identity has no promises to keep.
async fn join(
    config: &Config,
    credentials: &PoolCredentials,
    own: &OwnDir,
) -> Result<(Arc<Session>, Journal), StartError> {
    let journal = Journal::open(own.path())?;
    let about = about(config);
    let (session, fresh) = establish(Start {
        credentials,
        outside: &config.outside,
        data: own,
        machine: machine(config.machine_id.as_deref()),
        about,
        unfinished: journal.unfinished()?,
    })
    .await?;
    if fresh {
        let discarded = journal.discard()?;
        if discarded > 0 {
            warn!(
                discarded,
                "the journal of an earlier identity was discarded"
            );
        }
    }
    info!(launcher = %session.launcher(), pool = %session.pool(), server = %credentials.endpoint, "joined the pool");
    Ok((session, journal))
}
