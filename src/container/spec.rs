//! The one function that decides what a run's container looks like.
//!
//! Takes [`HostPolicy`], [`RunMounts`], a [`PulledImage`] and a name; gives a [`ContainerSpec`]. Pure: no
//! I/O, no clock. Never: a payload among its arguments, a secret in its result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_protocol::socket::{PROVIDERS_DIR, TOOL_DIR};
use gantry_protocol::{Attempt, LauncherId, RunId};

use super::accounts::{HOME, RUN_ID};
use super::network::Network;
use crate::engine::{Access, ContainerSpec, Limits, LogDriver, Mount, Platform, RootFs, Tmpfs};
use crate::image::PulledImage;

/// Where the run's workspace is in the container.
pub const WORKSPACE_TARGET: &str = "/mnt/workspace";

/// Directory of the run socket, launcher's side of the talk; read-only in the container.
pub const IO_TARGET: &str = "/gantry/io";

/// Directory of facts and log segments, the worker's side.
pub const SPOOL_TARGET: &str = "/gantry/spool";

/// The worker's executable.
pub const WORKER_TARGET: &str = "/gantry/bin/worker";

/// One file with all CAs that runs should trust.
pub const CA_BUNDLE_TARGET: &str = "/gantry/ca/bundle.pem";

/// Label with the launcher's id, by which a launcher finds its containers.
pub const LABEL_LAUNCHER: &str = "gantry.launcher";

/// Label with the container's own name. The journal maps it to a run.
pub const LABEL_CONTAINER: &str = "gantry.container";

/// Bytes that the engine keeps of the worker's own output.
const LAST_WORDS: u64 = 64 << 10;

/// Bytes of the run's home directory in memory.
const HOME_SIZE: u64 = 256 << 20;

/// Directories that an extra mount may not hide or replace. `/bin` and the like stay open: hosts do mount
/// tools and CA bundles there.
const PROTECTED: [&str; 9] = [
    "/gantry",
    WORKSPACE_TARGET,
    HOME,
    "/tmp",
    "/proc",
    "/sys",
    "/dev",
    "/etc/passwd",
    "/etc/group",
];

/// What the host's owner configured for all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPolicy {
    /// OCI runtime; `None` is the engine's default.
    pub runtime: Option<String>,
    /// Limits of each run.
    pub limits: Limits,
    /// Bytes of `/tmp` in memory.
    pub tmp_size: u64,
    /// What the engine waits between SIGTERM and SIGKILL when it goes down: long, because an apply that is cut
    /// can lose data.
    pub stop_timeout: Duration,
    /// Images (`registry/repository`) that can't live with a read-only root.
    pub writable_root: Vec<String>,
    /// The host's mirror of providers, becomes [`PROVIDERS_DIR`].
    pub providers: Option<PathBuf>,
    /// The host's CAs with those that its owner added, becomes [`CA_BUNDLE_TARGET`].
    pub cas: Option<PathBuf>,
}

/// A host path that the host's owner gives to runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraMount {
    /// Host path with links resolved.
    pub source: PathBuf,
    /// Absolute path in the container; see [`check_extra_target`].
    pub target: String,
    /// What runs may do with it.
    pub access: Access,
}

/// This run's directories on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMounts {
    /// Becomes [`WORKSPACE_TARGET`].
    pub workspace: PathBuf,
    /// Becomes [`IO_TARGET`].
    pub io: PathBuf,
    /// Becomes [`SPOOL_TARGET`].
    pub spool: PathBuf,
    /// The verified worker, becomes [`WORKER_TARGET`].
    pub worker: PathBuf,
    /// The verified tool and the name of its executable, becomes a file in [`TOOL_DIR`].
    pub tool: Option<(PathBuf, &'static str)>,
    /// Generated account files, where the image lacks the run's account.
    pub accounts: Option<AccountFiles>,
    /// What the host's owner gives to containers of this class, just resolved.
    pub extra: Vec<ExtraMount>,
}

/// Host paths of generated account files.
pub type AccountFiles = (PathBuf, PathBuf);

/// `gantry-<run>-<attempt>`, the name of a container that is made for a run: known before the container exists,
/// so a restart finds it.
pub fn container_name(run: RunId, attempt: Attempt) -> String {
    format!("gantry-{run}-{attempt}")
}

/// The container of one run, in a network that this launcher gave to it.
pub fn container_spec(
    policy: &HostPolicy,
    mounts: &RunMounts,
    network: &Network,
    image: &PulledImage,
    launcher: LauncherId,
    name: &str,
) -> ContainerSpec {
    let (reference, platform) = (image.by_digest(), image.platform().clone());
    let mut spec = closed_spec(policy, mounts, network, (reference, platform), name);
    if policy.writable_root.contains(&image.reference().name()) {
        spec.root = RootFs::Writable;
    }
    label(&mut spec, launcher);
    spec
}

