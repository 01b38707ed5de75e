//! Configuration → the parts of a host, each by itself.
//!
//! Takes the configuration and what was made before. Gives one part a function. Never: an order among them, which is
//! the parent's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::control::session::About;
use gantry_protocol::socket::Handed;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::StartError;
use super::source::bundle_path;
use crate::config::{Config, RunLimits};
use crate::container::{Closed, ExtraMounts, HostPolicy, LABEL_LAUNCHER, NetworkChoice};
use crate::engine::{Docker, EngineInfo, Limits, Platform};
use crate::image::{Images, Ledger, PullPolicy};
use crate::job::{HiddenVariable, HostOrder, WorkerBinaries, container_of};
use crate::journal::Journal;
use crate::logging::Secrets;
use crate::machine::Machine;
use crate::network::{Networks, Setup, Slots};
use crate::registry::Logins;
use crate::session::Session;
use crate::stdout::StandardOutput;
use crate::tool::{Keys, ProviderCache};
use crate::workspace::BinaryStore;

/// What Docker waits for a run when the engine goes down: an apply that is cut loses data.
const STOP_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) fn about(config: &Config) -> About {
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

pub(super) fn ledger(config: &Config) -> Result<Ledger, StartError> {
    let path = config.data_dir.clone();
    Ledger::open(&path).map_err(|source| StartError::Ledger { path, source })
}

pub(super) fn images(
    engine: &Docker,
    platform: Platform,
    session: &Session,
    logins: Logins,
    policy: PullPolicy,
) -> Images {
    let labels = BTreeMap::from([(
        format!("{LABEL_LAUNCHER}.helper"),
        session.launcher().to_string(),
    )]);
    Images::new(engine.clone(), platform, labels, logins, policy)
}

/// Paths of the host that runs get, never leading to the engine or to the launcher's own directory.
pub(super) fn mounts(config: &Config, engine: &Docker, about: &EngineInfo) -> ExtraMounts {
    let closed = Closed {
        data: &config.data_dir,
        engine: &about.root_dir,
        socket: engine.socket(),
        remap: about.remap,
    };
    ExtraMounts::new(config.containers.mounts.clone(), closed)
}

pub(super) async fn networks(
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
        cas: config.run_cas.then(|| bundle_path(config)),
    }
}

pub(super) fn host_order(config: &Config) -> HostOrder {
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

pub(super) fn hidden(config: &Config) -> Vec<HiddenVariable> {
    let masked = config.handed.set.iter().filter(|variable| variable.masked);
    let masked = masked.map(|variable| HiddenVariable {
        name: variable.name.clone(),
        value: variable.value.clone(),
    });
    let within = config.handed.secrets.iter().map(|value| HiddenVariable {
        name: "GANTRY_RUN_PROXY (its password)".to_owned(),
        value: value.clone(),
    });
    masked.chain(within).collect()
}

/// Everything of the configuration that no line of the launcher's log may show.
pub(super) fn keep_out_of_the_log(config: &Config, secrets: &Secrets) {
    let pem = STANDARD.decode(config.pool_key.expose().trim());
    let pem = Zeroizing::new(pem.unwrap_or_default());
    let variables = config.handed.set.iter().filter(|set| set.masked);
    let variables = variables.map(|set| set.value.expose().as_bytes());
    // As they stand in the URLs; the mask knows them in other writings too.
    let proxies = config.outside.proxies.all();
    let passwords = proxies.flat_map(|proxy| proxy.secrets());
    let passwords = passwords.chain(&config.handed.secrets);
    let passwords = passwords.map(|password| password.expose().as_bytes());
    let pool = [&config.token, &config.pool_key];
    let pool = pool.map(|secret| secret.expose().as_bytes());
    let values = pool.into_iter().chain([pem.as_slice()]);
    secrets
        .hide(values.chain(variables).chain(passwords))
        .for_good();
}

pub(super) fn output(config: &Config) -> Result<Option<StandardOutput>, StartError> {
    let asked = config.output.standard_output;
    asked
        .then(StandardOutput::start)
        .transpose()
        .map_err(StartError::Output)
}

pub(super) fn workers(
    config: &Config,
    session: &Arc<Session>,
    machine: Option<Machine>,
) -> Result<WorkerBinaries, StartError> {
    let data = &config.data_dir;
    let store = BinaryStore::workers(data).map_err(|source| StartError::Workers {
        path: data.clone(),
        source,
    })?;
    let arch = machine.map_or(std::env::consts::ARCH, Machine::kernel);
    // What ran is remembered for each architecture by itself.
    let floor = match arch == std::env::consts::ARCH {
        true => data.join("worker-newest.json"),
        false => data.join(format!("worker-newest-{arch}.json")),
    };
    Ok(WorkerBinaries::new(
        session.clone(),
        config.trust_keys.clone(),
        store,
        floor,
        arch,
    ))
}

/// The keys that may sign tools, each told: the operator can compare its fingerprint with the publisher's.
pub(super) fn tool_keys(config: &Config) -> Result<Keys, StartError> {
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

pub(super) fn provider_cache(
    config: &Config,
    machine: Option<Machine>,
) -> Result<Option<ProviderCache>, StartError> {
    if !config.tools.provider_cache {
        return Ok(None);
    }
    let data = &config.data_dir;
    let cache = ProviderCache::open(data, machine).map_err(|source| StartError::Tools {
        path: data.clone(),
        source,
    })?;
    Ok(Some(cache))
}

pub(super) fn tool_store(config: &Config) -> Result<BinaryStore, StartError> {
    let data = &config.data_dir;
    BinaryStore::tools(data).map_err(|source| StartError::Tools {
        path: data.clone(),
        source,
    })
}
