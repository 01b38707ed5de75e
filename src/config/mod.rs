//! Environment → [`Config`], all mistakes at once, each naming its variable.
//!
//! Takes a [`Source`]. Gives plain values that other modules own the meaning of. Never: a secret in an
//! error, a default that opens something, a documented variable ignored in silence.

mod handed;
mod outside;
mod parse;
mod run_outside;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use gantry_net::Outside;
use gantry_protocol::Secret;
use gantry_protocol::crypto::EdPublic;
use reqwest::Url;

pub use gantry_service::{Environment, Mistake, Source};
pub use handed::{HandedVariable, HandedVariables};
pub use outside::{Listen, VcsMapping};
use parse::Reader;
use variables as var;
pub use variables::{Topic, VARIABLES, Variable};

use crate::container::{MountRule, NetworkChoice};
use crate::image::{Allowlist, PullPolicy};
use crate::job::Times;
use crate::machine::Machine;
use crate::registry::{HelperEnvironment, LoginSettings};
use crate::signature::SignatureSettings;
use crate::tool::Mirror;

/// Where credential helpers are looked for when the launcher has no `PATH`.
const HELPER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that the environment decides.
#[derive(Debug)]
pub struct Config {
    /// The pool token as given.
    pub token: Secret,
    /// The pool's private key as given (base64 of PEM).
    pub pool_key: Secret,
    /// Tags, by name.
    pub metadata: BTreeMap<String, String>,
    /// What stands for this machine, where the operator says so.
    pub machine_id: Option<String>,
    /// The launcher's own directory.
    pub data_dir: PathBuf,
    /// Keys that may sign the worker.
    pub trust_keys: Vec<EdPublic>,
    /// Who may sign runs, and which have to be signed.
    pub signatures: SignatureSettings,
    /// Proxies, and CAs to trust besides the bundled and the host's.
    pub outside: Outside,
    /// Address of the Docker Engine; `None` for the local socket.
    pub docker_host: Option<String>,
    /// Images and registries.
    pub images: ImageConfig,
    /// What run containers are.
    pub containers: ContainerConfig,
    /// Variables of the launcher that runs get.
    pub handed: HandedVariables,
    /// Whether runs get the host's CAs and the added ones as a file.
    pub run_cas: bool,
    /// Where code comes from.
    pub source: SourceConfig,
    /// Tools and providers.
    pub tools: ToolConfig,
    /// The host's initialization policy.
    pub init_policy: Option<PathBuf>,
    /// Time-outs.
    pub times: Times,
    /// Output of runs.
    pub output: OutputConfig,
    /// Runs at a time.
    pub capacity: u32,
    /// Containers kept started and waiting.
    pub standby: u32,
    /// Room and clean-up.
    pub room: RoomConfig,
    /// Where health and metrics are served.
    pub health: Option<Listen>,
    /// Where traces go.
    pub otlp: Option<Url>,
    /// The EC2 metadata service to ask for spot interruption notices, when that is wanted.
    pub spot: Option<Url>,
    /// Keep ended containers for inspection.
    pub keep_containers: bool,
}

/// Images and registries.
#[derive(Debug, Clone)]
pub struct ImageConfig {
    /// Image of stacks that name none.
    pub default: Option<String>,
    /// Where images may come from.
    pub registries: Allowlist,
    /// Where logins for registries come from.
    pub logins: LoginSettings,
    /// When the engine is asked to pull.
    pub pull: PullPolicy,
    /// Repositories whose containers get a writable root.
    pub writable_root: Vec<String>,
}

/// What run containers are.
#[derive(Debug, Clone)]
pub struct ContainerConfig {
    /// What one may use.
    pub limits: RunLimits,
    /// Network of run containers.
    pub network: NetworkChoice,
    /// Keep them from link-local addresses.
    pub block_metadata: bool,
    /// OCI runtime.
    pub runtime: Option<String>,
    /// What containers are made for; the engine's own where none is set.
    pub machine: Option<Machine>,
    /// Host paths that they get.
    pub mounts: Vec<MountRule>,
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
    /// Disk in bytes.
    pub disk: u64,
}

