//! Fetches one commit of a repository, as hostile input.
//!
//! Takes a [`Request`] from a run's payload and the host's [`FetchPolicy`]; gives the checked-out tree, owned
//! by the run's user, and nothing else. Never: credentials in an argument, on disk or in the container; a
//! setting, hook, filter or submodule of the repository; a connection to an address of the host's own; an
//! option where a name was meant.
//!
//! Git's own directory is not in the workspace, it is in the run's `home`, which is never mounted, and goes
//! when the tree is checked out: a run needs the files, while `.git` would bring configuration that tools in
//! the container obey, and a second copy of everything. (The documented behaviour of workers in this field is
//! the same: they unpack an archive without history.)

mod address;
mod command;
mod environment;
mod error;
mod request;

pub use address::{Lookup, LookupError, lookup_fn};
pub use error::FetchError;
pub use request::Request;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_net::{Proxies, means_of_curl};
use reqwest::Url;

use command::{Outcome, Run};
use environment::Environment;
use error::{Kind, classify};
use request::Checked;

use crate::workspace::{Bounds, Owner, remove_tree};

/// Oldest git that pins addresses (`http.curloptResolve`).
pub const OLDEST_GIT: (u32, u32) = (2, 37);

/// What the host allows and gives.
#[derive(Clone, Debug)]
pub struct FetchPolicy {
    /// Who git runs as, and who owns the tree.
    pub owner: Owner,
    /// `PATH` for git and what it starts; nothing else of the launcher's environment is passed on.
    pub path: String,
    /// `file` repositories are allowed below these directories.
    pub file_prefixes: Vec<PathBuf>,
    /// `known_hosts` for `ssh`; without it, `ssh` repositories are refused.
    pub known_hosts: Option<PathBuf>,
    /// Private key for `ssh`, readable by the run's user.
    pub ssh_identity: Option<PathBuf>,
    /// CA bundle instead of git's own.
    pub ca_file: Option<PathBuf>,
    /// Proxies for `https`; git gets the one that is right for the repository.
    pub proxies: Proxies,
    /// What stands for `private://NAME`, by name.
    pub private: BTreeMap<String, Url>,
    /// Limit of the whole fetch.
    pub time: Duration,
    /// Limits of what comes over the wire and of what is checked out, each.
    pub bounds: Bounds,
}

/// `PATH` where the host configures none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A checked-out tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The commit, verified.
    pub commit: String,
    /// Files and links.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Where a fetch works, all owned by the run's user.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Home of git; its repository lives and dies here.
    pub home: &'a Path,
    /// Where the tree goes; must not exist.
    pub target: &'a Path,
}

/// Fetches for one launcher.
#[derive(Clone)]
pub struct Fetcher {
    policy: FetchPolicy,
    lookup: Lookup,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fetcher").field(&self.policy).finish()
    }
}

/// One fetch on its way.
struct Session<'a> {
    request: &'a Checked,
    environment: Environment,
    policy: &'a FetchPolicy,
    places: Places<'a>,
}

impl Fetcher {
    /// With the host's policy and a resolver.
    pub fn new(policy: FetchPolicy, lookup: Lookup) -> Self {
        Self { policy, lookup }
    }

    /// The version of git, if it is one that can be used. For start-up and doctor.
    ///
    /// # Errors
    /// [`FetchError::Git`] when it is missing or older than 2.37.
    pub async fn check(&self) -> Result<String, FetchError> {
        let environment = Environment::bare(&self.policy);
        let run = Run {
            arguments: &["version".into()],
            environment: &environment,
            directory: Path::new("/"),
            owner: self.policy.owner,
            watched: &[],
            bounds: self.policy.bounds,
            limit: Duration::from_secs(30),
        };
        let said = match run.perform(|_| Ok(())).await {
            Outcome::Ended { ok: true, out, .. } => out,
            Outcome::NotStarted(source) => return Err(FetchError::NotStarted { source }),
            _ => return Err(FetchError::version("no answer")),
        };
        match parse_version(&said) {
            Some(found) if found >= OLDEST_GIT => Ok(said.trim().to_owned()),
            _ => Err(FetchError::version(said.trim())),
        }
    }

    /// Fetches and checks out. On an error, `target` and git's directory may be half full.
    ///
    /// # Errors
    /// [`FetchError`], which names repository and commit.
    pub async fn fetch(
        &self,
        request: &Request<'_>,
        places: Places<'_>,
    ) -> Result<Fetched, FetchError> {
        let checked = Checked::new(request, &self.policy)?;
        let pinned = address::pin(&checked, &self.policy, &self.lookup).await?;
        let environment =
            Environment::new(&checked, &self.policy, &pinned, request.credentials, places)
                .map_err(|source| checked.disk(source))?;
        let session = Session {
            request: &checked,
            environment,
            policy: &self.policy,
            places,
        };
        match tokio::time::timeout(self.policy.time, session.all()).await {
            Ok(result) => result,
            Err(_) => Err(checked.timed_out(self.policy.time)),
        }
    }
}

