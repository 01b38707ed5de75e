//! What a container is made of, in plain values.
//!
//! Takes nothing; `container::spec` fills it, `docker::convert` performs it. Never: a field through which a
//! container could get a capability, a device, a host namespace or a secret.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Platform;

/// One container to make. Two equal specs give interchangeable containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerSpec {
    /// Name, unique on the engine.
    pub name: String,
    /// `registry/repository@sha256:…`, present on the engine.
    pub image: String,
    /// What the image was checked to be made for.
    pub platform: Platform,
    /// Program and arguments of the root process; the image's `ENTRYPOINT` and `CMD` are never used.
    pub entrypoint: Vec<String>,
    /// Working directory of the root process.
    pub working_dir: String,
    /// `uid:gid`, numeric.
    pub user: String,
    /// Host name inside.
    pub hostname: String,
    /// Environment added to the image's; visible in `docker inspect`, so never a secret.
    pub env: BTreeMap<String, String>,
    /// Labels; as visible as the environment.
    pub labels: BTreeMap<String, String>,
    /// Bind mounts.
    pub mounts: Vec<Mount>,
    /// Private memory file systems.
    pub tmpfs: Vec<Tmpfs>,
    /// Network name.
    pub network: String,
    /// OCI runtime; `None` is the engine's default.
    pub runtime: Option<String>,
    /// Resource limits.
    pub limits: Limits,
    /// Whether the image's file system can be written to.
    pub root: RootFs,
    /// What the engine keeps of the root process's own output.
    pub log: LogDriver,
    /// How long the engine waits between SIGTERM and SIGKILL when it stops the container.
    pub stop_timeout: Duration,
}

/// A host path seen in the container. The path has to exist: the engine never creates it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mount {
    /// Absolute path on the engine's host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
    /// What may be done with it.
    pub access: Access,
}

/// Access to a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Access {
    /// Read (and connect to sockets in it).
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// A memory file system, always `nosuid` and `nodev`, always executable (tools unpack programs there).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// Absolute path in the container.
    pub target: String,
    /// Most bytes it holds; they count against the memory limit.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner within the container.
    pub uid: u32,
    /// Group within the container.
    pub gid: u32,
}

/// Resource limits; every one is always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of memory, swap included.
    pub memory: u64,
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// The image's file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RootFs {
    /// Read-only, the default.
    ReadOnly,
    /// Writable: a written exception for one image.
    Writable,
}

/// What the engine keeps of the root process's standard output and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LogDriver {
    /// Nothing.
    None,
    /// One file of at most this many bytes, to explain a worker that died before it connected.
    SmallFile {
        /// Size at which the file starts over.
        max_bytes: u64,
    },
}
