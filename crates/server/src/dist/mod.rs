//! Worker executables: taken in by an administrator, handed out to launchers.
//!
//! Takes a signed manifest and the executable that it names, gives the newest one per architecture. The
//! server can't check the release key's signature, because it does not have to be trusted with the choice of
//! that key: launchers check it. What it does check keeps mistakes from reaching them. Never: an executable
//! that differs from what its manifest says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use gantry_protocol::Digest;
use gantry_protocol::control::manifest::{PRODUCT, WorkerManifest};

use crate::blobs::{BlobError, Blobs};
use crate::clock::UnixMillis;
use crate::store::artifacts::{self, WorkerBinary};
use crate::store::{Conn, Store, StoreError};

/// Architectures that launchers ask for.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// Why an executable is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum DistError {
    /// Not a signed document, or not of a manifest.
    #[error("the manifest is not a signed worker manifest (make one with `gantry release sign`)")]
    Manifest,
    /// For another product or architecture.
    #[error("the manifest is for {what} `{found}`, expected {expected}")]
    Other {
        /// Which field.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// Not a version.
    #[error("the manifest's version `{0}` is not a semantic version (such as 1.2.3)")]
    Version(String),
    /// Another executable.
    #[error(
        "the executable has {size} bytes and digest {digest}; the manifest names {named_size} bytes and {named}"
    )]
    Differs {
        /// Found size.
        size: u64,
        /// Found digest.
        digest: Digest,
        /// Size in the manifest.
        named_size: u64,
        /// Digest in the manifest.
        named: Digest,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object storage failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Takes an executable in; launchers get it from now on if it is the newest of its architecture.
///
/// # Errors
/// See [`DistError`].
pub async fn add(
    store: &Store,
    blobs: &Blobs,
    manifest: &str,
    executable: Bytes,
) -> Result<WorkerManifest, DistError> {
    let manifest = manifest.trim();
    let read = parse(manifest)?;
    let (size, digest) = (executable.len() as u64, Digest::of(&executable));
    if size != read.size || digest != read.sha256 {
        let (named_size, named) = (read.size, read.sha256);
        return Err(DistError::Differs {
            size,
            digest,
            named_size,
            named,
        });
    }
    let blob = format!("workers/{}/{}", read.arch, digest.hex());
    blobs.put_bytes(&blob, executable).await?;
    let row = WorkerBinary {
        arch: read.arch.clone(),
        digest,
        version: read.version.clone(),
        manifest: manifest.to_owned(),
        size,
        blob,
    };
    let mut tx = store.begin().await?;
    artifacts::put_binary(&mut tx, &row, UnixMillis::now()).await?;
    store.commit(tx).await?;
    Ok(read)
}

/// The newest executable of an architecture: highest version, of equal ones the last that was added.
///
/// # Errors
/// When the database fails.
pub async fn newest(conn: &mut Conn, arch: &str) -> Result<Option<WorkerBinary>, StoreError> {
    let all = artifacts::binaries(conn, arch).await?;
    Ok(all
        .into_iter()
        .max_by(|a, b| precedence(&a.version).cmp(&precedence(&b.version))))
}

fn parse(manifest: &str) -> Result<WorkerManifest, DistError> {
    let parts: Vec<&str> = manifest.split('.').collect();
    let [_, payload, _] = parts[..] else {
        return Err(DistError::Manifest);
    };
    let json = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| DistError::Manifest)?;
    let read: WorkerManifest = serde_json::from_slice(&json).map_err(|_| DistError::Manifest)?;
    if read.product != PRODUCT {
        return Err(DistError::Other {
            what: "product",
            found: read.product,
            expected: PRODUCT,
        });
    }
    if !ARCHITECTURES.contains(&read.arch.as_str()) {
        let expected = "`x86_64` or `aarch64`";
        return Err(DistError::Other {
            what: "architecture",
            found: read.arch,
            expected,
        });
    }
    if precedence(&read.version).is_none() {
        return Err(DistError::Version(read.version));
    }
    Ok(read)
}

/// Order of semantic versions, as far as releases need it: numbers, then a release before... its
/// pre-releases are lower, and compare part by part.
type Precedence = (u64, u64, u64, bool, Vec<(u64, String)>);

fn precedence(version: &str) -> Option<Precedence> {
    let version = version.split('+').next()?;
    let (numbers, pre) = match version.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (version, None),
    };
    let mut parts = numbers.split('.').map(|part| part.parse::<u64>().ok());
    let core = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let identifier = |part: &str| match part.parse::<u64>() {
        Ok(number) => (number, String::new()),
        Err(_) => (u64::MAX, part.to_owned()),
    };
    let pre_parts = pre
        .map(|pre| pre.split('.').map(identifier).collect())
        .unwrap_or_default();
    Some((core.0, core.1, core.2, pre.is_none(), pre_parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::crypto::{EdKey, jws};

    fn manifest(version: &str, arch: &str, product: &str, bytes: &[u8]) -> String {
        let manifest = WorkerManifest {
            product: product.into(),
            version: version.into(),
            arch: arch.into(),
            sha256: Digest::of(bytes),
            size: bytes.len() as u64,
        };
        jws::sign_ed(&manifest, &EdKey::generate()).unwrap()
    }

    #[test]
    fn versions_are_ordered() {
        let rising = [
            "0.9.10",
            "0.10.0-alpha",
            "0.10.0-alpha.1",
            "0.10.0-beta.2",
            "0.10.0-beta.11",
            "0.10.0",
            "1.0.0+build5",
            "1.0.1",
            "1.10.0",
            "10.0.0",
        ];
        for pair in rising.windows(2) {
            assert!(precedence(pair[0]) < precedence(pair[1]), "{pair:?}");
        }
        for bad in ["", "1", "1.2", "1.2.3.4", "a.b.c", "v1.2.3", "-1.2.3"] {
            assert_eq!(precedence(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_newest_is_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        for version in ["0.2.0", "0.10.0", "0.9.0"] {
            let bytes = Bytes::from(format!("worker {version}"));
            let manifest = manifest(version, "x86_64", PRODUCT, &bytes);
            add(&store, &blobs, &format!("{manifest}\n"), bytes)
                .await
                .unwrap();
        }
        let mut conn = store.read().await.unwrap();
        let newest = newest(&mut conn, "x86_64").await.unwrap().unwrap();
        assert_eq!(newest.version, "0.10.0");
        assert_eq!(
            blobs.get_bytes(&newest.blob).await.unwrap(),
            "worker 0.10.0"
        );
        assert_eq!(super::newest(&mut conn, "aarch64").await.unwrap(), None);
    }

    #[tokio::test]
    async fn mistakes_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let good = manifest("1.0.0", "x86_64", PRODUCT, b"worker");
        for (manifest, expected) in [
            ("hello".to_owned(), "not a signed worker manifest"),
            ("a.b.c".to_owned(), "not a signed worker manifest"),
            (
                manifest("1.0.0", "x86_64", "other", b"worker"),
                "product `other`",
            ),
            (
                manifest("1.0.0", "riscv", PRODUCT, b"worker"),
                "architecture `riscv`",
            ),
            (
                manifest("one", "x86_64", PRODUCT, b"worker"),
                "`one` is not a semantic version",
            ),
            (
                manifest("1.0.0", "x86_64", PRODUCT, b"wurker"),
                "the manifest names 6 bytes",
            ),
        ] {
            let worker = Bytes::from_static(b"worker");
            let refused = add(&store, &blobs, &manifest, worker)
                .await
                .unwrap_err()
                .to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        add(&store, &blobs, &good, Bytes::from_static(b"worker"))
            .await
            .unwrap();
    }
}
