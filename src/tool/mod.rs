//! Terraform and OpenTofu at the version that a stack asks for.
//!
//! Takes a name, the operator's keys and a mirror; gives an executable that a publisher signed for, by digest.
//! Never: one whose list of checksums is not signed by a key of the operator's, or that was not hashed just
//! before it is mounted. Signature first, archive after; nothing of an archive but the tool is unpacked.

mod archive;
mod cache;
mod keys;
mod mirror;
mod name;
mod state;
mod store;

use std::collections::HashMap;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gantry_net::Outside;
use gantry_protocol::Digest;
use sha2::Digest as _;
use tempfile::NamedTempFile;
use tracing::{info, warn};

pub use archive::ArchiveError;
pub use cache::{Checkout, ProviderCache};
pub use keys::{KeyFault, KeyFileError, Keys, SignatureError};
pub use mirror::{FetchError, Mirror};
pub use name::{NotExact, ToolName, program};
pub use state::{StateError, providers_of_state};

use crate::machine::Machine;
use crate::report::Chain;
use crate::workspace::{BinaryStore, StoreError};
use archive::{MAX_TOOL, listed, unpack};
use mirror::Fetcher;
use store::Record;

/// Largest list of checksums, in bytes.
const MAX_SUMS: u64 = 1 << 20;

/// Largest signature, in bytes.
const MAX_SIGNATURE: u64 = 64 << 10;

/// Largest archive, in bytes.
const MAX_ARCHIVE: u64 = 512 << 20;

/// What names of unfinished files begin with.
const HALF: &str = "half-";

/// A verified executable that can be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyTool {
    /// Its digest.
    pub digest: Digest,
    /// Where it lies on this host.
    pub path: PathBuf,
    /// Fingerprint of the key that signed for it.
    pub signer: String,
}

/// Why a tool can't be had. Nothing of it was executed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No key, no download.
    #[error(
        "{name} can't be had on this host: GANTRY_TOOL_KEYS names no key that may sign its checksums"
    )]
    NoKeys {
        /// The tool.
        name: String,
    },
    /// Nobody builds it for this machine.
    #[error("{name} is not published for the machine that runs are made for here")]
    Architecture {
        /// The tool.
        name: String,
    },
    /// The mirror does not give it, and it is not kept here.
    #[error(
        "{name} can't be had from the mirror (GANTRY_TOOL_MIRROR), and this host has none of its own"
    )]
    Fetch {
        /// The tool.
        name: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// The list of checksums is not to be believed.
    #[error("the checksums of {name} are not believed")]
    Signature {
        /// The tool.
        name: String,
        /// Why.
        source: SignatureError,
    },
    /// The list does not name the archive.
    #[error(
        "the signed checksums of {name} do not list `{archive}`: this version is not published for the architecture of runs here"
    )]
    NotListed {
        /// The tool.
        name: String,
        /// Its archive.
        archive: String,
    },
    /// The archive is not the one of the list.
    #[error("`{archive}` hashes to {found}, and the signed checksums of {name} say {expected}")]
    Sum {
        /// The tool.
        name: String,
        /// Its archive.
        archive: String,
        /// What is signed for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The archive holds no tool.
    #[error("the archive of {name} can't be used")]
    Archive {
        /// The tool.
        name: String,
        /// Why.
        source: ArchiveError,
    },
    /// The executable can't be stored.
    #[error("{name} could not be stored")]
    Store {
        /// The tool.
        name: String,
        /// Why.
        source: StoreError,
    },
    /// The data directory can't be written.
    #[error("{name} could not be kept in the data directory")]
    Disk {
        /// The tool.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The plan was made by another executable.
    #[error(
        "the plan was made by {name} with digest {planned}, and the mirror gives {found}: an apply uses exactly what planned; plan again"
    )]
    OtherThanPlanned {
        /// The tool.
        name: String,
        /// What planned.
        planned: Digest,
        /// What is to be had here.
        found: Digest,
    },
}

