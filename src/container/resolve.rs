//! Extra mounts as they are right now on the host.
//!
//! Takes [`MountRule`]s and what may never be mounted, gives [`ExtraMount`]s. Walks each path step by step without
//! following anything blindly. Never: a path of which a run could change a step, so that the next container would
//! get something else; a way to the container engine, the launcher's own directory or the kernel's.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use gantry_protocol::socket::HandedTo;
use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::accounts::RUN_ID;
use super::extra::MountRule;
use super::spec::ExtraMount;
use crate::engine::Remap;

/// Where container engines listen; the configured one is added.
const SOCKETS: [&str; 7] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
];

/// The kernel's own directories.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// File systems through which the kernel is steered, wherever they are mounted: procfs, sysfs, cgroup, cgroup2,
/// debugfs, tracefs, bpf, securityfs.
const KERNEL_FILE_SYSTEMS: [i64; 8] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0xcafe_4a11,
    0x7363_6673,
];

/// Links on the way to one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// Whether a container may change anything, in all its phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// None of its phases writes.
    Reading,
    /// One of its phases may.
    Writing,
}

/// Why a host path is not mounted.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: `{}` can't be mounted: {rule}", path.display())]
pub struct MountError {
    variable: &'static str,
    path: PathBuf,
    rule: String,
}

/// The host's rules, and what none of them may lead to.
#[derive(Clone, Debug)]
pub struct ExtraMounts {
    rules: Vec<MountRule>,
    /// Neither they, nor what is above or below them.
    closed: Vec<(PathBuf, &'static str)>,
    runs: (u32, u32),
}

/// What must stay out of runs' reach.
#[derive(Clone, Copy, Debug)]
pub struct Closed<'a> {
    /// The launcher's own directory.
    pub data: &'a Path,
    /// The engine's own directory.
    pub engine: &'a Path,
    /// The socket in use, if the engine has one here.
    pub socket: Option<&'a Path>,
    /// Whose host ids runs have.
    pub remap: Option<Remap>,
}

impl ExtraMounts {
    /// `rules`, never leading to what is `closed`.
    pub fn new(rules: Vec<MountRule>, closed: Closed<'_>) -> Self {
        let sockets = SOCKETS.iter().map(Path::new).chain(closed.socket);
        let mut places: Vec<(PathBuf, &'static str)> = sockets
            .map(|path| (path.to_owned(), "a container engine's socket"))
            .collect();
        places.push((closed.data.to_owned(), "the launcher's directory"));
        places.push((closed.engine.to_owned(), "the container engine's directory"));
        let kernel = KERNEL.map(|path| (PathBuf::from(path), "a directory of the kernel"));
        places.extend(kernel);
        let (uid, gid) = closed.remap.map_or((0, 0), |remap| (remap.uid, remap.gid));
        Self {
            rules,
            closed: places,
            runs: (uid + RUN_ID, gid + RUN_ID),
        }
    }

    /// Whether every rule could be followed now, so that mistakes show at start.
    ///
    /// # Errors
    /// The first that could not.
    pub fn check(&self) -> Result<(), MountError> {
        self.rules
            .iter()
            .try_for_each(|rule| self.resolve(rule).map(drop))
    }

    /// The mounts of a container of this class, as the host is now.
    ///
    /// # Errors
    /// The first rule that can't be followed.
    pub fn of(&self, class: Class) -> Result<Vec<ExtraMount>, MountError> {
        let writes = class == Class::Writing;
        let rules = self.rules.iter().filter(|rule| rule.to.reaches(writes));
        rules.map(|rule| self.resolve(rule)).collect()
    }

    fn resolve(&self, rule: &MountRule) -> Result<ExtraMount, MountError> {
        let source = self.source(rule).map_err(|why| MountError {
            variable: variable(rule.to),
            path: rule.source.clone(),
            rule: why,
        })?;
        Ok(ExtraMount {
            source,
            target: rule.target.clone(),
            access: rule.access,
        })
    }

    fn source(&self, rule: &MountRule) -> Result<PathBuf, String> {
        let found = walk(&rule.source, self.runs)?;
        match found.kind {
            FileType::Directory => {}
            FileType::RegularFile | FileType::Socket if rule.to == HandedTo::Every => {}
            FileType::RegularFile | FileType::Socket => {
                return Err("it is no directory".to_owned());
            }
            _ => return Err("it is neither a directory nor a file".to_owned()),
        }
        if found.path == Path::new("/") {
            return Err("it is the host's whole file system".to_owned());
        }
        if found.of_kernel {
            return Err("it belongs to a file system of the kernel".to_owned());
        }
        for (place, what) in &self.closed {
            if touches(&found, place) {
                let path = found.path.display();
                return Err(format!("`{path}` is, holds or lies in {what}"));
            }
        }
        Ok(found.path)
    }
}

fn variable(to: HandedTo) -> &'static str {
    match to {
        HandedTo::Every => "SPACELIFT_WORKER_EXTRA_MOUNTS",
        HandedTo::Reading => "SPACELIFT_WORKER_RO_EXTRA_MOUNTS",
        HandedTo::Writing => "SPACELIFT_WORKER_WO_EXTRA_MOUNTS",
    }
}

