//! Sealing and restoring workspaces: tar stream → age → signed digest, and the reverse in the reverse order.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use gantry_protocol::control::run::Lease;
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::{PoolKey, PoolPublic, SealError, jws, seal};
use gantry_protocol::ids::Digest;
use gantry_protocol::payload::{PackedWorkspace, RunPayload};
use sha2::Digest as _;
use tempfile::NamedTempFile;
use tracing::warn;

use super::Host;
use crate::backoff::Backoff;
use crate::report::Chain;
use crate::session::{CallError, Session};
use crate::workspace::{Bounds, Owner, PackError, PackReport, RunDirs, UnpackError, pack, unpack};

/// Where the worker leaves the plan file, below the workspace.
const PLAN_FILE: &str = ".gantry/plan.tfplan";

/// Largest plan file that is hashed, in bytes.
const MAX_PLAN: u64 = 512 << 20;

/// Longest sealed workspace that is downloaded, in bytes: what may be packed, and room for the headers of all entries.
/// A server that never ends must not fill the host's disk.
const MAX_SEALED: u64 = 12 << 30;

/// Largest `errored.tfstate` that is rescued, in bytes.
const MAX_STATE: u64 = 256 << 20;

/// A sealed workspace on disk.
pub(super) struct SealedWorkspace {
    pub(super) file: NamedTempFile,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) report: PackReport,
}

