//! An image registry on loopback, shared by the tests of a process.
//!
//! Takes nothing, gives an address. Never: an address that other hosts reach.

mod variant;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use crate::docker::Docker;
use crate::images::Images;
use crate::process::Process;
use crate::programs::find_program;
use crate::wait::{SHORT, wait_for};

static SHARED: Mutex<Weak<Registry>> = Mutex::new(Weak::new());

/// A running registry that holds the test images.
#[derive(Debug)]
pub struct Registry {
    address: String,
    images: Images,
    _process: Process,
    _dir: TempDir,
}

impl Registry {
    /// The one of this process; it ends with the last test that uses it.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = shared.upgrade() {
            return registry;
        }
        let registry = Arc::new(Self::start());
        *shared = Arc::downgrade(&registry);
        registry
    }

    fn start() -> Self {
        let docker = Docker::answering();
        let dir = TempDir::new().expect("a directory for the registry");
        let storage = Images::storage();
        let address = free_address();
        let process = serve(&address, &storage, dir.path());
        let images = Images::ready(docker, &address);
        Self {
            address,
            images,
            _process: process,
            _dir: dir,
        }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes an image of its own out of the busybox one: other configuration, same layers; gives its tag.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub fn variant(&self, name: &str) -> String {
        let made = variant::make(&self.address, "it/busybox", "1", name);
        made.unwrap_or_else(|error| panic!("make image variant {name}: {error}"));
        name.to_owned()
    }

    /// The images that it holds.
    pub fn images(&self) -> &Images {
        &self.images
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.images.forget(Docker);
    }
}

fn serve(address: &str, storage: &Path, dir: &Path) -> Process {
    let config = dir.join("registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
        storage.display()
    );
    std::fs::write(&config, text).expect("write the registry's configuration");
    let mut command = Command::new(find_program("docker-registry", "docker-registry"));
    command.arg("serve").arg(&config);
    let mut process = Process::start("docker-registry", command, &dir.join("registry.log"));
    wait_for("the registry to listen", SHORT, || {
        assert!(
            process.running(),
            "the registry ended: {}",
            process.log_text()
        );
        std::net::TcpStream::connect(address).map_err(|error| error.to_string())
    });
    process
}

/// A loopback address that nothing listens on just now.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
    listener
        .local_addr()
        .expect("the listener's address")
        .to_string()
}
