//! Files that a person uploaded for a preview: brought from the server, checked, laid.
//!
//! Takes the digest that the signed envelope names. Never: a byte unpacked before the whole archive has that digest.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use gantry_protocol::control::run::Lease;
use gantry_protocol::ids::Digest;
use gantry_protocol::payload::UploadedArchive;
use sha2::Digest as _;
use tempfile::NamedTempFile;
use tracing::warn;

use super::Host;
use crate::backoff::Backoff;
use crate::report::Chain;
use crate::session::CallError;
use crate::workspace::{Bounds, Owner, RunDirs, UnpackReport, UploadError, unpack_upload};

/// Why uploaded files are not there. Nothing of the run was executed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayError {
    #[error("the server does not give the uploaded files")]
    Download(#[source] CallError),
    #[error("the download of the uploaded files broke")]
    Broken(#[source] reqwest::Error),
    #[error("the files that the server gave are not the ones that the run was signed for")]
    Swapped,
    #[error(transparent)]
    Unpack(#[from] UploadError),
    #[error("the data directory can't be written")]
    Io(#[from] io::Error),
}

impl LayError {
    fn is_passing(&self) -> bool {
        match self {
            Self::Download(error) => error.is_passing(),
            Self::Broken(_) => true,
            Self::Swapped | Self::Unpack(_) | Self::Io(_) => false,
        }
    }
}

/// Brings and lays the files; a server that is away is asked again.
pub(super) async fn lay(
    host: &Arc<Host>,
    lease: Lease,
    dirs: &RunDirs,
    archive: &UploadedArchive,
) -> Result<UnpackReport, LayError> {
    let file = NamedTempFile::new_in(dirs.path())?;
    let mut backoff = Backoff::default();
    loop {
        file.as_file().set_len(0)?;
        match download(host, lease, file.reopen()?, archive).await {
            Ok(()) => break,
            Err(error) if error.is_passing() => {
                let wait = backoff.wait();
                warn!(error = %Chain(&error), "downloading uploaded files; trying again");
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(error),
        }
    }
    let (target, owner) = (dirs.workspace().join("source"), host.data.owner());
    let laid = tokio::task::spawn_blocking(move || unpacked(file, &target, owner)).await;
    laid.expect("invariant: unpacking does not panic")
}

async fn download(
    host: &Host,
    lease: Lease,
    file: File,
    archive: &UploadedArchive,
) -> Result<(), LayError> {
    let mut response = host
        .session
        .get_upload(lease)
        .await
        .map_err(LayError::Download)?;
    let (mut output, mut hasher, mut bytes) = (BufWriter::new(file), sha2::Sha256::new(), 0_u64);
    while let Some(chunk) = response.chunk().await.map_err(LayError::Broken)? {
        bytes += chunk.len() as u64;
        if bytes > archive.bytes.min(Bounds::default().bytes) {
            return Err(LayError::Swapped);
        }
        hasher.update(&chunk);
        output.write_all(&chunk)?;
    }
    output.flush()?;
    let digest = Digest::from_bytes(hasher.finalize().into());
    match bytes == archive.bytes && digest == archive.digest {
        true => Ok(()),
        false => Err(LayError::Swapped),
    }
}

fn unpacked(
    mut file: NamedTempFile,
    target: &Path,
    owner: Owner,
) -> Result<UnpackReport, LayError> {
    file.rewind()?;
    std::fs::create_dir(target)?;
    if owner != Owner::own() {
        // Just made, in a directory that nothing of the run has seen yet.
        let (uid, gid) = (Some(owner.uid), Some(owner.gid));
        std::os::unix::fs::lchown(target, uid, gid)?;
    }
    Ok(unpack_upload(target, owner, BufReader::new(file))?)
}
