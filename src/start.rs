//! Configuration → a [`Host`] that is ready for leases, in the order in which things can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_net::ClientError;
use gantry_protocol::Secret;
use gantry_protocol::control::session::About;
use gantry_protocol::socket::Handed;
use time::OffsetDateTime;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::config::{Config, RunLimits};
use crate::container::{
    Closed, ExtraMounts, HostPolicy, LABEL_LAUNCHER, MountError, NetworkChoice, RUN_ID,
};
use crate::engine::{Breaker, Docker, EngineError, EngineInfo, Limits};
use crate::identity::{DataDir as OwnDir, IdentityError};
use crate::image::{Images, Ledger, PullPolicy};
use crate::job::{
    CanaryError, HiddenVariable, Host, HostOrder, Standbys, WorkerBinaries, container_of, prove,
};
use crate::journal::{Journal, JournalError};
use crate::logging::Secrets;
use crate::metrics::Metrics;
use crate::network::{NetworkError, Networks, Setup, Slots};
use crate::registry::{LoginError, Logins};
use crate::room::{Keep, Need, Place};
use crate::session::{EnrolError, Session, Start, establish};
use crate::spot;
use crate::stdout::StandardOutput;
use crate::supervisor::{CareSettings, Settings};
use crate::telemetry::{TraceError, Traces};
use crate::token::{CredentialsError, PoolCredentials};
use crate::tool::{KeyFileError, Keys, ProviderCache, Tools};
use crate::workspace::{BinaryStore, DataDir, DirsError, Owner};

mod source;

pub use source::BundleError;

