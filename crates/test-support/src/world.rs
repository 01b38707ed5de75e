//! A world: registry, server, pool, wire, and whatever launchers and stacks a test makes in it.
//!
//! Takes nothing but a working host, gives a system of real processes. On the way out it fails the test if a
//! container or a run directory was left over. Never: anything outside its own directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::api::Api;
use crate::cli::Cli;
use crate::docker::Docker;
use crate::images::Images;
use crate::launcher::{Basics, LauncherBuilder};
use crate::pool::Pool;
use crate::process::tail;
use crate::registry::Registry;
use crate::repo::Repo;
use crate::server::Server;
use crate::stack::StackBuilder;
use crate::wire::Wire;

/// A world to be.
#[derive(Clone, Copy, Debug)]
pub struct WorldBuilder {
    key_bits: u32,
    keeps_containers: bool,
}

impl WorldBuilder {
    /// Size of the pool's key.
    pub fn key_bits(mut self, bits: u32) -> Self {
        self.key_bits = bits;
        self
    }

    /// Ended containers may be left over: the test looks at them. They are removed all the same.
    pub fn keeps_containers(mut self) -> Self {
        self.keeps_containers = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> World {
        let registry = Registry::shared();
        let temp = tempfile::Builder::new()
            .prefix("gantry-it-")
            .tempdir()
            .expect("a directory");
        let dir = temp.path();
        // Sources are fetched as the runs' user: it has to get through to the repositories.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("open the way");
        for (name, mode) in [
            ("keys", 0o700),
            ("work", 0o700),
            ("repos", 0o755),
            ("cli", 0o700),
        ] {
            fs::create_dir(dir.join(name)).expect("make a directory");
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode))
                .expect("set its mode");
        }
        let wire = Wire::new();
        let server = Server::start(&dir.join("keys"), wire.url(), dir.join("repos"));
        wire.connect_to(server.address());
        let cli = Cli {
            endpoint: server.url(),
            key: Some(server.key()),
            config_dir: dir.join("cli"),
        };
        let api = Api::new(server.url(), server.key());
        let pool = Pool::create(&cli, &dir.join("keys"), "it", self.key_bits);
        let server = Mutex::new(server);
        World {
            options: self,
            registry,
            server,
            wire,
            cli,
            api,
            pool,
            temp,
        }
    }
}

/// A system of real processes.
#[derive(Debug)]
pub struct World {
    options: WorldBuilder,
    registry: Arc<Registry>,
    server: Mutex<Server>,
    wire: Wire,
    cli: Cli,
    api: Api,
    pool: Pool,
    temp: TempDir,
}

impl World {
    /// A world to be, with a pool key that is quick to make.
    pub fn builder() -> WorldBuilder {
        WorldBuilder {
            key_bits: 2048,
            keeps_containers: false,
        }
    }

    /// A world as most tests want it.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The command line.
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// The API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The pool of this world's launchers.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A second pool with a key of its own.
    pub fn other_pool(&self, name: &str) -> Pool {
        Pool::create(&self.cli, &self.temp.path().join("keys"), name, 2048)
    }

    /// The images in the registry.
    pub fn images(&self) -> &Images {
        self.registry.images()
    }

    /// `host:port` of the registry.
    pub fn registry(&self) -> &str {
        self.registry.address()
    }

    /// The server.
    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network between launchers and the server.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// A directory of the world's own.
    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// A new repository.
    pub fn repo(&self, name: &str) -> Repo {
        Repo::create(&self.dir().join("repos"), &self.dir().join("work"), name)
    }

    /// A stack of the repository, in this world's pool.
    pub fn stack(&self, id: &str, repo: &Repo) -> StackBuilder<'_> {
        StackBuilder::new(self, id, &repo.url())
    }

    /// A launcher of this world's pool, with a data directory of that name.
    pub fn launcher(&self, name: &str) -> LauncherBuilder {
        let basics = Basics {
            token: self.pool.token.clone(),
            pool_key: self.pool.key_base64(),
            image: self.images().busybox.tag.clone(),
            release_key: self.server().release_key(),
            registry: self.registry().to_owned(),
        };
        LauncherBuilder::new(self.dir(), name, basics)
    }

    /// Containers of this world's launchers, ended ones too.
    pub fn containers(&self) -> Vec<serde_json::Value> {
        Docker.containers_of(self.dir())
    }

    fn logs(&self) -> Vec<PathBuf> {
        let dirs = [self.dir().to_owned(), self.dir().join("keys")];
        let entries = dirs
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten()
            .flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let left = Leftovers::take(self.dir());
        if std::thread::panicking() {
            show_logs(&self.logs());
            return;
        }
        left.assert_none(self.options.keeps_containers);
    }
}

/// What launchers left behind below a world's directory.
pub(crate) struct Leftovers {
    containers: Vec<String>,
    dirs: Vec<PathBuf>,
}

impl Leftovers {
    /// Takes note of it and removes it.
    pub(crate) fn take(dir: &Path) -> Self {
        let containers = Docker.containers_of(dir);
        let dirs = leftover_run_dirs(dir);
        Docker.remove(&containers);
        // They stay for a launcher's next start; here there will be none.
        Docker.remove_networks(&Docker.networks_of(dir));
        let names = containers.iter();
        let names = names.map(|container| container["Name"].to_string());
        Self {
            containers: names.collect(),
            dirs,
        }
    }

    /// Fails the test if there was anything.
    pub(crate) fn assert_none(&self, keeps_containers: bool) {
        let (names, dirs) = (&self.containers, &self.dirs);
        assert!(
            keeps_containers || names.is_empty(),
            "containers are left: {names:?}"
        );
        assert!(dirs.is_empty(), "run directories are left: {dirs:?}");
    }
}

fn leftover_run_dirs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let runs = entries.filter_map(|entry| fs::read_dir(entry.path().join("runs")).ok());
    runs.flatten().flatten().map(|entry| entry.path()).collect()
}

/// The ends of processes' logs, for a test that failed.
pub(crate) fn show_logs(logs: &[PathBuf]) {
    for log in logs {
        show(&format!(
            "── the end of {} ──\n{}",
            log.display(),
            tail(log)
        ));
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a failed test shows the logs of its processes"
)]
fn show(text: &str) {
    eprintln!("{text}");
}
