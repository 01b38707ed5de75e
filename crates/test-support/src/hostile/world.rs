//! A world around a hostile server: registry, code, marks, and whatever launchers a test makes in it.
//!
//! Takes nothing but a working host. On the way out it fails the test if a container or a run directory was left
//! over. Never: anything outside its own directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::Hostile;
use super::payloads::MARKS;
use crate::docker::Docker;
use crate::images::Images;
use crate::launcher::{Basics, LauncherBuilder};
use crate::registry::Registry;
use crate::repo::Repo;
use crate::world::{Leftovers, show_logs};

/// Code that needs no provider: one resource and one output.
const CODE: &str = r#"
variable "greeting" { default = "hello" }
resource "terraform_data" "it" { input = var.greeting }
output "said" { value = terraform_data.it.output }
"#;

/// Launchers of a server that can't be trusted.
#[derive(Debug)]
pub struct HostileWorld {
    registry: Arc<Registry>,
    hostile: Hostile,
    repo: Repo,
    commit: String,
    temp: TempDir,
}

impl HostileWorld {
    /// Starts it.
    pub fn start() -> Self {
        let registry = Registry::shared();
        let temp = tempfile::Builder::new().prefix("gantry-hostile-").tempdir();
        let temp = temp.expect("a directory");
        let dir = temp.path();
        let make = |name: &str, mode| {
            let path = dir.join(name);
            fs::create_dir_all(&path).expect("make a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set its mode");
            path
        };
        // Sources are fetched as the runs' user: it has to get through to the repository.
        make("", 0o711);
        let (repos, work) = (make("repos", 0o755), make("work", 0o700));
        make("marks", 0o777);
        let hostile = Hostile::start(&make("keys", 0o700));
        let repo = Repo::create(&repos, &work, "code");
        let commit = repo.commit(&[("main.tf", CODE)]);
        Self {
            registry,
            hostile,
            repo,
            commit,
            temp,
        }
    }

    /// The server.
    pub fn hostile(&self) -> &Hostile {
        &self.hostile
    }

    /// The images in the registry.
    pub fn images(&self) -> &Images {
        self.registry.images()
    }

    /// The code that runs are of.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The commit that payloads name.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// A directory of the world's own.
    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// How often a mark was left on the host.
    pub fn marked(&self, name: &str) -> usize {
        let text = fs::read_to_string(self.dir().join("marks").join(name));
        text.unwrap_or_default().lines().count()
    }

    /// Names of all marks that begin with `prefix`.
    pub fn marks(&self, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(self.dir().join("marks")).expect("read the marks");
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// A launcher of the pool that takes three runs at a time, and mounts the marks into all of them.
    pub fn launcher(&self, name: &str) -> LauncherBuilder {
        let keys = self.hostile.keys();
        let marks = format!("{}:{MARKS}", self.dir().join("marks").display());
        let basics = Basics {
            token: self.hostile.token(),
            pool_key: keys.pool_key_base64(),
            image: self.images().busybox.tag.clone(),
            release_key: keys.release.public().to_string(),
            registry: self.registry.address().to_owned(),
        };
        LauncherBuilder::new(self.dir(), name, basics)
            .env("SPACELIFT_WORKER_EXTRA_MOUNTS", &marks)
            .env("GANTRY_CAPACITY", "3")
    }

    /// Containers of this world's launchers, ended ones too.
    pub fn containers(&self) -> Vec<serde_json::Value> {
        Docker.containers_of(self.dir())
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir()).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
            .collect()
    }
}

impl Drop for HostileWorld {
    fn drop(&mut self) {
        let left = Leftovers::take(self.dir());
        if std::thread::panicking() {
            show_logs(&self.logs());
            return;
        }
        left.assert_none(false);
    }
}
