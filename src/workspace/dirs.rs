//! The data directory and each run's directories below it.
//!
//! Takes the configured path, gives [`DataDir`] and [`RunDirs`] with the right owners from the moment of
//! creation. Never: a path too long for the run socket found out only when a run starts.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use gantry_protocol::socket::SOCKET_NAME;
use gantry_protocol::{Attempt, RunId};

use super::beneath::{self, Owner};
use super::remove::{Leftover, remove_tree};

/// Bytes of a unix socket's path, its closing zero included.
const SOCKET_PATH: usize = 108;

/// `/runs/`, a ULID, `-`, ten digits, `/io/` and the socket's name.
const LONGEST_BELOW: usize = "/runs/".len() + 26 + 1 + 10 + "/io/".len() + SOCKET_NAME.len();

/// Others may pass through but not look around: run directories have other owners than the launcher.
const PASSAGE: u32 = 0o711;

/// How names of directories begin whose container waits for its run.
const WAITING: &str = "standby-";

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirsError {
    /// The path itself is wrong.
    #[error("data directory `{}` can't be used: {rule}", path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What is wrong and what to do.
        rule: String,
    },
    /// The disk said no.
    #[error("could not {operation} `{}`", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The launcher's data directory, checked.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    runs: OwnedFd,
    owner: Owner,
}

/// Directories of one attempt of a run. Dropping it removes nothing; see [`DataDir::remove_run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirs {
    root: PathBuf,
    name: String,
}

