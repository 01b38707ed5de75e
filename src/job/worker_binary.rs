//! The worker executable: newest signed one for the architecture of runs, verified, never older than what ran.
//!
//! The release key is pinned here; the server only hands out. Never: an executable mounted whose digest
//! was not checked just before, one for another product or architecture, a downgrade.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use gantry_protocol::control::manifest::{PRODUCT, WorkerManifest};
use gantry_protocol::crypto::{EdPublic, JwsError};
use gantry_protocol::ids::Digest;
use semver::Version;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::durable;
use crate::journal::{Journal, Progress};
use crate::report::Chain;
use crate::session::{CallError, Session};
use crate::workspace::{BinaryStore, StoreError};

/// Largest executable that is accepted, in bytes.
const MAX_WORKER: u64 = 256 << 20;

/// An executable that was verified, and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// Why no worker can be had.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The server can't be reached, and nothing was fetched before.
    #[error("no worker executable is cached, and the server gave none")]
    None(#[source] CallError),
    /// Not signed by a pinned key.
    #[error("the worker manifest for {arch} is not signed by a key of GANTRY_WORKER_TRUST_KEYS")]
    Unsigned {
        /// The architecture.
        arch: &'static str,
        /// Why.
        source: JwsError,
    },
    /// Signed, but for something else.
    #[error("the worker manifest is for {found}, not for {PRODUCT} on {arch}")]
    Other {
        /// What it is for.
        found: String,
        /// That of runs here.
        arch: &'static str,
    },
    /// Signed, but older than what has run.
    #[error(
        "the server offers worker {offered}, older than {newest}, which has run here; a downgrade is refused (remove `{floor}` to allow it)"
    )]
    Downgrade {
        /// Offered version.
        offered: Version,
        /// Newest version that ran.
        newest: Version,
        /// File that remembers it.
        floor: PathBuf,
    },
    /// The manifest's version is none.
    #[error("the worker manifest has version `{0}`, which is not a semantic version")]
    Version(String),
    /// What was downloaded is not what was signed for.
    #[error("the worker executable that the server sent is not the one that was signed for")]
    Store(#[from] StoreError),
    /// The download broke.
    #[error("the worker executable could not be downloaded")]
    Download(#[source] CallError),
    /// The download broke in the middle.
    #[error("the download of the worker executable broke")]
    Broken(#[source] reqwest::Error),
    /// The cache's notes can't be read or written.
    #[error("`{path}`")]
    Notes {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl WorkerError {
    /// Whether the server only has to be asked again.
    fn is_passing(&self) -> bool {
        match self {
            Self::None(error) | Self::Download(error) => error.is_passing(),
            Self::Broken(_) => true,
            _ => false,
        }
    }
}

/// The newest worker that ran, remembered across restarts: floor and cache in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    version: Version,
    sha256: Digest,
}

/// Gets and keeps worker executables.
pub struct WorkerBinaries {
    session: Arc<Session>,
    trust: Vec<EdPublic>,
    store: BinaryStore,
    floor: PathBuf,
    arch: &'static str,
    fetching: Mutex<()>,
}

impl WorkerBinaries {
    /// `store` keeps executables by digest; `floor` is the file that remembers the newest; `arch` is what runs are made for.
    pub fn new(
        session: Arc<Session>,
        trust: Vec<EdPublic>,
        store: BinaryStore,
        floor: PathBuf,
        arch: &'static str,
    ) -> Self {
        Self {
            session,
            trust,
            store,
            floor,
            arch,
            fetching: Mutex::new(()),
        }
    }

    /// The executable for a run that starts now. A server that is away is asked again where nothing is cached.
    pub(crate) async fn ready(&self) -> Result<Worker, WorkerError> {
        let _alone = self.fetching.lock().await;
        let mut backoff = Backoff::default();
        loop {
            match self.once().await {
                Err(error) if error.is_passing() => {
                    let wait = backoff.wait();
                    warn!(error = %Chain(&error), "there is no worker executable yet; trying again");
                    tokio::time::sleep(wait).await;
                }
                answer => return answer,
            }
        }
    }

    async fn once(&self) -> Result<Worker, WorkerError> {
        let newest = self.newest()?;
        match self.session.worker_manifest(self.arch, &self.trust).await {
            Ok(manifest) => self.offered(manifest, newest).await,
            Err(error) => match newest {
                Some(cached) => {
                    warn!(error = %Chain(&error), version = %cached.version, "using the cached worker");
                    self.verified(&cached)
                }
                None => Err(WorkerError::None(error)),
            },
        }
    }

    /// Removes executables that no lease needs: the newest that ran stays, and the one before it.
    pub async fn sweep(&self, journal: &Journal) {
        let _alone = self.fetching.lock().await;
        let kept = journal.entries().map(|entries| {
            let used = entries
                .into_iter()
                .filter_map(|entry| match entry.progress {
                    Progress::Started(started) => Some(started.worker),
                    Progress::Accepted | Progress::Ended { .. } => None,
                });
            used.chain(self.newest().ok().flatten().map(|newest| newest.sha256))
                .collect::<Vec<_>>()
        });
        match kept.map(|kept| self.store.sweep(&kept)) {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => info!(removed, "worker executables that nothing uses removed"),
            Ok(Err(error)) => {
                warn!(error = %Chain(&error), "old worker executables can't be removed")
            }
            Err(error) => warn!(error = %Chain(&error), "old worker executables stay"),
        }
    }

    async fn offered(
        &self,
        manifest: Result<WorkerManifest, JwsError>,
        newest: Option<Newest>,
    ) -> Result<Worker, WorkerError> {
        let arch = self.arch;
        let manifest = manifest.map_err(|source| WorkerError::Unsigned { arch, source })?;
        let offered = check(&manifest, arch, newest.as_ref(), &self.floor)?;
        if newest.as_ref() == Some(&offered) && self.store.has(offered.sha256) {
            return self.verified(&offered);
        }
        if !self.store.has(offered.sha256) {
            self.download(&manifest).await?;
        }
        let worker = self.verified(&offered)?;
        let note = serde_json::to_vec(&offered).expect("invariant: plain data serialises");
        durable::replace(&self.floor, &note).map_err(|source| WorkerError::Notes {
            path: self.floor.clone(),
            source,
        })?;
        Ok(worker)
    }

    async fn download(&self, manifest: &WorkerManifest) -> Result<(), WorkerError> {
        let answer = self.session.worker(self.arch, manifest.sha256).await;
        let mut response = answer.map_err(WorkerError::Download)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(WorkerError::Broken)? {
            if bytes.len() as u64 + chunk.len() as u64 > manifest.size {
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        self.store.put(manifest.sha256, bytes.as_slice())?;
        info!(version = %manifest.version, digest = %manifest.sha256, "worker downloaded and verified");
        Ok(())
    }

    /// Re-hashes before each use: what is mounted is what was signed for.
    fn verified(&self, newest: &Newest) -> Result<Worker, WorkerError> {
        let path = self.store.verified(newest.sha256)?;
        Ok(Worker {
            digest: newest.sha256,
            path,
            version: newest.version.to_string(),
        })
    }

    fn newest(&self) -> Result<Option<Newest>, WorkerError> {
        let notes = |source| WorkerError::Notes {
            path: self.floor.clone(),
            source,
        };
        match fs::read(&self.floor) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| notes(e.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(notes(error)),
        }
    }
}

impl std::fmt::Debug for WorkerBinaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WorkerBinaries({})", self.floor.display())
    }
}

/// Whether a signed manifest may be used here.
fn check(
    manifest: &WorkerManifest,
    arch: &'static str,
    newest: Option<&Newest>,
    floor: &std::path::Path,
) -> Result<Newest, WorkerError> {
    if manifest.product != PRODUCT || manifest.arch != arch || manifest.size > MAX_WORKER {
        let found = format!(
            "{} on {} ({} bytes)",
            manifest.product, manifest.arch, manifest.size
        );
        return Err(WorkerError::Other { found, arch });
    }
    let offered: Version = manifest
        .version
        .parse()
        .map_err(|_| WorkerError::Version(manifest.version.chars().take(64).collect()))?;
    match newest {
        Some(newest) if offered < newest.version => Err(WorkerError::Downgrade {
            offered,
            newest: newest.version.clone(),
            floor: floor.to_owned(),
        }),
        _ => Ok(Newest {
            version: offered,
            sha256: manifest.sha256,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn manifest(version: &str) -> WorkerManifest {
        WorkerManifest {
            product: PRODUCT.into(),
            version: version.into(),
            arch: std::env::consts::ARCH.into(),
            sha256: Digest::of(version.as_bytes()),
            size: 10,
        }
    }

    fn verdict(manifest: &WorkerManifest) -> Result<Newest, WorkerError> {
        let newest = Newest {
            version: Version::new(1, 2, 3),
            sha256: Digest::of(b"1.2.3"),
        };
        let arch = std::env::consts::ARCH;
        check(manifest, arch, Some(&newest), Path::new("/floor"))
    }

    #[test]
    fn only_our_product_and_no_downgrade() {
        for fine in ["1.2.3", "1.2.4", "2.0.0"] {
            assert!(verdict(&manifest(fine)).is_ok(), "{fine}");
        }
        for older in ["1.2.2", "0.9.0", "1.2.3-rc.1"] {
            assert!(
                matches!(
                    verdict(&manifest(older)),
                    Err(WorkerError::Downgrade { .. })
                ),
                "{older}"
            );
        }
        assert!(matches!(
            verdict(&manifest("latest")),
            Err(WorkerError::Version(_))
        ));
        let mut other = manifest("2.0.0");
        other.product = "gantry-launcher".into();
        assert!(matches!(verdict(&other), Err(WorkerError::Other { .. })));
        let mut arch = manifest("2.0.0");
        arch.arch = "m68k".into();
        assert!(matches!(verdict(&arch), Err(WorkerError::Other { .. })));
    }
}