/// Which file of the host, whatever its names.
type Identity = (u64, u64);

/// Where a path leads.
struct Found {
    path: PathBuf,
    /// The file itself, last, and every directory on the way.
    steps: Vec<Identity>,
    kind: FileType,
    of_kernel: bool,
}

/// Whether one lies in the other, by name or (bind mounts, hard links) by what it is.
fn touches(found: &Found, place: &Path) -> bool {
    let real = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
    if found.path.starts_with(&real) || real.starts_with(&found.path) {
        return true;
    }
    let Some((own, above)) = found.steps.split_last() else {
        return false;
    };
    let holders: BTreeSet<Identity> = real.ancestors().filter_map(identity).collect();
    let below = identity(&real).is_some_and(|place| above.contains(&place));
    below || holders.contains(own)
}

fn identity(path: &Path) -> Option<Identity> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// A place on the walk.
struct Step {
    fd: OwnedFd,
    stat: Stat,
    name: OsString,
}

fn walk(path: &Path, runs: (u32, u32)) -> Result<Found, String> {
    let failed = |error: io::Error| error.to_string();
    let mut steps = vec![root().map_err(failed)?];
    let mut waiting = names(path);
    let mut links = 0;
    while let Some(name) = waiting.pop_front() {
        if name == ".." {
            steps.truncate((steps.len() - 1).max(1));
            continue;
        }
        let parent = steps.last().expect("invariant: the root stays");
        let step = open(parent, &name).map_err(failed)?;
        if may_replace(&parent.stat, &step.stat, runs) {
            return Err(format!(
                "`{}` is in a directory that runs could change",
                name.display()
            ));
        }
        if FileType::from_raw_mode(step.stat.st_mode) != FileType::Symlink {
            steps.push(step);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err("it has too many links on its way".to_owned());
        }
        let target = rustix::fs::readlinkat(&step.fd, "", Vec::new());
        let target = target.map_err(|error| failed(error.into()))?.into_bytes();
        let target = PathBuf::from(OsString::from_vec(target));
        if target.is_absolute() {
            steps.truncate(1);
        }
        for name in names(&target).into_iter().rev() {
            waiting.push_front(name);
        }
    }
    found(&steps).map_err(failed)
}

fn found(steps: &[Step]) -> io::Result<Found> {
    let last = steps.last().expect("invariant: the root stays");
    let file_system = rustix::fs::fstatfs(&last.fd)?.f_type;
    Ok(Found {
        path: steps.iter().map(|step| step.name.as_os_str()).collect(),
        steps: steps
            .iter()
            .map(|step| (step.stat.st_dev, step.stat.st_ino))
            .collect(),
        kind: FileType::from_raw_mode(last.stat.st_mode),
        of_kernel: KERNEL_FILE_SYSTEMS.contains(&file_system),
    })
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn root() -> io::Result<Step> {
    let fd = rustix::fs::open("/", LOOK, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    Ok(Step {
        fd,
        stat,
        name: "/".into(),
    })
}

fn open(parent: &Step, name: &OsStr) -> io::Result<Step> {
    let fd = rustix::fs::openat(&parent.fd, name, LOOK, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    Ok(Step {
        fd,
        stat,
        name: name.to_owned(),
    })
}

/// Whether a run, with its ids on the host, could put something else in the place of `child`.
fn may_replace(parent: &Stat, child: &Stat, (uid, gid): (u32, u32)) -> bool {
    if parent.st_uid == uid {
        return true;
    }
    let mode = parent.st_mode;
    let writes = match parent.st_gid == gid {
        true => mode & 0o020 != 0,
        false => mode & 0o002 != 0,
    };
    let sticky = mode & 0o1000 != 0;
    writes && !(sticky && child.st_uid != uid)
}

#[cfg(test)]
#[path = "resolve/tests.rs"]
mod tests;