impl DataDir {
    /// Checks `path`, makes it and `runs` below it. `owner` is who runs are on this host.
    ///
    /// # Errors
    /// [`DirsError`].
    pub fn open(path: &Path, owner: Owner) -> Result<Self, DirsError> {
        check_path(path)?;
        let io = |operation| {
            move |source| DirsError::Io {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        std::fs::create_dir_all(path).map_err(io("create data directory"))?;
        check_access(path, owner)?;
        let root = beneath::open_trusted(path).map_err(io("open data directory"))?;
        let runs = beneath::open_or_make_dir(&root, b"runs", PASSAGE, Owner::own())
            .map_err(io("make the run directories of"))?;
        Ok(Self {
            path: path.to_owned(),
            runs,
            owner,
        })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who runs are on this host.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Makes the directories of an attempt; they must not exist.
    ///
    /// # Errors
    /// [`DirsError::Io`].
    pub fn create_run(&self, run: RunId, attempt: Attempt) -> Result<RunDirs, DirsError> {
        self.made(self.run(run, attempt))
    }

    /// Makes the directories of a container that waits for its run; `id` is unique.
    ///
    /// # Errors
    /// [`DirsError::Io`].
    pub fn create_waiting(&self, id: &str) -> Result<RunDirs, DirsError> {
        self.made(self.named(format!("{WAITING}{id}")))
    }

    /// Gives the directories of a waiting container to an attempt. Its mounts follow them: they hold the
    /// directories, not their names.
    ///
    /// # Errors
    /// [`DirsError::Io`].
    pub fn give(
        &self,
        waiting: &RunDirs,
        run: RunId,
        attempt: Attempt,
    ) -> Result<RunDirs, DirsError> {
        let dirs = self.run(run, attempt);
        let named = rustix::fs::renameat_with(
            &self.runs,
            waiting.name.as_str(),
            &self.runs,
            dirs.name.as_str(),
            rustix::fs::RenameFlags::NOREPLACE,
        );
        named.map_err(|error| DirsError::Io {
            operation: "give a waiting directory to a run:",
            path: dirs.root.clone(),
            source: error.into(),
        })?;
        Ok(dirs)
    }

    /// Directories of waiting containers, this process's and those that an earlier one left.
    ///
    /// # Errors
    /// [`DirsError::Io`].
    pub fn waiting(&self) -> Result<Vec<RunDirs>, DirsError> {
        let names = self.list_runs()?.into_iter();
        let waiting = names.filter(|name| name.starts_with(WAITING));
        Ok(waiting.map(|name| self.named(name)).collect())
    }

    fn named(&self, name: String) -> RunDirs {
        RunDirs {
            root: self.path.join("runs").join(&name),
            name,
        }
    }

    fn made(&self, dirs: RunDirs) -> Result<RunDirs, DirsError> {
        match self.make(&dirs) {
            Ok(()) => Ok(dirs),
            Err(source) => Err(DirsError::Io {
                operation: "make run directory",
                path: dirs.root,
                source,
            }),
        }
    }

    fn make(&self, dirs: &RunDirs) -> io::Result<()> {
        let own = Owner::own();
        let launcher_dir = Owner {
            uid: own.uid,
            gid: self.owner.gid,
        };
        let root = beneath::make_dir(&self.runs, dirs.name.as_bytes(), PASSAGE, own)?;
        beneath::make_dir(&root, b"workspace", 0o700, self.owner)?;
        beneath::make_dir(&root, b"spool", 0o700, self.owner)?;
        // Home of programs that the launcher itself starts as the run's user (git).
        beneath::make_dir(&root, b"home", 0o700, self.owner)?;
        // The launcher's; the run's group may enter it to reach the socket.
        beneath::make_dir(&root, b"io", 0o750, launcher_dir)?;
        Ok(())
    }

    /// The directories of an attempt that was created before, by this process or an earlier one.
    pub fn run(&self, run: RunId, attempt: Attempt) -> RunDirs {
        self.named(format!("{run}-{attempt}"))
    }

    /// Names (`<run>-<attempt>`, or `standby-<id>` for a container that waits) of all run directories that exist.
    ///
    /// # Errors
    /// [`DirsError::Io`].
    pub fn list_runs(&self) -> Result<Vec<String>, DirsError> {
        let names = beneath::names(&self.runs, usize::MAX).map_err(|source| DirsError::Io {
            operation: "list run directories in",
            path: self.path.join("runs"),
            source,
        })?;
        let text = |name: Vec<u8>| String::from_utf8(name).ok();
        Ok(names.into_iter().filter_map(text).collect())
    }

    /// Time since the attempt's directory was made or a name directly in it changed; nothing where that can't
    /// be known.
    pub fn age(&self, dirs: &RunDirs) -> Duration {
        let Ok(stat) = beneath::look(&self.runs, dirs.name.as_bytes()) else {
            return Duration::ZERO;
        };
        let changed = u64::try_from(stat.st_mtime).unwrap_or(0);
        let changed = UNIX_EPOCH + Duration::from_secs(changed);
        changed.elapsed().unwrap_or_default()
    }

    /// Removes an attempt's directories, following no link; gives what could not be removed.
    pub fn remove_run(&self, dirs: &RunDirs) -> Vec<Leftover> {
        remove_tree(&self.runs, dirs.name.as_bytes())
    }
}

impl RunDirs {
    /// `workspace`: becomes `/mnt/workspace`.
    pub fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    /// `spool`: facts and logs of the worker.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The directory around them all, which runs do not see; removed with them.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// `io`: holds the run socket.
    pub fn io(&self) -> PathBuf {
        self.root.join("io")
    }

    /// `home`: of host programs that run as the run's user; never mounted.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Writes a file of the launcher's own beside the directories (generated account files), readable by
    /// everyone, and gives its path.
    ///
    /// # Errors
    /// [`DirsError::Io`].
    pub fn put_file(&self, name: &str, content: &[u8]) -> Result<PathBuf, DirsError> {
        use std::io::Write;
        let path = self.root.join(name);
        let write = || {
            let root = beneath::open_trusted(&self.root)?;
            let mut file = beneath::make_file(root, name.as_bytes(), 0o644, Owner::own())?;
            file.write_all(content)
        };
        write().map_err(|source| DirsError::Io {
            operation: "write",
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

fn check_path(path: &Path) -> Result<(), DirsError> {
    let unusable = |rule: String| DirsError::Unusable {
        path: path.to_owned(),
        rule,
    };
    let Some(text) = path.to_str() else {
        return Err(unusable("its name is not UTF-8".to_owned()));
    };
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || text.len() < 2 {
        return Err(unusable(
            "expected an absolute path without `..`".to_owned(),
        ));
    }
    let most = SOCKET_PATH - 1 - LONGEST_BELOW;
    if text.len() > most {
        return Err(unusable(format!(
            "it has {} bytes, and sockets below it allow at most {most}",
            text.len()
        )));
    }
    Ok(())
}

/// The directory must be ours alone to change, and the run's user must be able to pass through to its own.
fn check_access(path: &Path, owner: Owner) -> Result<(), DirsError> {
    let unusable = |rule: String| DirsError::Unusable {
        path: path.to_owned(),
        rule,
    };
    let io = |source| DirsError::Io {
        operation: "inspect data directory",
        path: path.to_owned(),
        source,
    };
    let own = std::fs::symlink_metadata(path).map_err(io)?;
    if !own.is_dir() {
        return Err(unusable("it is a link or no directory".to_owned()));
    }
    if own.uid() != Owner::own().uid {
        return Err(unusable(format!("it belongs to uid {}", own.uid())));
    }
    if own.mode() & 0o022 != 0 {
        return Err(unusable("others may write to it: chmod go-w".to_owned()));
    }
    for part in path.ancestors() {
        let metadata = std::fs::metadata(part).map_err(io)?;
        if !may_pass(&metadata, owner) {
            return Err(unusable(format!(
                "uid {} of runs can't pass through `{}`: chmod o+x, or choose another place",
                owner.uid,
                part.display()
            )));
        }
    }
    Ok(())
}

fn may_pass(metadata: &std::fs::Metadata, owner: Owner) -> bool {
    let mode = metadata.permissions().mode();
    let bit = match (metadata.uid() == owner.uid, metadata.gid() == owner.gid) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    owner.uid == 0 || mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (RunId, Attempt) {
        let run = "01J8Z3V4T5W6X7Y8Z9A0B1C2D4".parse().expect("valid");
        (run, Attempt(u32::MAX))
    }

    fn open_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
        dir
    }

    #[test]
    fn run_directories_have_their_owners_from_the_start() {
        let temp = open_dir();
        let owner = Owner::of_runs(1983, None);
        let data = DataDir::open(temp.path(), owner).expect("usable");
        let (run, attempt) = ids();
        let dirs = data.create_run(run, attempt).expect("created");
        for (path, mode, uid, gid) in [
            (dirs.workspace(), 0o700, owner.uid, owner.gid),
            (dirs.spool(), 0o700, owner.uid, owner.gid),
            (dirs.home(), 0o700, owner.uid, owner.gid),
            (dirs.io(), 0o750, Owner::own().uid, owner.gid),
        ] {
            let found = std::fs::symlink_metadata(&path).expect("exists");
            let found = (found.mode() & 0o7777, found.uid(), found.gid());
            assert_eq!(found, (mode, uid, gid), "{}", path.display());
        }
        assert!(
            data.create_run(run, attempt).is_err(),
            "an attempt is made once"
        );
        assert_eq!(
            data.list_runs().expect("list"),
            [format!("{run}-{attempt}")]
        );
        assert_eq!(data.remove_run(&dirs), []);
        assert!(data.list_runs().expect("list").is_empty());
    }

    #[test]
    fn a_socket_fits_into_the_longest_data_directory() {
        let most = SOCKET_PATH - 1 - LONGEST_BELOW;
        let temp = open_dir();
        let base = temp.path().to_str().expect("UTF-8").len();
        let fits = temp.path().join("x".repeat(most - base - 1));
        let data = DataDir::open(&fits, Owner::own()).expect("just fits");
        let (run, attempt) = ids();
        let dirs = data.create_run(run, attempt).expect("created");
        std::os::unix::net::UnixListener::bind(dirs.io().join(SOCKET_NAME))
            .expect("the address is short enough");
        let too_long = temp.path().join("x".repeat(most - base));
        let error = DataDir::open(&too_long, Owner::own()).expect_err("too long");
        assert!(error.to_string().contains("at most"), "{error}");
    }

    #[test]
    fn directories_that_others_control_are_refused() {
        let temp = open_dir();
        let set = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(temp.path(), mode).expect("mode");
        };
        let open = |path: &Path| {
            DataDir::open(
                path,
                Owner {
                    uid: 1983,
                    gid: 1983,
                },
            )
        };
        set(0o777);
        assert!(open(temp.path()).is_err(), "world-writable");
        set(0o700);
        assert!(open(temp.path()).is_err(), "not passable");
        set(0o755);
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).expect("link");
        assert!(open(&link).is_err(), "a link");
        assert!(open(Path::new("relative")).is_err());
        assert!(open(Path::new("/a/../b")).is_err());
        assert!(open(temp.path()).is_ok());
    }

    #[test]
    fn ids_follow_the_remap() {
        let remap = Some(Remap {
            uid: 100_000,
            gid: 200_000,
        });
        let found = Owner::of_runs(1983, remap);
        if Owner::own().uid == 0 {
            assert_eq!(
                found,
                Owner {
                    uid: 101_983,
                    gid: 201_983
                }
            );
        } else {
            assert_eq!(found, Owner::own());
        }
    }

    use crate::engine::Remap;
}