/// Why a workspace could not be sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealWorkspaceError {
    #[error("packing failed")]
    Pack(#[from] PackError),
    #[error("sealing failed")]
    Seal(#[from] SealError),
    #[error("writing the sealed file in the data directory failed")]
    Io(#[from] io::Error),
}

/// Why a workspace could not be restored. Nothing of it was used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("the run's payload names no packed workspace")]
    None,
    #[error("the packed workspace is not signed by a launcher of this pool")]
    Attestation(#[source] jws::JwsError),
    #[error("the packed workspace is of {0}, not of this run")]
    OtherRun(String),
    #[error("the server does not give the packed workspace")]
    Download(#[source] CallError),
    #[error("the download of the packed workspace broke")]
    Broken(#[source] reqwest::Error),
    #[error("the packed workspace that the server gave is not the one that was signed for")]
    Swapped,
    #[error("the packed workspace can't be opened")]
    Open(#[source] SealError),
    #[error("the packed workspace can't be unpacked")]
    Unpack(#[source] UnpackError),
    #[error("the data directory can't be written")]
    Io(#[from] io::Error),
    #[error("the restored plan file is not the one that was signed for")]
    OtherPlan,
}

impl RestoreError {
    fn is_passing(&self) -> bool {
        match self {
            Self::Download(error) => error.is_passing(),
            Self::Broken(_) => true,
            _ => false,
        }
    }
}

/// Verifies what a pool launcher signed for this run's plan. Nothing else of the server's word is used.
pub(super) fn attested(
    payload: &RunPayload,
    key: &PoolPublic,
) -> Result<WorkspaceAttestation, RestoreError> {
    let packed = payload.workspace.as_ref().ok_or(RestoreError::None)?;
    // The server's own word on the digests counts for nothing; its list of changes is compared where it is used.
    let PackedWorkspace {
        attempt,
        sealed: _,
        plan: _,
        attestation,
        changes: _,
    } = packed;
    let attestation: WorkspaceAttestation =
        jws::verify_pool(attestation, key).map_err(RestoreError::Attestation)?;
    let same = attestation.v == 1
        && attestation.run == payload.run
        && attestation.stack == payload.stack
        && attestation.attempt == *attempt
        && attestation.attempt < payload.attempt;
    if same {
        return Ok(attestation);
    }
    let other = format!("run {}, attempt {}", attestation.run, attestation.attempt);
    Err(RestoreError::OtherRun(other))
}

/// Packs and seals a run's workspace into a file beside it, so that it goes with it whatever happens.
pub(super) async fn seal_workspace(
    host: &Arc<Host>,
    dirs: &RunDirs,
) -> Result<SealedWorkspace, SealWorkspaceError> {
    let (key, workspace) = (host.pool_key.public(), dirs.workspace());
    let file = NamedTempFile::new_in(dirs.path())?;
    blocking(move || seal_blocking(&key, &workspace, file)).await
}

fn seal_blocking(
    key: &PoolPublic,
    workspace: &Path,
    file: NamedTempFile,
) -> Result<SealedWorkspace, SealWorkspaceError> {
    let output = Hashing::new(BufWriter::new(file.reopen()?));
    let (report, sealer) = pack(workspace, Bounds::default(), seal::sealer(key, output)?)?;
    let (mut inner, digest, bytes) = sealer.finish()?.finish();
    inner.flush()?;
    Ok(SealedWorkspace {
        file,
        digest,
        bytes,
        report,
    })
}

/// Downloads, verifies, opens and unpacks, in this order.
pub(super) async fn restore(
    host: &Arc<Host>,
    lease: Lease,
    dirs: &RunDirs,
    attestation: &WorkspaceAttestation,
) -> Result<(), RestoreError> {
    let file = NamedTempFile::new_in(dirs.path())?;
    if downloaded(&host.session, lease, &file).await? != attestation.sealed {
        return Err(RestoreError::Swapped);
    }
    let (key, workspace, owner) = (host.pool_key.clone(), dirs.workspace(), host.data.owner());
    let target = workspace.clone();
    blocking(move || open_blocking(&key, file, &target, owner)).await?;
    match plan_digest(&workspace) == Some(attestation.plan) {
        true => Ok(()),
        false => Err(RestoreError::OtherPlan),
    }
}

/// A server that is away is asked again, from the first byte.
async fn downloaded(
    session: &Session,
    lease: Lease,
    file: &NamedTempFile,
) -> Result<Digest, RestoreError> {
    let mut backoff = Backoff::default();
    loop {
        file.as_file().set_len(0)?;
        match download(session, lease, file.reopen()?).await {
            Err(error) if error.is_passing() => {
                let wait = backoff.wait();
                warn!(error = %Chain(&error), "downloading the packed workspace; trying again");
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
}

async fn download(session: &Session, lease: Lease, file: File) -> Result<Digest, RestoreError> {
    let (_, mut response) = session
        .get_workspace(lease)
        .await
        .map_err(RestoreError::Download)?;
    let mut output = Hashing::new(BufWriter::new(file));
    while let Some(chunk) = response.chunk().await.map_err(RestoreError::Broken)? {
        output.write_all(&chunk)?;
        if output.bytes > MAX_SEALED {
            return Err(RestoreError::Swapped);
        }
    }
    let (mut inner, digest, _) = output.finish();
    inner.flush()?;
    Ok(digest)
}

fn open_blocking(
    key: &PoolKey,
    mut file: NamedTempFile,
    workspace: &Path,
    owner: Owner,
) -> Result<(), RestoreError> {
    file.rewind()?;
    let reader = seal::opener(key, BufReader::new(file)).map_err(RestoreError::Open)?;
    unpack(workspace, owner, Bounds::default(), reader).map_err(RestoreError::Unpack)?;
    Ok(())
}

/// SHA-256 of the plan file that lies in a workspace, read beneath it only.
pub(super) fn plan_digest(workspace: &Path) -> Option<Digest> {
    let bytes = read_beneath(workspace, PLAN_FILE, MAX_PLAN)?;
    Some(Digest::of(&bytes))
}

/// The state that a tool could not write, sealed to the pool.
pub(super) fn sealed_errored_state(host: &Host, workspace: &Path, root: &str) -> Option<Vec<u8>> {
    let path = Path::new("source").join(root).join("errored.tfstate");
    let state = read_beneath(workspace, path.to_str()?, MAX_STATE)?;
    seal::seal(&host.pool_key.public(), &state).ok()
}

/// Reads a regular file below `root`; links may lead around below it, never out of it.
fn read_beneath(root: &Path, path: &str, limit: u64) -> Option<Vec<u8>> {
    let dir = Dir::open_ambient_dir(root, ambient_authority()).ok()?;
    if !dir.metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let read = dir
        .open(path)
        .ok()?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    (read as u64 <= limit).then_some(bytes)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("invariant: sealing and unpacking do not panic")
}

/// Counts and hashes what is written through it.
struct Hashing<W> {
    inner: W,
    hasher: sha2::Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: sha2::Sha256::new(),
            bytes: 0,
        }
    }

    fn finish(self) -> (W, Digest, u64) {
        (
            self.inner,
            Digest::from_bytes(self.hasher.finalize().into()),
            self.bytes,
        )
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
