//! Environment → [`Config`], all mistakes at once, each naming its variable.
//!
//! Takes a [`Source`]. Gives plain values that other modules own the meaning of. Never: a secret in an
//! error, a default that opens something, a documented variable ignored in silence.

mod env;
mod parse;

use std::collections::BTreeMap;
use std::path::PathBuf;

use gantry_protocol::Secret;
use gantry_protocol::crypto::EdPublic;

pub use env::{Environment, Source, VARIABLES, Variable};
pub use parse::Mistake;
use parse::Reader;

use crate::container::Network;
use crate::image::Allowlist;

/// Everything that the environment decides.
#[derive(Debug)]
pub struct Config {
    /// The pool token as given.
    pub token: Secret,
    /// The pool's private key as given (base64 of PEM).
    pub pool_key: Secret,
    /// Tags, by name.
    pub metadata: BTreeMap<String, String>,
    /// Image of stacks that name none.
    pub default_image: Option<String>,
    /// Where images may come from.
    pub registries: Allowlist,
    /// Address of the Docker Engine; `None` for the local socket.
    pub docker_host: Option<String>,
    /// Docker client configuration directory.
    pub docker_config: Option<PathBuf>,
    /// The launcher's own directory.
    pub data_dir: PathBuf,
    /// Keys that may sign the worker.
    pub trust_keys: Vec<EdPublic>,
    /// Directories below which `file://` repositories are allowed.
    pub file_prefixes: Vec<PathBuf>,
    /// `known_hosts` for `ssh` repositories.
    pub known_hosts: Option<PathBuf>,
    /// Runs at a time.
    pub capacity: u32,
    /// What a run container may use.
    pub limits: RunLimits,
    /// Network of run containers.
    pub network: Network,
    /// OCI runtime of run containers.
    pub runtime: Option<String>,
    /// Log bytes kept on disk per run.
    pub spool_budget: u64,
    /// Keep ended containers for inspection.
    pub keep_containers: bool,
}

/// Limits of one run container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunLimits {
    /// Memory in bytes.
    pub memory: u64,
    /// CPUs.
    pub cpus: f64,
    /// Processes.
    pub pids: u32,
    /// Size of /tmp in bytes.
    pub tmp: u64,
}

/// What logging needs, readable before the rest is known to be right.
#[derive(Debug)]
pub struct LogConfig {
    /// Filter directives.
    pub filter: String,
    /// Whether lines are JSON.
    pub json: bool,
}

impl LogConfig {
    /// Reads the two logging variables.
    pub fn read(source: &dyn Source) -> Self {
        let filter = source.get(env::LOG).unwrap_or_else(|| "info".into());
        let json = source
            .get(env::LOG_FORMAT)
            .is_none_or(|format| format != "text");
        Self { filter, json }
    }
}

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn read(source: &dyn Source) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader::new(source);
        read.refuse(env::REFUSED);
        let config = Self {
            token: read.required_secret(env::TOKEN),
            pool_key: read.required_secret(env::POOL_KEY),
            metadata: read.tags(env::METADATA),
            default_image: source.get(env::DEFAULT_IMAGE),
            registries: read.registries(env::REGISTRIES),
            docker_host: source.get("DOCKER_HOST"),
            docker_config: source.get(env::DOCKER_CONFIG).map(PathBuf::from),
            data_dir: read.absolute_path(env::DATA_DIR, "/var/lib/gantry-launcher"),
            trust_keys: read.keys(env::TRUST_KEYS),
            file_prefixes: read.absolute_paths(env::FILE_PREFIXES),
            known_hosts: source.get(env::KNOWN_HOSTS).map(PathBuf::from),
            capacity: read.number(env::CAPACITY, 1, 1..=64),
            limits: limits(&mut read),
            network: read.network(env::NETWORK),
            runtime: source.get(env::RUNTIME),
            spool_budget: read.number(env::SPOOL, 512_u64, 16..=1 << 20) << 20,
            keep_containers: read.flag(env::KEEP),
        };
        read.finish(config)
    }
}

fn limits(read: &mut Reader<'_>) -> RunLimits {
    RunLimits {
        memory: read.number(env::MEMORY, 2048_u64, 64..=1 << 22) << 20,
        cpus: read.number(env::CPUS, 2.0, 0.1..=1024.0),
        pids: read.number(env::PIDS, 1024, 16..=1 << 20),
        tmp: read.number(env::TMP, 1024_u64, 16..=1 << 20) << 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::crypto::EdKey;

    fn source(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let key = EdKey::generate().public().to_string();
        let base = [
            (env::TOKEN, "t"),
            (env::POOL_KEY, "k"),
            (env::TRUST_KEYS, key.as_str()),
        ];
        let all = base.iter().chain(pairs);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = Config::read(&source(&[])).unwrap();
        assert_eq!(config.network.as_str(), "bridge");
        assert_eq!(config.capacity, 1);
        assert_eq!(config.limits.memory, 2 << 30);
        assert!(!config.keep_containers);
        assert_eq!(config.registries, Allowlist::well_known());
    }

    #[test]
    fn every_mistake_is_told_at_once_by_name() {
        let mut wrong = source(&[
            (env::CAPACITY, "0"),
            (env::CPUS, "many"),
            (env::NETWORK, "host"),
            (env::DATA_DIR, "relative"),
            (env::KEEP, "yes please"),
            ("SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY", "/p.rego"),
        ]);
        wrong.remove(env::TOKEN);
        wrong.insert(env::TRUST_KEYS.into(), "nonsense".into());
        let mistakes = Config::read(&wrong).unwrap_err();
        let text = mistakes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        for name in [
            env::TOKEN,
            env::TRUST_KEYS,
            env::CAPACITY,
            env::CPUS,
            env::NETWORK,
            env::DATA_DIR,
            env::KEEP,
            "SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY",
        ] {
            assert!(text.contains(name), "{name} is not named in:\n{text}");
        }
        assert_eq!(mistakes.len(), 8, "{text}");
    }

    #[test]
    fn a_secret_is_in_no_error_and_no_debug_text() {
        let config = Config::read(&source(&[(env::POOL_KEY, "hunter2hunter2")])).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn networks_that_join_another_namespace_are_refused() {
        for network in ["host", "HOST", "container:abc", "ns:/proc/1/ns/net"] {
            assert!(
                Config::read(&source(&[(env::NETWORK, network)])).is_err(),
                "{network}"
            );
        }
        assert!(Config::read(&source(&[(env::NETWORK, "runs_net-1")])).is_ok());
    }

    #[test]
    fn registries_replace_or_extend_the_default() {
        let read = |value| Config::read(&source(&[(env::REGISTRIES, value)])).map(|c| c.registries);
        let only = read("127.0.0.1:5000").unwrap();
        assert!(only.admit("127.0.0.1:5000/a:1").is_ok() && only.admit("ghcr.io/a/b:1").is_err());
        let more = read("+, 127.0.0.1:5000").unwrap();
        assert!(more.admit("127.0.0.1:5000/a:1").is_ok() && more.admit("ghcr.io/a/b:1").is_ok());
        assert!(read("https://ghcr.io").is_err());
    }

    #[test]
    fn tags_keep_their_case_and_lose_the_prefix() {
        let config = Config::read(&source(&[("SPACELIFT_METADATA_Asg_Id", "x")])).unwrap();
        assert_eq!(
            config.metadata,
            BTreeMap::from([("Asg_Id".into(), "x".into())])
        );
    }

    #[test]
    fn every_variable_is_listed_once() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