impl Session<'_> {
    async fn all(&self) -> Result<Fetched, FetchError> {
        let commit = self.request.commit.as_str();
        let format = match commit.len() {
            64 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        // An empty template: no hooks, no info/attributes.
        self.git("prepare", &["init", "--quiet", "--template=", format])
            .await?;
        self.objects().await?;
        let (files, bytes) = self.size().await?;
        let checkout = [
            "checkout",
            "--quiet",
            "--force",
            "--no-recurse-submodules",
            "--detach",
            commit,
        ];
        std::fs::create_dir(self.places.target).map_err(|source| self.request.disk(source))?;
        self.own_target()?;
        self.git("check out", &checkout).await?;
        let head = self
            .git("verify", &["rev-parse", "--verify", "HEAD^{commit}"])
            .await?;
        if head.trim() != commit {
            return Err(self.request.other_commit(head.trim()));
        }
        self.drop_repository()?;
        Ok(Fetched {
            commit: commit.to_owned(),
            files,
            bytes,
        })
    }

    /// Brings the commit's objects: alone, else with the tip of its branch, else with all branches.
    async fn objects(&self) -> Result<(), FetchError> {
        let branch = format!("refs/heads/{}", self.request.branch);
        let attempts: [&[&str]; 3] = [
            &["--depth=1"],
            &["--depth=1"],
            &["--update-shallow", "--depth=2147483647"],
        ];
        let wanted = [
            self.request.commit.as_str(),
            branch.as_str(),
            "refs/heads/*:refs/gantry/*",
        ];
        for (options, wanted) in attempts.into_iter().zip(wanted) {
            let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
            arguments.extend_from_slice(options);
            arguments.extend(["--", self.request.url.as_str(), wanted]);
            let result = self.git("fetch", &arguments).await;
            match result {
                Ok(_) if self.has_commit().await? => return Ok(()),
                Ok(_) => {}
                // A server that refuses a bare commit, or has no such branch: the next attempt may succeed.
                Err(FetchError::Git { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(self.request.unknown_commit())
    }

    async fn has_commit(&self) -> Result<bool, FetchError> {
        let name = format!("{}^{{commit}}", self.request.commit);
        match self.git("look for", &["cat-file", "-e", &name]).await {
            Ok(_) => Ok(true),
            Err(FetchError::Git { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Files and bytes of the commit's tree, before anything is written: a small pack can hold a huge tree.
    async fn size(&self) -> Result<(u64, u64), FetchError> {
        let commit = self.request.commit.as_str();
        let bounds = self.policy.bounds;
        let (mut files, mut bytes) = (0_u64, 0_u64);
        let arguments = ["ls-tree", "-r", "--long", "--full-tree", "-z", commit];
        let mut rest: Vec<u8> = Vec::new();
        let count = |chunk: &[u8]| {
            rest.extend_from_slice(chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == 0) {
                files += 1;
                bytes = bytes.saturating_add(entry_size(&rest[..end]));
                rest.drain(..=end);
            }
            match files <= bounds.entries && bytes <= bounds.bytes && rest.len() <= 1 << 16 {
                true => Ok(()),
                false => Err(()),
            }
        };
        self.git_counting("measure", &arguments, count).await?;
        Ok((files, bytes))
    }

    /// Removes git's directory; what a hostile repository made of it is not followed.
    fn drop_repository(&self) -> Result<(), FetchError> {
        let home = std::fs::File::open(self.places.home);
        let home = home.map_err(|source| self.request.disk(source))?;
        let left = remove_tree(&home, environment::GIT_DIR.as_bytes());
        match left.first() {
            None => Ok(()),
            Some(left) => Err(self
                .request
                .disk(std::io::Error::other(left.reason.clone()))),
        }
    }

    fn own_target(&self) -> Result<(), FetchError> {
        let owner = self.policy.owner;
        if owner == Owner::own() {
            return Ok(());
        }
        // Just made, in a directory that only this process and git (which does not run now) can change.
        let (uid, gid) = (Some(owner.uid), Some(owner.gid));
        std::os::unix::fs::lchown(self.places.target, uid, gid)
            .map_err(|source| self.request.disk(source))
    }

    async fn git(&self, step: &'static str, arguments: &[&str]) -> Result<String, FetchError> {
        self.git_counting(step, arguments, |_| Ok(())).await
    }

    /// Git's words without credentials; before them what they mean about the way to the host.
    fn said(&self, err: &[u8]) -> String {
        let said = self.environment.without_secrets(err);
        match means_of_curl(&said, self.request.proxy(self.policy)) {
            Some(means) => format!("{means}: {said}"),
            None => said,
        }
    }

    async fn git_counting(
        &self,
        step: &'static str,
        arguments: &[&str],
        on_output: impl FnMut(&[u8]) -> Result<(), ()> + Send,
    ) -> Result<String, FetchError> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let run = Run {
            arguments: &arguments,
            environment: &self.environment,
            directory: self.places.home,
            owner: self.policy.owner,
            watched: &[self.places.home, self.places.target],
            bounds: self.policy.bounds,
            limit: self.policy.time,
        };
        match run.perform(on_output).await {
            Outcome::Ended { ok: true, out, .. } => Ok(out),
            Outcome::Ended { err, .. } => {
                let said = self.said(&err);
                Err(match classify(&said) {
                    Kind::Auth => self.request.auth_needed(said),
                    Kind::Unreachable => self.request.unreachable(said),
                    Kind::Other => self.request.git(step, said),
                })
            }
            Outcome::TooLarge => Err(self.request.too_large(self.policy.bounds)),
            Outcome::TimedOut => Err(self.request.timed_out(self.policy.time)),
            Outcome::NotStarted(source) => Err(FetchError::NotStarted { source }),
        }
    }
}

/// Size field of an `ls-tree --long` entry: `mode type object size<tab>path`; `-` for a submodule.
fn entry_size(entry: &[u8]) -> u64 {
    let entry = entry
        .split(|byte| *byte == b'\t')
        .next()
        .unwrap_or_default();
    let size = entry
        .rsplit(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    std::str::from_utf8(size)
        .ok()
        .and_then(|size| size.parse().ok())
        .unwrap_or(0)
}

fn parse_version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.trim().strip_prefix("git version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