/// Where code comes from.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Directories below which `file://` repositories are allowed.
    pub file_prefixes: Vec<PathBuf>,
    /// `known_hosts` for `ssh` repositories.
    pub known_hosts: Option<PathBuf>,
    /// VCS agent pools reached directly.
    pub vcs_mappings: Vec<VcsMapping>,
}

/// Tools and providers.
#[derive(Debug, Clone)]
pub struct ToolConfig {
    /// Where tools come from.
    pub mirror: Mirror,
    /// OpenPGP keys that may sign checksums.
    pub keys: Vec<PathBuf>,
    /// Keep providers for later runs.
    pub provider_cache: bool,
    /// A file-system mirror of providers.
    pub provider_mirror: Option<PathBuf>,
}

/// Output of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputConfig {
    /// Log bytes kept on disk per run.
    pub spool_budget: u64,
    /// Also write logs to standard output.
    pub standard_output: bool,
    /// Write each command into the run's log.
    pub trace_commands: bool,
}

/// Room and clean-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomConfig {
    /// No run is taken with less free disk, in bytes.
    pub min_free: u64,
    /// Pulled images are kept this long after their last run.
    pub keep_images: Duration,
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
        let filter = source.get(var::LOG).unwrap_or_else(|| "info".into());
        let json = source
            .get(var::LOG_FORMAT)
            .is_none_or(|format| format != "text");
        Self { filter, json }
    }
}

/// Where health is served, readable without the rest.
///
/// # Errors
/// The variable can't be understood.
pub fn read_health(source: &dyn Source) -> Result<Option<Listen>, Vec<Mistake>> {
    let mut read = Reader::new(source);
    let listen = read.listen(var::HEALTH);
    read.finish(listen)
}

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn read(source: &dyn Source) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader::new(source);
        let outside = read.outside();
        let mut handed = read.handed_variables();
        let run_cas = read.run_outside(&outside, &mut handed);
        let config = Self {
            token: read.required_secret(var::TOKEN),
            pool_key: read.required_secret(var::POOL_KEY),
            metadata: read.tags(var::METADATA),
            machine_id: read.value(var::MACHINE_ID),
            data_dir: read.absolute_path(var::DATA_DIR, "/var/lib/gantry-launcher"),
            trust_keys: read.keys(var::TRUST_KEYS),
            signatures: signatures(&mut read),
            docker_host: source.get(var::DOCKER_HOST),
            images: images(&mut read, &outside),
            outside,
            containers: containers(&mut read),
            handed,
            run_cas,
            source: SourceConfig {
                file_prefixes: read.absolute_paths(var::FILE_PREFIXES),
                known_hosts: source.get(var::KNOWN_HOSTS).map(PathBuf::from),
                vcs_mappings: read.vcs_mappings(),
            },
            tools: tools(&mut read),
            init_policy: read.optional_path(var::INIT_POLICY),
            times: times(&mut read),
            output: output(&mut read),
            capacity: read.number(var::CAPACITY, 1, 1..=64),
            standby: read.number(var::STANDBY, 0, 0..=64),
            room: RoomConfig {
                min_free: read.number(var::FREE_DISK, 2048_u64, 0..=1 << 30) << 20,
                keep_images: read.duration(var::IMAGE_AGE, Duration::from_secs(168 * 3600)),
            },
            health: read.listen(var::HEALTH),
            otlp: read.url(var::OTLP),
            spot: read.spot(),
            keep_containers: read.flag(var::KEEP),
        };
        read.check_together(&config);
        read.finish(config)
    }
}

/// What looking at an image needs: neither pool nor data directory.
#[derive(Debug)]
pub struct ImageCheckConfig {
    /// Images and registries.
    pub images: ImageConfig,
    /// Address of the Docker Engine; `None` for the local socket.
    pub docker_host: Option<String>,
    /// What containers are made for; the engine's own where none is set.
    pub machine: Option<Machine>,
}

