//! The one list of the launcher's variables, and the one place that reads the environment.

use std::collections::BTreeMap;

/// Where values come from: the environment, or a map in tests.
pub trait Source {
    /// The value of `name`; `None` when unset. An empty value counts as unset.
    fn get(&self, name: &str) -> Option<String>;

    /// Every set name that begins with `prefix`.
    fn names_with(&self, prefix: &str) -> Vec<String>;
}

/// The process's environment.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the environment"
)]
impl Source for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names.filter(|name| name.starts_with(prefix)).collect()
    }
}

impl Source for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        self.keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }
}

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is unset; empty for none.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

pub(super) const TOKEN: &str = "SPACELIFT_TOKEN";
pub(super) const POOL_KEY: &str = "SPACELIFT_POOL_PRIVATE_KEY";
pub(super) const METADATA: &str = "SPACELIFT_METADATA_";
pub(super) const DEFAULT_IMAGE: &str = "SPACELIFT_DEFAULT_RUNNER_IMAGE";
pub(super) const NETWORK: &str = "SPACELIFT_WORKER_NETWORK";
pub(super) const RUNTIME: &str = "SPACELIFT_WORKER_RUNTIME";
pub(super) const DOCKER_CONFIG: &str = "SPACELIFT_DOCKER_CONFIG_DIR";
pub(super) const DATA_DIR: &str = "GANTRY_DATA_DIR";
pub(super) const TRUST_KEYS: &str = "GANTRY_WORKER_TRUST_KEYS";
pub(super) const REGISTRIES: &str = "GANTRY_ALLOWED_REGISTRIES";
pub(super) const FILE_PREFIXES: &str = "GANTRY_SOURCE_FILE_PREFIXES";
pub(super) const KNOWN_HOSTS: &str = "GANTRY_SSH_KNOWN_HOSTS";
pub(super) const CAPACITY: &str = "GANTRY_CAPACITY";
pub(super) const MEMORY: &str = "GANTRY_RUN_MEMORY_MB";
pub(super) const CPUS: &str = "GANTRY_RUN_CPUS";
pub(super) const PIDS: &str = "GANTRY_RUN_PIDS";
pub(super) const TMP: &str = "GANTRY_RUN_TMP_MB";
pub(super) const SPOOL: &str = "GANTRY_LOG_SPOOL_MB";
pub(super) const KEEP: &str = "GANTRY_KEEP_CONTAINERS";
pub(super) const LOG: &str = "GANTRY_LOG";
pub(super) const LOG_FORMAT: &str = "GANTRY_LOG_FORMAT";

const fn var(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        default,
        meaning,
    }
}

/// Every variable that the launcher reads. `--help` prints this table.
pub const VARIABLES: &[Variable] = &[
    var(
        TOKEN,
        "",
        "the pool token, as `gantry pool create` gave it (required)",
    ),
    var(
        POOL_KEY,
        "",
        "base64 of the PEM private key whose CSR made the pool (required)",
    ),
    var(
        "SPACELIFT_METADATA_<name>",
        "",
        "tags shown with this launcher",
    ),
    var(
        DEFAULT_IMAGE,
        "",
        "runner image of stacks that name none; without it such runs are refused",
    ),
    var(
        NETWORK,
        "bridge",
        "Docker network of run containers; `host` and `container:…` are refused",
    ),
    var(
        RUNTIME,
        "the daemon's",
        "OCI runtime of run containers, such as `runsc`",
    ),
    var(
        DOCKER_CONFIG,
        "",
        "directory of a Docker client configuration whose registry logins are used",
    ),
    var("DOCKER_HOST", "the local socket", "Docker Engine to use"),
    var(
        DATA_DIR,
        "/var/lib/gantry-launcher",
        "the launcher's own directory; one launcher each",
    ),
    var(
        TRUST_KEYS,
        "",
        "comma list of Ed25519 public keys (base64url) that may sign the worker (required)",
    ),
    var(
        REGISTRIES,
        "the ten public registries of the documentation",
        "comma list of registries and repositories that runner images may come from; replaces the default, `+` as first entry extends it, `*` alone allows all",
    ),
    var(
        FILE_PREFIXES,
        "",
        "comma list of directories below which `file://` repositories are allowed",
    ),
    var(
        KNOWN_HOSTS,
        "",
        "known_hosts file for `ssh` repositories; without it they are refused",
    ),
    var(CAPACITY, "1", "runs at a time"),
    var(MEMORY, "2048", "memory limit of a run container in MiB"),
    var(CPUS, "2", "CPU limit of a run container, such as 1.5"),
    var(PIDS, "1024", "process limit of a run container"),
    var(TMP, "1024", "size of /tmp in a run container in MiB"),
    var(
        SPOOL,
        "512",
        "log bytes of one run kept on disk while the server is away, in MiB",
    ),
    var(
        KEEP,
        "",
        "`true` keeps ended containers for inspection; never set it in production",
    ),
    var(
        LOG,
        "info",
        "what the launcher logs, such as `info,gantry_launcher::job=debug`",
    ),
    var(LOG_FORMAT, "json", "`json` or `text`"),
];

/// Documented variables that this version can't honour. Each changes what may run or what is hidden, so a
/// launcher that ignored it would be less safe than its operator believes: it refuses to start.
pub(super) const REFUSED: &[&str] = &[
    "SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY",
    "SPACELIFT_MASK_ENVS",
    "SPACELIFT_LAUNCHER_LOGS_TIMEOUT",
    "SPACELIFT_LAUNCHER_RUN_TIMEOUT",
    "SPACELIFT_WORKER_EXTRA_MOUNTS",
    "SPACELIFT_WORKER_RO_EXTRA_MOUNTS",
    "SPACELIFT_WORKER_WO_EXTRA_MOUNTS",
    "SPACELIFT_WHITELIST_ENVS",
    "ADDITIONAL_ROOT_CAS",
];
