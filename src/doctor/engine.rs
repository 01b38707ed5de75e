//! The Docker Engine: version, runtime, limits, networks, room.

use super::{Report, host, proxies};
use crate::config::Config;
use crate::container::NetworkChoice;
use crate::engine::{Docker, EngineInfo};
use crate::network::{self, Networks, Setup, Slots};
use crate::report::Chain;

pub(super) async fn examine(config: &Config, report: &mut Report) -> Option<(Docker, EngineInfo)> {
    let (engine, about) = match connect(config).await {
        Ok(found) => found,
        Err(why) => {
            report.failed(
                "docker",
                why,
                "start dockerd, or let DOCKER_HOST name it; the launcher needs API 1.41 or newer",
            );
            return None;
        }
    };
    report.ok(
        "docker",
        format!(
            "{} with API {} for {} at `{}`",
            about.version,
            about.api_version,
            about.platform,
            engine.host()
        ),
    );
    properties(config, &about, report);
    proxies::of_engine(config, &about.proxies, report);
    network(config, &engine, report).await;
    if matches!(config.containers.network, NetworkChoice::PerRun { .. }) {
        apart(report).await;
    }
    if let Some(root) = Some(about.root_dir.as_path()).filter(|_| engine.socket().is_some()) {
        host::disk("docker's directory", root, config.room.min_free, report);
    }
    Some((engine, about))
}

async fn connect(config: &Config) -> Result<(Docker, EngineInfo), String> {
    let engine = Docker::new(config.docker_host.as_deref());
    let engine = engine.map_err(|error| Chain(&error).to_string())?;
    let about = engine.info().await;
    let about = about.map_err(|error| Chain(&error).to_string())?;
    Ok((engine, about))
}

fn properties(config: &Config, about: &EngineInfo, report: &mut Report) {
    match about.live_restore {
        true => report.ok("live-restore", "containers outlive a restart of dockerd"),
        false => report.warning(
            "live-restore",
            "is off: a restart of dockerd interrupts runs",
            "set \"live-restore\": true in daemon.json",
        ),
    }
    match about.cgroup_driver.as_str() {
        "none" | "" => report.failed(
            "cgroups",
            "the engine has no cgroup driver: memory, CPU and process limits would not hold",
            "run dockerd where it may use cgroups",
        ),
        driver => report.ok("cgroups", format!("driver {driver}")),
    }
    match &config.containers.runtime {
        None => report.ok("runtime", "the engine's default"),
        Some(name) if about.runtimes.contains(name) => {
            report.ok("runtime", format!("`{name}` is installed"))
        }
        Some(name) => report.failed(
            "runtime",
            format!(
                "`{name}` (SPACELIFT_WORKER_RUNTIME) is not one of {}",
                about.runtimes.join(", ")
            ),
            "add it to `runtimes` in daemon.json",
        ),
    }
    let wanted = config
        .containers
        .limits
        .memory
        .saturating_mul(u64::from(config.capacity));
    if about.memory > 0 && wanted > about.memory {
        report.warning(
            "memory",
            format!(
                "{} runs of {} MiB are more than the host's {} MiB",
                config.capacity,
                config.containers.limits.memory >> 20,
                about.memory >> 20
            ),
            "lower GANTRY_CAPACITY or GANTRY_RUN_MEMORY_MB",
        );
    }
}

async fn network(config: &Config, engine: &Docker, report: &mut Report) {
    let looked = match &config.containers.network {
        NetworkChoice::Named(name) => Networks::named(engine, name)
            .await
            .map(|_| format!("all runs join `{}`", name.as_str())),
        NetworkChoice::PerRun { pool } => {
            let setup = Setup {
                data: &config.data_dir,
                pool: *pool,
                count: config.capacity,
                known: &std::collections::BTreeSet::new(),
                block_metadata: config.containers.block_metadata,
            };
            let room = Slots::room(engine, &setup).await;
            room.map(|networks| {
                format!(
                    "{networks} networks of {pool} for {} runs at a time",
                    config.capacity
                )
            })
        }
    };
    match looked {
        Ok(found) => report.ok("network", found),
        Err(error) => report.failed(
            "network",
            Chain(&error),
            "name a free private range (GANTRY_NETWORK_POOL) or a network (SPACELIFT_WORKER_NETWORK)",
        ),
    }
}

async fn apart(report: &mut Report) {
    match network::can_set_rules().await {
        Ok(()) => report.ok(
            "runs apart",
            "rules of this host's kernel keep everybody out of runs' networks",
        ),
        Err(error) => report.warning(
            "runs apart",
            format!(
                "{}: {}",
                network::DOCKER_ALONE,
                Chain(&error)
            ),
            "run the launcher as root with CAP_NET_ADMIN in the engine's network namespace, with iptables installed",
        ),
    }
}