impl ImageCheckConfig {
    /// Reads the variables about images only.
    ///
    /// # Errors
    /// Every mistake that was found in them.
    pub fn read(source: &dyn Source) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader::new(source);
        let outside = read.outside();
        let config = Self {
            images: images(&mut read, &outside),
            docker_host: source.get(var::DOCKER_HOST),
            machine: read.machine(),
        };
        read.finish(config)
    }
}

fn signatures(read: &mut Reader<'_>) -> SignatureSettings {
    let settings = SignatureSettings {
        jwks: read.optional_path(var::RUN_TRUST),
        requirement: read.parsed(var::REQUIRE_SIGNATURE).unwrap_or_default(),
        audience: read.value(var::SIGNATURE_AUDIENCE),
    };
    if settings.jwks.is_none() {
        for name in [var::REQUIRE_SIGNATURE, var::SIGNATURE_AUDIENCE] {
            let set = read.value(name).is_some_and(|value| value != "off");
            if set {
                read.wrong(
                    name,
                    format_args!("needs {}, the keys that may sign", var::RUN_TRUST),
                );
            }
        }
    }
    settings
}

fn images(read: &mut Reader<'_>, outside: &Outside) -> ImageConfig {
    read.reference(var::ANSIBLE_IMAGE);
    ImageConfig {
        default: read.reference(var::DEFAULT_IMAGE),
        registries: read.registries(var::REGISTRIES),
        logins: logins(read, outside),
        pull: read.parsed(var::PULL_POLICY).unwrap_or_default(),
        writable_root: read.repositories(var::WRITABLE_ROOT),
    }
}

fn logins(read: &mut Reader<'_>, outside: &Outside) -> LoginSettings {
    let path = read.value(var::PATH);
    LoginSettings {
        docker_config: read.value(var::DOCKER_CONFIG).map(PathBuf::from),
        helpers: HelperEnvironment {
            path: path.unwrap_or_else(|| HELPER_PATH.to_owned()),
            home: read.value(var::HOME),
            proxies: outside.proxies.variables(),
        },
        outside: outside.clone(),
    }
}

fn containers(read: &mut Reader<'_>) -> ContainerConfig {
    ContainerConfig {
        limits: limits(read),
        network: read.network(),
        block_metadata: read.flag(var::BLOCK_METADATA),
        runtime: read.value(var::RUNTIME),
        machine: read.machine(),
        mounts: read.mounts(),
    }
}

fn limits(read: &mut Reader<'_>) -> RunLimits {
    RunLimits {
        memory: read.number(var::MEMORY, 2048_u64, 64..=1 << 22) << 20,
        cpus: read.number(var::CPUS, 2.0, 0.1..=1024.0),
        pids: read.number(var::PIDS, 1024, 16..=1 << 20),
        tmp: read.number(var::TMP, 1024_u64, 16..=1 << 20) << 20,
        disk: read.number(var::DISK, 10_240_u64, 64..=1 << 24) << 20,
    }
}

fn tools(read: &mut Reader<'_>) -> ToolConfig {
    ToolConfig {
        mirror: read.tool_mirror(),
        keys: read.absolute_paths(var::TOOL_KEYS),
        provider_cache: read.flag(var::PROVIDER_CACHE),
        provider_mirror: read.optional_path(var::PROVIDER_MIRROR),
    }
}

fn times(read: &mut Reader<'_>) -> Times {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    Times {
        run: read.duration(var::RUN_TIMEOUT, minutes(70)),
        silence: read.duration(var::LOGS_TIMEOUT, minutes(7)),
        grace: read.duration(var::GRACE, minutes(1)),
        apply_grace: read.duration(var::APPLY_GRACE, minutes(10)),
    }
}

fn output(read: &mut Reader<'_>) -> OutputConfig {
    read.flag(var::OUTPUTS);
    OutputConfig {
        spool_budget: read.number(var::SPOOL, 512_u64, 16..=1 << 20) << 20,
        standard_output: read.flag(var::STDOUT),
        trace_commands: read.flag(var::DEBUG),
    }
}

#[cfg(test)]
pub(crate) mod tests;
