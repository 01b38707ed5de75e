//! Providers that earlier runs downloaded, kept by content and copied into later runs that pin that content.
//!
//! Takes workspaces, gives packages. Never: a package named by anything but the hash of its own bytes, one given
//! to a run whose lock file does not pin it, a directory that two runs share. Why: docs/decisions/0009.

mod lock_file;

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gantry_protocol::Digest;
use tracing::{debug, info, warn};

use crate::machine::Machine;
use crate::workspace::{
    Bounds, Owner, lay_package, read_plain, remove_tree, take_package, tree_size,
};
use lock_file::Pinned;

/// Name of the tools' lock file.
const LOCK_FILE: &str = ".terraform.lock.hcl";

/// Largest lock file in bytes.
const MAX_LOCK_FILE: u64 = 1 << 20;

/// What one package may hold.
const PACKAGE: Bounds = Bounds {
    entries: 10_000,
    bytes: 2 << 30,
};

/// What the whole cache may hold, in bytes.
const WHOLE: u64 = 10 << 30;

/// What names of unfinished packages begin with.
const HALF: &str = "half-";

/// A run's checkout.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// The workspace on this host.
    pub workspace: PathBuf,
    /// The stack's project root: plain steps below `source`, none for its root.
    pub project_root: String,
    /// Who runs are on this host.
    pub owner: Owner,
}

impl Checkout {
    fn steps<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let root = self
            .project_root
            .split('/')
            .filter(|step| !matches!(*step, "" | "."));
        ["source"]
            .into_iter()
            .chain(root)
            .chain(more.iter().copied())
            .collect()
    }

    /// What the lock file pins; nothing when there is none that can be read.
    fn pinned(&self) -> Vec<Pinned> {
        lock_file::read(&self.lock_file())
    }

    /// Sources of the providers that the lock file names; none when it can't be read.
    pub fn locked(&self) -> Vec<String> {
        lock_file::sources(&self.lock_file())
    }

    fn lock_file(&self) -> String {
        let read = read_plain(&self.workspace, &self.steps(&[LOCK_FILE]), MAX_LOCK_FILE);
        let text = read.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.unwrap_or_default()
    }

    /// Where the tools keep this provider's package.
    fn package<'a>(&'a self, pinned: &'a Pinned, platform: &'a str) -> Vec<&'a str> {
        let [host, namespace, name] = &pinned.source;
        let steps = [
            ".terraform",
            "providers",
            host,
            namespace,
            name,
            &pinned.version,
            platform,
        ];
        self.steps(&steps)
    }
}

/// The cache of one launcher.
#[derive(Clone, Debug)]
pub struct ProviderCache {
    root: PathBuf,
    limit: u64,
    /// As the tools name the directory of a package's platform; nothing where no tool is published.
    platform: Option<String>,
}