/// Gets and keeps tools.
#[derive(Debug)]
pub struct Tools {
    keys: Keys,
    fetcher: Fetcher,
    store: BinaryStore,
    machine: Option<Machine>,
    busy: Mutex<HashMap<ToolName, Arc<tokio::sync::Mutex<()>>>>,
}

impl Tools {
    /// `keys` may sign, `mirror` gives, `outside` is how it is reached, `store` keeps; what is got is made for `machine`.
    pub fn new(
        keys: Keys,
        mirror: Mirror,
        outside: Outside,
        store: BinaryStore,
        machine: Option<Machine>,
    ) -> Self {
        clear_halves(store.path());
        Self {
            keys,
            fetcher: Fetcher { mirror, outside },
            store,
            machine,
            busy: Mutex::default(),
        }
    }

    /// Whether tools can be downloaded at all; without a key the image's own have to do.
    pub fn can_download(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The executable of `name`: from here if it is kept, else from the mirror. `planned` is the one that an
    /// apply has to use. Requests for one tool at the same time lead to one download.
    ///
    /// # Errors
    /// [`ToolError`].
    pub async fn ready(
        self: &Arc<Self>,
        name: &ToolName,
        planned: Option<Digest>,
    ) -> Result<ReadyTool, ToolError> {
        if self.keys.is_empty() {
            return Err(ToolError::NoKeys { name: name.shown() });
        }
        let arch = self.machine.map(Machine::go);
        let arch = arch.ok_or_else(|| ToolError::Architecture { name: name.shown() })?;
        let turn = self.turn(name);
        let alone = turn.lock().await;
        let tool = match self.kept(name, arch).await {
            Some(tool) => tool,
            None => self.fetch(name, arch).await?,
        };
        drop(alone);
        match planned {
            Some(planned) if planned != tool.digest => Err(ToolError::OtherThanPlanned {
                name: name.shown(),
                planned,
                found: tool.digest,
            }),
            _ => Ok(tool),
        }
    }

    fn turn(&self, name: &ToolName) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds the others any more: the server names versions, so the map must not grow with them.
        busy.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(busy.entry(name.clone()).or_default())
    }

    /// What is kept here, proven and hashed again.
    async fn kept(self: &Arc<Self>, name: &ToolName, arch: &'static str) -> Option<ReadyTool> {
        let (this, name) = (Arc::clone(self), name.clone());
        blocking(move || {
            let record = store::read(&this.store, &name, arch)?;
            let told = |error: &dyn std::error::Error| {
                warn!(tool = %name.shown(), error = %Chain(error), "what is kept of this tool is not used; it is fetched again");
            };
            let signer = record.signer(&this.keys, &name.archive(arch));
            let signer = signer.inspect_err(|error| told(error)).ok()?;
            let path = this.store.verified(record.binary);
            let path = path.inspect_err(|error| told(error)).ok()?;
            Some(ReadyTool {
                digest: record.binary,
                path,
                signer,
            })
        })
        .await
    }

    /// Signature, list, archive, executable: each is believed only for the one before it.
    async fn fetch(
        self: &Arc<Self>,
        name: &ToolName,
        arch: &'static str,
    ) -> Result<ReadyTool, ToolError> {
        let get = |source| not_fetched(name, source);
        let fetcher = &self.fetcher;
        let sums = fetcher
            .bytes(name, &name.sums(), MAX_SUMS)
            .await
            .map_err(get)?;
        let signature = fetcher.bytes(name, &name.signature(), MAX_SIGNATURE).await;
        let signature = signature.map_err(get)?;
        let signer = self.keys.verify(&sums, &signature);
        let signer = signer.map_err(|source| ToolError::Signature {
            name: name.shown(),
            source,
        })?;
        let archive = name.archive(arch);
        let expected = listed(&sums, &archive).ok_or_else(|| ToolError::NotListed {
            name: name.shown(),
            archive: archive.clone(),
        })?;
        let file = self.archive(name, &archive, expected).await?;
        let (this, name) = (Arc::clone(self), name.clone());
        blocking(move || {
            let binary = this.unpack(&name, &archive, &file)?;
            let record = Record::new(&sums, &signature, expected, binary);
            let written = store::write(&this.store, &name, arch, &record);
            written.map_err(|source| disk(&name, source))?;
            let path = this.store.verified(binary);
            let path = path.map_err(|source| stored(&name, source))?;
            info!(tool = %name.shown(), digest = %binary, %signer, "tool downloaded and verified");
            Ok(ReadyTool {
                digest: binary,
                path,
                signer,
            })
        })
        .await
    }

