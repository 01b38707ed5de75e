//! The one door to the container engine: plain types, and the Docker adapter below `docker/`.
//!
//! Takes [`ContainerSpec`]s, image references and credentials; gives containers, exits and image facts.
//! Never: anything about runs (no payload, no policy), and never a `bollard` type in a signature.
//!
//! # Contract
//! - **Deadlines.** Every call ends: short calls after [`docker::SHORT`], a pull after the time it is given.
//!   [`Docker::wait`] is the exception: it lasts as long as its container, and re-asks the engine at least
//!   once a minute, so a half-dead connection can't hide an exit.
//! - **Order.** `create` → `start` → `wait`. `wait` may be called at any time after `start`, also on a
//!   container that has long ended, and by a process that did not start it.
//! - **Idempotence.** `start` of a started container, `stop` and `kill` of an ended one and `remove` of one
//!   that is gone succeed. `create` does not: a second one of the same name is [`ErrorKind::Conflict`].
//! - **Hardening that no spec can lift.** All capabilities dropped, no-new-privileges, the engine's default
//!   seccomp profile, private IPC namespace, no health check, no auto-remove, no restart, no added device.
//!   There is no field for these in [`ContainerSpec`]; `docker::convert` writes them always.
//! - **Errors** are decided by status codes. The one exception (registry refusals arrive as 500) is a single
//!   function with a table test.
//! - Clones are cheap and share the connection; all methods take `&self` and may run concurrently.

mod breaker;
pub mod docker;
mod error;
mod network;
mod spec;
mod tally;

pub use breaker::{Breaker, Circuit, Until};
pub use docker::Docker;
pub use error::{EngineError, ErrorKind};
pub use network::{ListedNetwork, NetworkSpec, NetworkView};
pub use spec::{Access, ContainerSpec, Limits, LogDriver, Mount, RootFs, Tmpfs};
pub use tally::Tally;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::machine::Machine;

use gantry_protocol::Secret;
use serde::Serialize;

/// The engine's id of a container: 64 hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as the engine writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a container's root process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of the root process; 128 + signal when it was killed.
    pub code: i64,
    /// Whether the engine saw the memory limit kill something in it.
    pub oom_killed: bool,
    /// The engine's own complaint (the process could not be started, the runtime failed).
    pub error: Option<String>,
    /// When, RFC 3339 in UTC as the engine tells it.
    pub finished_at: String,
}

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Made, never started.
    Created,
    /// Its root process runs (or is paused).
    Running,
    /// Its root process ended.
    Exited(Exit),
    /// The engine is taking it away.
    Removing,
}

/// A container as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerView {
    /// Id.
    pub id: ContainerId,
    /// Name, without the leading slash.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub status: ContainerStatus,
}

/// Where a container writes to the engine's own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerDisk {
    /// Whether it can write to its root.
    pub writable_root: bool,
    /// Directories of the volumes that its image declares, on the engine's host.
    pub volumes: Vec<PathBuf>,
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Id.
    pub id: ContainerId,
    /// Name, without the leading slash.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its root process runs.
    pub running: bool,
    /// When it was made, in Unix seconds.
    pub created: i64,
    /// Names of the networks that it is in.
    pub networks: Vec<String>,
}

#[cfg(test)]
impl Listed {
    /// A row without an engine, for tests of what judges rows.
    pub(crate) fn for_tests(name: &str) -> Self {
        Self {
            id: ContainerId("0".repeat(64)),
            name: name.to_owned(),
            labels: BTreeMap::new(),
            running: true,
            created: 0,
            networks: Vec::new(),
        }
    }
}

/// Operating system and processor, as images name them (`linux`, `amd64`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
}

impl From<Machine> for Platform {
    fn from(machine: Machine) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: machine.go().to_owned(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// The engine's own facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Product version, such as `27.3.1`.
    pub version: String,
    /// Highest API version it speaks, such as `1.47`.
    pub api_version: String,
    /// What it runs natively.
    pub platform: Platform,
    /// With `userns-remap`: the host uid and gid that root in a container is mapped to.
    pub remap: Option<Remap>,
    /// Where the engine keeps its own data, on its host.
    pub root_dir: PathBuf,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// Names of the installed OCI runtimes.
    pub runtimes: Vec<String>,
    /// Whether containers outlive a restart of the daemon.
    pub live_restore: bool,
    /// Bytes of memory of the engine's host.
    pub memory: u64,
    /// Processors of the engine's host.
    pub cpus: u32,
    /// The proxies of the daemon's own requests: pulls, and logins to registries.
    pub proxies: EngineProxies,
}

/// The daemon's own proxies, without logins; empty texts for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineProxies {
    /// For https.
    pub https: String,
    /// For clear text.
    pub http: String,
    /// What it reaches directly.
    pub none: String,
}

/// First host ids of a user-namespace remap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remap {
    /// Host uid of the containers' uid 0.
    pub uid: u32,
    /// Host gid of the containers' gid 0.
    pub gid: u32,
}

/// What a registry said about a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of the manifest or index, `sha256:…`.
    pub digest: String,
    /// Platforms it is made for; empty when the registry did not say.
    pub platforms: Vec<Platform>,
}

/// A local image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageView {
    /// Id of the local image.
    pub id: String,
    /// `registry/repository@digest` names under which it was pulled.
    pub repo_digests: Vec<String>,
    /// What it is made for.
    pub platform: Platform,
    /// `USER`, empty when none.
    pub user: String,
    /// `ENV` entries, `NAME=value`.
    pub env: Vec<String>,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `VOLUME` paths, which the engine would mount over ours.
    pub volumes: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
}

/// One message of a pull: a layer's state with bytes done and in total (0 where not known).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullEvent {
    /// Layer id, or empty for messages about the whole image.
    pub layer: String,
    /// The engine's words, such as `Downloading` or `Pull complete`.
    pub status: String,
    /// Bytes done.
    pub current: u64,
    /// Bytes in total.
    pub total: u64,
}

/// Who asks a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryAuth {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password or token.
    Password {
        /// User name.
        username: String,
        /// Password or token.
        password: Secret,
        /// The registry that it is for: the only one it is ever sent to.
        registry: String,
    },
    /// A refresh token, which the engine exchanges for access tokens.
    IdentityToken {
        /// The token.
        token: Secret,
        /// The registry that it is for: the only one it is ever sent to.
        registry: String,
    },
}