/// The same of the launcher's own empty image, to prove that the worker in it reaches its launcher.
pub fn canary_spec(
    policy: &HostPolicy,
    mounts: &RunMounts,
    network: &Network,
    (image, platform): (&str, &Platform),
    launcher: LauncherId,
    name: &str,
) -> ContainerSpec {
    let image = (image.to_owned(), platform.clone());
    let mut spec = closed_spec(policy, mounts, network, image, name);
    label(&mut spec, launcher);
    spec
}

fn label(spec: &mut ContainerSpec, launcher: LauncherId) {
    let labels = [
        (LABEL_LAUNCHER, launcher.to_string()),
        (LABEL_CONTAINER, spec.name.clone()),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value));
    spec.labels.extend(labels);
}

/// What all containers are, with nothing opened yet.
fn closed_spec(
    policy: &HostPolicy,
    mounts: &RunMounts,
    network: &Network,
    (image, platform): (String, Platform),
    name: &str,
) -> ContainerSpec {
    ContainerSpec {
        image,
        platform,
        entrypoint: vec![WORKER_TARGET.to_owned(), "run".to_owned()],
        // Not the checkout: the worker has to start also when that is missing, to say so.
        working_dir: WORKSPACE_TARGET.to_owned(),
        user: format!("{RUN_ID}:{RUN_ID}"),
        hostname: "gantry".to_owned(),
        // PATH and the like stay the image's.
        env: BTreeMap::from([("HOME".to_owned(), HOME.to_owned())]),
        labels: BTreeMap::new(),
        mounts: all_mounts(policy, mounts),
        tmpfs: memory_file_systems(policy),
        network: network.as_str().to_owned(),
        runtime: policy.runtime.clone(),
        limits: policy.limits,
        root: RootFs::ReadOnly,
        log: LogDriver::SmallFile {
            max_bytes: LAST_WORDS,
        },
        stop_timeout: policy.stop_timeout,
        name: name.to_owned(),
    }
}

fn all_mounts(policy: &HostPolicy, run: &RunMounts) -> Vec<Mount> {
    let mount = |source: &Path, target: &str, access| Mount {
        source: source.to_owned(),
        target: target.to_owned(),
        access,
    };
    let mut mounts = vec![
        mount(&run.workspace, WORKSPACE_TARGET, Access::ReadWrite),
        mount(&run.io, IO_TARGET, Access::ReadOnly),
        mount(&run.spool, SPOOL_TARGET, Access::ReadWrite),
        mount(&run.worker, WORKER_TARGET, Access::ReadOnly),
    ];
    if let Some((tool, program)) = &run.tool {
        let target = format!("{TOOL_DIR}/{program}");
        mounts.push(mount(tool, &target, Access::ReadOnly));
    }
    if let Some(providers) = &policy.providers {
        mounts.push(mount(providers, PROVIDERS_DIR, Access::ReadOnly));
    }
    if let Some(cas) = &policy.cas {
        mounts.push(mount(cas, CA_BUNDLE_TARGET, Access::ReadOnly));
    }
    if let Some((passwd, group)) = &run.accounts {
        mounts.push(mount(passwd, "/etc/passwd", Access::ReadOnly));
        mounts.push(mount(group, "/etc/group", Access::ReadOnly));
    }
    let extra = run.extra.iter();
    mounts.extend(extra.map(|extra| mount(&extra.source, &extra.target, extra.access)));
    mounts
}

fn memory_file_systems(policy: &HostPolicy) -> Vec<Tmpfs> {
    let tmpfs = |target: &str, size, mode, id| Tmpfs {
        target: target.to_owned(),
        size,
        mode,
        uid: id,
        gid: id,
    };
    vec![
        tmpfs(HOME, HOME_SIZE, 0o700, RUN_ID),
        tmpfs("/tmp", policy.tmp_size, 0o1777, 0),
    ]
}

/// Where an image may not declare volumes; see [`PulledImage::check_volumes`].
pub fn protected_targets() -> [&'static str; 4] {
    ["/gantry", WORKSPACE_TARGET, HOME, "/tmp"]
}

/// Whether `target` may be the container's side of an extra mount.
///
/// # Errors
/// The rule that it breaks.
pub fn check_extra_target(target: &str) -> Result<(), &'static str> {
    let clean = target.starts_with('/')
        && target.len() > 1
        && target[1..]
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if !clean || target.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("expected an absolute path without `.`, `..` and empty segments");
    }
    let below = |parent: &str| {
        target == parent
            || target
                .strip_prefix(parent)
                .is_some_and(|r| r.starts_with('/'))
    };
    let hides = |child: &str| {
        child
            .strip_prefix(target)
            .is_some_and(|r| r.starts_with('/'))
    };
    match PROTECTED.iter().any(|path| below(path) || hides(path)) {
        true => Err("it would hide something that runs rely on"),
        false => Ok(()),
    }
}

#[cfg(test)]
#[path = "spec/tests.rs"]
mod tests;