impl ProviderCache {
    /// Opens (and makes) the cache below a checked data directory, and removes what was left half done.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(data: &Path, machine: Option<Machine>) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let root = data.join("providers");
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&root)?;
        let platform = machine.map(|machine| format!("linux_{}", machine.go()));
        let cache = Self {
            root,
            limit: WHOLE,
            platform,
        };
        for name in cache.names() {
            if name.starts_with(HALF) {
                cache.remove(&name);
            }
        }
        Ok(cache)
    }

    /// Copies what the checkout's lock file pins and is kept here to where the tool looks first; gives the names
    /// of the providers. What does not work is left to the tool, which downloads it.
    pub fn lay(&self, checkout: &Checkout) -> Vec<String> {
        let Some(platform) = &self.platform else {
            return Vec::new();
        };
        let mut laid = Vec::new();
        for pinned in checkout.pinned() {
            let kept = pinned.contents.iter().find(|content| self.has(**content));
            let Some(content) = kept else { continue };
            let steps = checkout.package(&pinned, platform);
            match self.lay_one(checkout, &steps, *content) {
                Ok(()) => laid.push(format!(
                    "{} {}",
                    pinned.source[1..].join("/"),
                    pinned.version
                )),
                Err(error) => {
                    debug!(%content, %error, "a kept provider could not be given to a run")
                }
            }
        }
        laid
    }

    fn lay_one(&self, checkout: &Checkout, steps: &[&str], content: Digest) -> io::Result<()> {
        let from = self.root.join(content.hex());
        let found = lay_package(&from, &checkout.workspace, steps, checkout.owner, PACKAGE)?;
        if found != content {
            // The tool compares as well, and would say so to a run that is not to blame.
            warn!(%content, %found, "a kept provider was changed on disk; it is removed");
            self.remove(&content.hex());
            remove_below(&checkout.workspace, steps);
            return Err(io::ErrorKind::InvalidData.into());
        }
        // Remembers the use; which goes first when room is needed is all that hangs on it.
        let _ = std::fs::File::open(&from).and_then(|dir| dir.set_modified(SystemTime::now()));
        Ok(())
    }

    /// Keeps the packages that an ended run pinned and has in its workspace; gives how many are new.
    pub fn keep(&self, checkout: &Checkout) -> usize {
        let Some(platform) = &self.platform else {
            return 0;
        };
        let mut kept = 0;
        for pinned in checkout.pinned() {
            if pinned.contents.iter().any(|content| self.has(*content)) {
                continue;
            }
            let steps = checkout.package(&pinned, platform);
            match self.keep_one(checkout, &steps, &pinned.contents) {
                Ok(content) => {
                    info!(provider = %pinned.source.join("/"), version = %pinned.version, %content, "provider kept for later runs");
                    kept += 1;
                }
                Err(error) => debug!(provider = %pinned.source.join("/"), %error, "not kept"),
            }
        }
        if kept > 0 {
            self.make_room();
        }
        kept
    }

    fn keep_one(
        &self,
        checkout: &Checkout,
        steps: &[&str],
        contents: &[Digest],
    ) -> io::Result<Digest> {
        let half = format!("{HALF}{}", ulid::Ulid::generate());
        let path = self.root.join(&half);
        let taken = take_package(&checkout.workspace, steps, &path, PACKAGE);
        let taken = taken.and_then(|content| match contents.contains(&content) {
            true => std::fs::rename(&path, self.root.join(content.hex())).map(|()| content),
            false => Err(io::ErrorKind::InvalidData.into()),
        });
        if taken.is_err() {
            self.remove(&half);
        }
        taken
    }

    fn has(&self, content: Digest) -> bool {
        self.root.join(content.hex()).is_dir()
    }

    /// Removes what was not used for the longest time, until the rest fits.
    fn make_room(&self) {
        let mut found: Vec<_> = self
            .names()
            .into_iter()
            .filter_map(|name| {
                let path = self.root.join(&name);
                let used = std::fs::metadata(&path)
                    .and_then(|dir| dir.modified())
                    .ok()?;
                let (_, bytes) = tree_size(&path, Bounds::default()).unwrap_or((0, self.limit));
                Some((used, bytes, name))
            })
            .collect();
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, name) in found {
            if total <= self.limit {
                return;
            }
            self.remove(&name);
            total -= bytes;
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    fn remove(&self, name: &str) {
        let Ok(root) = std::fs::File::open(&self.root) else {
            return;
        };
        for leftover in remove_tree(&root, name.as_bytes()) {
            warn!(path = %leftover.path, reason = %leftover.reason, "a kept provider could not be removed");
        }
    }
}