    async fn archive(
        &self,
        name: &ToolName,
        archive: &str,
        expected: Digest,
    ) -> Result<NamedTempFile, ToolError> {
        let file = half(self.store.path()).map_err(|e| disk(name, e))?;
        let mut output = file.reopen().map_err(|e| disk(name, e))?;
        let mut hash = sha2::Sha256::new();
        let sink = |chunk: &[u8]| {
            hash.update(chunk);
            output.write_all(chunk)
        };
        let fetched = self.fetcher.each(name, archive, MAX_ARCHIVE, sink).await;
        fetched.map_err(|source| not_fetched(name, source))?;
        let found = Digest::from_bytes(hash.finalize().into());
        match found == expected {
            true => Ok(file),
            false => Err(ToolError::Sum {
                name: name.shown(),
                archive: archive.to_owned(),
                expected,
                found,
            }),
        }
    }

    /// Stores the archive's executable and gives its digest.
    fn unpack(
        &self,
        name: &ToolName,
        archive: &str,
        file: &NamedTempFile,
    ) -> Result<Digest, ToolError> {
        let content = file.reopen().map_err(|e| disk(name, e))?;
        let beside = half(self.store.path()).map_err(|e| disk(name, e))?;
        let taken = unpack(archive, BufReader::new(content), name.program(), |entry| {
            copy_hashed(entry, beside.path(), MAX_TOOL)
        });
        let digest = taken
            .map_err(|source| ToolError::Archive {
                name: name.shown(),
                source,
            })?
            .map_err(|source| disk(name, source))?;
        let content = beside.reopen().map_err(|e| disk(name, e))?;
        let put = self.store.put(digest, BufReader::new(content));
        put.map_err(|source| stored(name, source))?;
        Ok(digest)
    }
}

/// Removes what a process left that was killed while it downloaded or unpacked.
fn clear_halves(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(HALF)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            warn!(path = %entry.path().display(), %error, "half a tool is left");
        }
    }
}

/// A file that is gone when this process is, or with the next one's start.
fn half(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(HALF).tempfile_in(directory)
}

/// Copies at most `limit` bytes: what an archive says of an entry's size is a claim.
fn copy_hashed(entry: &mut dyn io::Read, target: &Path, limit: u64) -> io::Result<Digest> {
    let mut output = io::BufWriter::new(std::fs::File::create(target)?);
    let mut hash = sha2::Sha256::new();
    let (mut buffer, mut left) = (vec![0; 256 << 10], limit);
    loop {
        let length = entry.read(&mut buffer)?;
        if length == 0 {
            output.flush()?;
            return Ok(Digest::from_bytes(hash.finalize().into()));
        }
        left = left.checked_sub(length as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it unpacks to more than it may",
            )
        })?;
        hash.update(&buffer[..length]);
        output.write_all(&buffer[..length])?;
    }
}

fn not_fetched(name: &ToolName, source: FetchError) -> ToolError {
    ToolError::Fetch {
        name: name.shown(),
        source: Box::new(source),
    }
}

fn disk(name: &ToolName, source: io::Error) -> ToolError {
    ToolError::Disk {
        name: name.shown(),
        source,
    }
}

fn stored(name: &ToolName, source: StoreError) -> ToolError {
    ToolError::Store {
        name: name.shown(),
        source,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("invariant: verifying and unpacking do not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_unpacks_to_more_than_it_says_is_stopped() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("x");
        let mut content: &[u8] = &[7; 1000];
        let digest = copy_hashed(&mut content, &target, 1000).unwrap();
        assert_eq!(digest, Digest::of(&[7; 1000]));
        let mut content: &[u8] = &[7; 1001];
        let error = copy_hashed(&mut content, &target, 1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
