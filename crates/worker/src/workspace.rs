//! Where things lie below the workspace.
//!
//! Takes the workspace's root and the order's project root, gives paths and checks of the plan file. Must
//! never happen here: a path outside the workspace, or following a link where a plan file should be.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use gantry_protocol::Digest;
use rustix::fs::OFlags;
use sha2::Digest as _;

use crate::hash::Hash;

/// Fewer free bytes than any tool needs.
const NEARLY_NOTHING: u64 = 64 << 10;

/// Why the workspace is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The project root leaves the checkout.
    #[error("project root `{0}` leaves the checkout; correct the stack's project root")]
    Outside(String),
    /// The plan's directory can't be made ready.
    #[error("could not prepare `{}`", path.display())]
    Prepare {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The plan can't be read.
    #[error("could not read the plan file `{}`", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The plan is another than the one that was made.
    #[error("the plan file `{}` was changed after the plan: it is {found}, planned was {planned}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest that it has.
        found: Digest,
        /// The digest that it had.
        planned: Digest,
    },
}

/// The workspace of a run.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    project: PathBuf,
}

impl Workspace {
    /// The workspace at `root` whose code is in `project_root` below the checkout.
    ///
    /// # Errors
    /// [`WorkspaceError::Outside`] when `project_root` is absolute or climbs.
    pub fn new(root: &Path, project_root: &str) -> Result<Self, WorkspaceError> {
        let project = Path::new(project_root);
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !project.components().all(inside) {
            return Err(WorkspaceError::Outside(project_root.to_owned()));
        }
        Ok(Self {
            root: root.to_owned(),
            project: root.join("source").join(project),
        })
    }

    /// Where everything lies that outlives the container.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the tool's code.
    pub fn project(&self) -> PathBuf {
        self.project.clone()
    }

    /// The saved plan; it is packed with the workspace.
    pub fn plan_file(&self) -> PathBuf {
        self.root.join(".gantry/plan.tfplan")
    }

    /// Whether the disk below the workspace is full: then tools fail with anything but that.
    pub fn disk_is_full(&self) -> bool {
        let stat = rustix::fs::statvfs(&self.root);
        stat.is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < NEARLY_NOTHING)
    }

    /// Makes room for a new plan file.
    ///
    /// # Errors
    /// [`WorkspaceError::Prepare`] names what could not be made or removed.
    pub fn prepare_plan(&self) -> Result<(), WorkspaceError> {
        let directory = self.root.join(".gantry");
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory);
        made.map_err(|source| WorkspaceError::Prepare {
            path: directory,
            source,
        })?;
        let path = self.plan_file();
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(WorkspaceError::Prepare { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that the plan file is there and, when this process made it, is still the same.
    ///
    /// # Errors
    /// [`WorkspaceError`] when it is missing, a link, or another one.
    pub async fn check_plan(
        &self,
        path: &Path,
        planned: Option<Digest>,
    ) -> Result<(), WorkspaceError> {
        let found = digest(path).await?;
        match planned {
            Some(planned) if planned != found => Err(WorkspaceError::Changed {
                path: path.to_owned(),
                found,
                planned,
            }),
            _ => Ok(()),
        }
    }

    /// Remembers whether the tool's file of unsaved state is in `directory` already.
    pub fn rescue(&self, directory: &Path, file: &str) -> Rescue {
        let path = directory.join(file);
        Rescue {
            before: written(&path),
            shown: path
                .strip_prefix(&self.root)
                .unwrap_or(&path)
                .display()
                .to_string(),
            path,
        }
    }
}

/// A file of unsaved state that a tool may leave behind.
#[derive(Debug)]
pub struct Rescue {
    path: PathBuf,
    shown: String,
    before: Option<SystemTime>,
}

impl Rescue {
    /// The file, relative to the workspace, if the tool left it since.
    pub fn found(self) -> Option<String> {
        let now = written(&self.path);
        (now.is_some() && now != self.before).then_some(self.shown)
    }
}

/// When a regular file was last written.
fn written(path: &Path) -> Option<SystemTime> {
    let metadata = path.symlink_metadata().ok()?;
    metadata
        .is_file()
        .then(|| metadata.modified().ok())
        .flatten()
}

/// SHA-256 of a file that is no link.
///
/// # Errors
/// [`WorkspaceError::Plan`] when it can't be read.
pub async fn digest(path: &Path) -> Result<Digest, WorkspaceError> {
    let path = path.to_owned();
    let failed = |path: PathBuf| move |source| WorkspaceError::Plan { path, source };
    let at = path.clone();
    let hashed = tokio::task::spawn_blocking(move || hash(&at)).await;
    let hashed = hashed
        .map_err(std::io::Error::other)
        .and_then(|digest| digest);
    hashed.map_err(failed(path))
}

fn hash(path: &Path) -> std::io::Result<Digest> {
    // Non-blocking, so that a pipe laid there can't hold the worker.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut open = OpenOptions::new();
    let mut file: File = open
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut hash = Hash(sha2::Sha256::new());
    std::io::copy(&mut file, &mut hash)?;
    Ok(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_root_stays_inside() {
        let project = |root| {
            Workspace::new(Path::new("/w"), root)
                .map(|w| w.project())
                .ok()
        };
        let table = [
            ("", Some("/w/source/")),
            ("a/b", Some("/w/source/a/b")),
            ("./a", Some("/w/source/./a")),
            ("..", None),
            ("a/../../b", None),
            ("/etc", None),
        ];
        for (root, expected) in table {
            assert_eq!(project(root), expected.map(PathBuf::from), "{root}");
        }
    }

    #[tokio::test]
    async fn only_the_planned_file_is_applied() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(root.path(), "").unwrap();
        workspace.prepare_plan().unwrap();
        let file = workspace.plan_file();
        assert!(matches!(
            workspace.check_plan(&file, None).await,
            Err(WorkspaceError::Plan { .. })
        ));
        std::fs::write(&file, "plan").unwrap();
        let planned = Some(Digest::of(b"plan"));
        workspace.check_plan(&file, planned).await.unwrap();
        std::fs::write(&file, "other").unwrap();
        let changed = workspace.check_plan(&file, planned).await;
        assert!(matches!(changed, Err(WorkspaceError::Changed { .. })));
        workspace.prepare_plan().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(workspace.check_plan(&file, None).await.is_err());
    }

    #[test]
    fn only_a_newly_left_state_counts() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(root.path(), "").unwrap();
        std::fs::create_dir(root.path().join("source")).unwrap();
        let rescue = || workspace.rescue(&workspace.project(), "errored.tfstate");
        assert_eq!(rescue().found(), None);
        let before = rescue();
        std::fs::write(root.path().join("source/errored.tfstate"), "{}").unwrap();
        assert_eq!(rescue().found(), None, "it was there before");
        assert_eq!(before.found().as_deref(), Some("source/errored.tfstate"));
    }
}