/// Removes a package that was just laid.
fn remove_below(workspace: &Path, steps: &[&str]) {
    let Some((last, parents)) = steps.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .fold(workspace.to_owned(), |path, step| path.join(step));
    if let Ok(parent) = std::fs::File::open(parent) {
        remove_tree(&parent, last.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    struct World {
        temp: tempfile::TempDir,
        cache: ProviderCache,
    }

    const SOURCE: &str = "registry.terraform.io/acme/x";

    impl World {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            let cache = ProviderCache::open(temp.path(), Machine::own()).unwrap();
            Self { temp, cache }
        }

        fn checkout(&self, name: &str) -> Checkout {
            let workspace = self.temp.path().join(name);
            fs::create_dir_all(workspace.join("source/infra")).unwrap();
            Checkout {
                workspace,
                project_root: "infra".into(),
                owner: Owner::own(),
            }
        }

        /// A checkout whose init has downloaded a provider with this content.
        fn initialized(&self, name: &str, content: &[u8]) -> Checkout {
            let checkout = self.checkout(name);
            let package = package(&checkout);
            fs::create_dir_all(&package).unwrap();
            fs::write(package.join("terraform-provider-x"), content).unwrap();
            checkout
        }
    }

    fn package(checkout: &Checkout) -> PathBuf {
        let project = checkout.workspace.join("source/infra");
        project.join(format!(
            ".terraform/providers/{SOURCE}/1.0.0/linux_{}",
            Machine::own().unwrap().go()
        ))
    }

    fn pin(checkout: &Checkout, content: &[u8]) {
        let listing = format!("{}  terraform-provider-x\n", Digest::of(content).hex());
        let hex = Digest::of(listing.as_bytes()).hex();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..64).step_by(2).map(byte).collect();
        let hash = STANDARD.encode(bytes);
        let text = format!(
            "provider \"{SOURCE}\" {{\n  version = \"1.0.0\"\n  hashes = [\"h1:{hash}\"]\n}}\n"
        );
        fs::write(
            checkout.workspace.join("source/infra/.terraform.lock.hcl"),
            text,
        )
        .unwrap();
    }

    #[test]
    fn a_pinned_provider_reaches_the_next_run_that_pins_it() {
        let world = World::new();
        let first = world.initialized("first", b"x");
        assert_eq!(world.cache.keep(&first), 0, "nothing pins it");
        pin(&first, b"x");
        assert_eq!((world.cache.keep(&first), world.cache.keep(&first)), (1, 0));

        let second = world.checkout("second");
        assert_eq!(world.cache.lay(&second), [""; 0], "it pins nothing");
        pin(&second, b"another");
        assert_eq!(world.cache.lay(&second), [""; 0], "it pins something else");
        pin(&second, b"x");
        assert_eq!(world.cache.lay(&second), ["acme/x 1.0.0"]);
        let laid = fs::read(package(&second).join("terraform-provider-x")).unwrap();
        assert_eq!(laid, b"x");
        assert_eq!(
            world.cache.lay(&second),
            [""; 0],
            "what is there is left alone"
        );
    }

    #[test]
    fn what_a_run_says_of_a_package_is_not_believed() {
        let world = World::new();
        let hostile = world.initialized("hostile", b"evil");
        pin(&hostile, b"good");
        assert_eq!(world.cache.keep(&hostile), 0);
        let good = world.initialized("good", b"good");
        pin(&good, b"good");
        assert_eq!(world.cache.keep(&good), 1);
        // Somebody changes the host's disk.
        let kept = world.cache.root.join(&world.cache.names()[0]);
        fs::write(kept.join("terraform-provider-x"), b"evil").unwrap();
        let next = world.checkout("next");
        pin(&next, b"good");
        assert_eq!(world.cache.lay(&next), [""; 0]);
        assert!(!package(&next).exists() && !kept.exists());
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let mut world = World::new();
        world.cache.limit = 25_000;
        for number in 0..3_u8 {
            let content = vec![number + 1; 10_000];
            let run = world.initialized(&number.to_string(), &content);
            pin(&run, &content);
            assert_eq!(world.cache.keep(&run), 1);
            let time = SystemTime::now() - std::time::Duration::from_secs(100 - u64::from(number));
            for name in world.cache.names() {
                let dir = fs::File::open(world.cache.root.join(name)).unwrap();
                let newer = dir.metadata().unwrap().modified().unwrap() > time;
                if newer {
                    dir.set_modified(time).unwrap();
                }
            }
        }
        assert_eq!(world.cache.names().len(), 2);
        let oldest = world.checkout("after");
        pin(&oldest, &vec![1; 10_000]);
        assert_eq!(world.cache.lay(&oldest), [""; 0]);
    }

    #[test]
    fn halves_are_removed_at_the_start() {
        let world = World::new();
        fs::create_dir(world.cache.root.join("half-x")).unwrap();
        let again = ProviderCache::open(world.temp.path(), Machine::own()).unwrap();
        assert_eq!(again.names(), [""; 0]);
    }
}
