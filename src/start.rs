//! Configuration → a [`Host`] that is ready for leases, in the order in which things can fail.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_net::Resolver;
use gantry_protocol::Secret;
use gantry_protocol::control::session::About;
use gantry_protocol::socket::Handed;
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::config::{Config, RunLimits};
use crate::container::{
    HostPolicy, InvalidNetwork, LABEL_LAUNCHER, Network, NetworkChoice, RUN_ID,
};
use crate::engine::{Docker, EngineError, EngineInfo, Limits};
use crate::identity::{DataDir as OwnDir, IdentityError};
use crate::image::{CredentialsError as AuthError, DockerAuths, Images};
use crate::job::{Host, HostOrder, WorkerBinaries};
use crate::journal::{Journal, JournalError};
use crate::session::{EnrolError, Session, Start, establish};
use crate::source::{DEFAULT_PATH, FetchPolicy, Fetcher, LookupError, lookup_fn};
use crate::token::{CredentialsError, PoolCredentials};
use crate::workspace::{Bounds, DataDir, DirsError, Owner, WorkerStore};

/// What Docker waits for a run when the engine goes down: an apply that is cut loses data.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// A repository may take this long to fetch.
const FETCH_TIME: Duration = Duration::from_secs(15 * 60);

/// Why the launcher can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Token and key.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Registry logins.
    #[error("SPACELIFT_DOCKER_CONFIG_DIR")]
    Auths(#[from] AuthError),
    /// The network.
    #[error("SPACELIFT_WORKER_NETWORK")]
    Network(#[from] InvalidNetwork),
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
    /// The journal.
    #[error("the journal can't be used")]
    Journal(#[from] JournalError),
    /// The server.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
}

impl StartError {
    /// Whether only a changed configuration can help.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Credentials(_) | Self::Auths(_) | Self::Network(_)
        )
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
    /// Holds the data directory's lock.
    pub own: OwnDir,
}

/// Goes from configuration to a host that may take leases.
///
/// # Errors
/// The first thing that does not work; see [`StartError`].
pub async fn start(config: Config) -> Result<Ready, StartError> {
    let now = OffsetDateTime::now_utc();
    let credentials = PoolCredentials::read(&config.token, &config.pool_key, now)?;
    if let Some(days) = credentials.days_left_if_few(now) {
        warn!(
            days,
            "the pool certificate in SPACELIFT_TOKEN ends soon; reset the pool in time"
        );
    }
    let auths = config
        .images
        .docker_config
        .as_deref()
        .map(DockerAuths::load)
        .transpose()?;
    let (engine, about_engine) = engine(config.docker_host.as_deref()).await?;
    let network = match &config.containers.network {
        NetworkChoice::Named(network) => network.clone(),
        NetworkChoice::PerRun { .. } => Network::default(),
    };
    let network = network
        .clone()
        .confirm(&engine.network(network.as_str()).await?)?;
    let own = OwnDir::open(&config.data_dir)?;
    let owner = Owner::of_runs(RUN_ID, about_engine.remap);
    let data = DataDir::open(&config.data_dir, owner)?;
    let (session, journal) = join(&config, &credentials, &own).await?;
    let host = Host {
        images: images(&engine, &about_engine, &session),
        policy: policy(&config, network),
        workers: workers(&config, &session)?,
        fetcher: fetcher(&config, owner),
        session,
        journal,
        engine,
        allowlist: config.images.registries.clone(),
        auths,
        default_image: config.images.default.clone(),
        data,
        pool_key: credentials.key,
        server_keys: credentials.server_keys,
        order: host_order(&config),
        hidden: hidden(&config),
        times: config.times,
        keep_containers: config.keep_containers,
    };
    Ok(Ready {
        host: Arc::new(host),
        own,
    })
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

fn images(engine: &Docker, about: &EngineInfo, session: &Session) -> Images {
    let labels = BTreeMap::from([(
        format!("{LABEL_LAUNCHER}.helper"),
        session.launcher().to_string(),
    )]);
    Images::new(engine.clone(), about.platform.clone(), labels)
}

fn policy(config: &Config, network: Network) -> HostPolicy {
    let RunLimits {
        memory,
        cpus,
        pids,
        tmp,
        disk: _,
    } = config.containers.limits;
    HostPolicy {
        network,
        runtime: config.containers.runtime.clone(),
        limits: Limits {
            memory,
            nano_cpus: (cpus * 1e9) as u64,
            pids,
        },
        tmp_size: tmp,
        stop_timeout: STOP_TIMEOUT,
        writable_root: config.images.writable_root.clone(),
        extra_mounts: Vec::new(),
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

fn hidden(config: &Config) -> Vec<Secret> {
    let masked = config.handed.set.iter().filter(|variable| variable.masked);
    masked.map(|variable| variable.value.clone()).collect()
}

fn workers(config: &Config, session: &Arc<Session>) -> Result<WorkerBinaries, StartError> {
    let data = &config.data_dir;
    let store = WorkerStore::open(data).map_err(|source| StartError::Workers {
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

fn fetcher(config: &Config, owner: Owner) -> Fetcher {
    let policy = FetchPolicy {
        owner,
        path: DEFAULT_PATH.to_owned(),
        file_prefixes: config.source.file_prefixes.clone(),
        known_hosts: config.source.known_hosts.clone(),
        ssh_identity: None,
        ca_file: None,
        proxy: None,
        time: FETCH_TIME,
        bounds: Bounds::default(),
    };
    let resolver = Resolver::system();
    Fetcher::new(
        policy,
        lookup_fn(move |host| lookup(resolver.clone(), host)),
    )
}

async fn lookup(resolver: Resolver, host: String) -> Result<Vec<IpAddr>, LookupError> {
    Ok(resolver.lookup(&host).await?)
}