/// What Docker waits for a run when the engine goes down: an apply that is cut loses data.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// Why the launcher can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Token and key.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Registry logins.
    #[error(transparent)]
    Logins(#[from] LoginError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Paths of the host that runs get.
    #[error(transparent)]
    Mounts(#[from] MountError),
    /// Containers don't reach the launcher.
    #[error("runs can't be executed here")]
    Canary(#[from] CanaryError),
    /// Docker.
    #[error("Docker is needed to execute runs")]
    Engine(#[from] EngineError),
    /// The data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Run directories.
    #[error("GANTRY_DATA_DIR can't hold runs")]
    Dirs(#[from] DirsError),
    /// The worker cache.
    #[error("the worker cache in `{path}` can't be used")]
    Workers {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Keys of tools.
    #[error(transparent)]
    ToolKeys(#[from] KeyFileError),
    /// The cache of tools.
    #[error("the cache of tools and providers in `{path}` can't be used")]
    Tools {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal.
    #[error("the journal can't be used")]
    Journal(#[from] JournalError),
    /// The list of pulled images.
    #[error("the list of pulled images in `{path}` can't be read")]
    Ledger {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Traces.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// Spot notices.
    #[error("AWS_EC2_METADATA_SERVICE_ENDPOINT (for GANTRY_SPOT_NOTICE)")]
    Spot(#[source] ClientError),
    /// CAs for git.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Standard output.
    #[error(
        "logs of runs can't be written to standard output (SPACELIFT_RUN_LOGS_ON_STANDARD_OUTPUT_ENABLED)"
    )]
    Output(#[source] std::io::Error),
    /// The server.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
}

impl StartError {
    /// Whether only a changed configuration can help.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Credentials(_)
                | Self::Logins(_)
                | Self::Mounts(_)
                | Self::Network(NetworkError::Invalid(_) | NetworkError::Taken(_))
                | Self::ToolKeys(_)
        ) || matches!(self, Self::Canary(error) if error.is_configuration())
    }

    /// Whether the server shut this launcher out.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Enrol(EnrolError::Refused(_)))
    }
}

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
    let logins = Logins::new(config.images.logins.clone())?;
    let tool_keys = tool_keys(&config)?;
    let (engine, about_engine) = engine(config.docker_host.as_deref()).await?;
    let mounts = mounts(&config, &engine, &about_engine);
    mounts.check()?;
    let own = OwnDir::open(&config.data_dir)?;
    let owner = Owner::of_runs(RUN_ID, about_engine.remap);
    let data = DataDir::open(&config.data_dir, owner)?;
    let (session, journal) = join(&config, &credentials, &own).await?;
    let networks = networks(&config, &engine, &journal).await?;
    let (metrics, ledger) = (Metrics::default(), ledger(&config)?);
    let settings = settings(&config, &about_engine)?;
    let images = images(&engine, &about_engine, &session, logins, config.images.pull);
    let images = images.hiding_logins(secrets.clone());
    let host = Host {
        images: images.noting(ledger.clone(), metrics.clone()),
        policy: host_policy(&config),
        networks,
        standbys: Standbys::new(config.standby, config.capacity),
        mounts,
        workers: workers(&config, &session)?,
        fetcher: source::fetcher(&config, owner)?,
        providers: provider_cache(&config)?,
        tools: Arc::new(Tools::new(
            tool_keys,
            config.tools.mirror.clone(),
            config.root_cas.clone(),
            tool_store(&config)?,
        )),
        session,
        journal,
        engine,
        allowlist: config.images.registries.clone(),
        default_image: config.images.default.clone(),
        data,
        pool_key: credentials.key,
        server_keys: credentials.server_keys,
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
            Some(base) => Traces::to(base, &config.root_cas)?,
            None => Traces::default(),
        },
    };
    // The engine's own runtime on this very host has nothing to prove: the first run would take no longer to tell.
    if host.policy.runtime.is_some() || host.engine.socket().is_none() {
        prove(&host, &about_engine.platform).await?;
    }
    Ok(Ready {
        host: Arc::new(host),
        settings,
        own,
    })
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

async fn engine(address: Option<&str>) -> Result<(Docker, EngineInfo), EngineError> {
    let engine = Docker::new(address)?;
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
        roots: &config.root_cas,
        data: own,
        about,
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

fn about(config: &Config) -> About {
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        metadata: config.metadata.clone(),
    }
}

fn ledger(config: &Config) -> Result<Ledger, StartError> {
    let path = config.data_dir.clone();
    Ledger::open(&path).map_err(|source| StartError::Ledger { path, source })
}

fn images(
    engine: &Docker,
    about: &EngineInfo,
    session: &Session,
    logins: Logins,
    policy: PullPolicy,
) -> Images {
    let labels = BTreeMap::from([(
        format!("{LABEL_LAUNCHER}.helper"),
        session.launcher().to_string(),
    )]);
    let platform = about.platform.clone();
    Images::new(engine.clone(), platform, labels, logins, policy)
}

/// Paths of the host that runs get, never leading to the engine or to the launcher's own directory.
fn mounts(config: &Config, engine: &Docker, about: &EngineInfo) -> ExtraMounts {
    let closed = Closed {
        data: &config.data_dir,
        engine: &about.root_dir,
        socket: engine.socket(),
        remap: about.remap,
    };
    ExtraMounts::new(config.containers.mounts.clone(), closed)
}

async fn networks(
    config: &Config,
    engine: &Docker,
    journal: &Journal,
) -> Result<Networks, StartError> {
    let pool = match &config.containers.network {
        NetworkChoice::Named(network) => return Ok(Networks::named(engine, network).await?),
        NetworkChoice::PerRun { pool } => *pool,
    };
    let entries = journal.entries()?;
    let known: BTreeSet<String> = entries.iter().map(container_of).collect();
    let setup = Setup {
        data: &config.data_dir,
        pool,
        // Waiting containers and those of runs together are never more.
        count: config.capacity,
        known: &known,
        block_metadata: config.containers.block_metadata,
    };
    Ok(Networks::Own(Box::new(Slots::open(engine, setup).await?)))
}

/// What the configuration says about all containers.
pub fn host_policy(config: &Config) -> HostPolicy {
    let RunLimits {
        memory,
        cpus,
        pids,
        tmp,
        disk: _,
    } = config.containers.limits;
    HostPolicy {
        runtime: config.containers.runtime.clone(),
        limits: Limits {
            memory,
            nano_cpus: (cpus * 1e9) as u64,
            pids,
        },
        tmp_size: tmp,
        stop_timeout: STOP_TIMEOUT,
        writable_root: config.images.writable_root.clone(),
        providers: config.tools.provider_mirror.clone(),
    }
}

fn host_order(config: &Config) -> HostOrder {
    for name in &config.handed.unset {
        warn!(variable = %name, "is listed in SPACELIFT_WHITELIST_ENVS and not set; runs will not have it");
    }
    let handed = config.handed.set.iter().map(|variable| Handed {
        name: variable.name.clone(),
        value: variable.value.clone(),
        to: variable.to,
    });
    HostOrder {
        handed: handed.collect(),
        trace_commands: config.output.trace_commands,
        spool_budget: config.output.spool_budget,
    }
}

fn hidden(config: &Config) -> Vec<HiddenVariable> {
    let masked = config.handed.set.iter().filter(|variable| variable.masked);
    let masked = masked.map(|variable| HiddenVariable {
        name: variable.name.clone(),
        value: variable.value.clone(),
    });
    masked.collect()
}

/// Everything of the configuration that no line of the launcher's log may show.
fn keep_out_of_the_log(config: &Config, secrets: &Secrets) {
    let pem = STANDARD.decode(config.pool_key.expose().trim());
    let pem = Zeroizing::new(pem.unwrap_or_default());
    let variables = config.handed.set.iter().filter(|set| set.masked);
    let variables = variables.map(|set| set.value.expose().as_bytes());
    let proxies = [&config.proxies.https, &config.proxies.http];
    let proxies = proxies.into_iter().flatten().filter_map(proxy_password);
    let passwords: Vec<_> = proxies.collect();
    let passwords = passwords.iter().map(|password| password.as_bytes());
    let pool = [&config.token, &config.pool_key];
    let pool = pool.map(|secret| secret.expose().as_bytes());
    let values = pool.into_iter().chain([pem.as_slice()]);
    secrets
        .hide(values.chain(variables).chain(passwords))
        .for_good();
}

/// As it stands in the URL; the mask knows it in other writings too.
fn proxy_password(url: &Secret) -> Option<Zeroizing<String>> {
    let url = reqwest::Url::parse(url.expose()).ok()?;
    Some(Zeroizing::new(url.password()?.to_owned()))
}

fn output(config: &Config) -> Result<Option<StandardOutput>, StartError> {
    let asked = config.output.standard_output;
    asked
        .then(StandardOutput::start)
        .transpose()
        .map_err(StartError::Output)
}

fn workers(config: &Config, session: &Arc<Session>) -> Result<WorkerBinaries, StartError> {
    let data = &config.data_dir;
    let store = BinaryStore::workers(data).map_err(|source| StartError::Workers {
        path: data.clone(),
        source,
    })?;
    let floor = data.join("worker-newest.json");
    Ok(WorkerBinaries::new(
        session.clone(),
        config.trust_keys.clone(),
        store,
        floor,
    ))
}

/// The keys that may sign tools, each told: the operator can compare its fingerprint with the publisher's.
fn tool_keys(config: &Config) -> Result<Keys, StartError> {
    let keys = Keys::load(&config.tools.keys)?;
    for (fingerprint, owner, fault) in keys.list() {
        match fault {
            None => info!(%fingerprint, %owner, "a key that may sign tools (GANTRY_TOOL_KEYS)"),
            Some(fault) => {
                warn!(%fingerprint, %owner, "a key of GANTRY_TOOL_KEYS {fault}; tools that it signed are refused");
            }
        }
    }
    Ok(keys)
}

fn provider_cache(config: &Config) -> Result<Option<ProviderCache>, StartError> {
    if !config.tools.provider_cache {
        return Ok(None);
    }
    let data = &config.data_dir;
    let cache = ProviderCache::open(data).map_err(|source| StartError::Tools {
        path: data.clone(),
        source,
    })?;
    Ok(Some(cache))
}

fn tool_store(config: &Config) -> Result<BinaryStore, StartError> {
    let data = &config.data_dir;
    BinaryStore::tools(data).map_err(|source| StartError::Tools {
        path: data.clone(),
        source,
    })
}
