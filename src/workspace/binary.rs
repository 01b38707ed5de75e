//! Stores of verified executables: workers, and the tools that runs ask for.
//!
//! Takes bytes whose digest something signed led to, gives a path to mount. Never: a path whose content was
//! not hashed just before.

use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gantry_protocol::Digest;
use sha2::Digest as _;

use super::beneath::{self, Owner};

/// Largest executable that is stored, in bytes.
const MAX_BINARY: u64 = 512 << 20;

/// Why an executable can't be stored or used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not the bytes that were promised.
    #[error("executable {expected} is not what it has to be: it hashes to {found}")]
    OtherDigest {
        /// What it has to be.
        expected: Digest,
        /// What the bytes are.
        found: Digest,
    },
    /// More bytes than any executable of ours has.
    #[error("executable {expected} is larger than 512 MiB")]
    TooLarge {
        /// What it has to be.
        expected: Digest,
    },
    /// The disk said no.
    #[error("could not {operation} executable {digest} in `{}`", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// Which.
        digest: Digest,
        /// The store.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A directory of executables: one file per digest.
#[derive(Debug)]
pub struct BinaryStore {
    path: PathBuf,
    dir: OwnedFd,
}

impl BinaryStore {
    /// Opens (and makes) the store of workers below a checked data directory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn workers(data: &Path) -> io::Result<Self> {
        Self::open(data, "workers")
    }

    /// Opens (and makes) the store of tools below a checked data directory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn tools(data: &Path) -> io::Result<Self> {
        Self::open(data, "tools")
    }

    fn open(data: &Path, name: &str) -> io::Result<Self> {
        let root = beneath::open_trusted(data)?;
        let dir = beneath::open_or_make_dir(root, name.as_bytes(), 0o755, Owner::own())?;
        Ok(Self {
            path: data.join(name),
            dir,
        })
    }

    /// The store's directory, for notes beside the executables.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something is stored under `digest`; [`BinaryStore::verified`] says if it is intact.
    pub fn has(&self, digest: Digest) -> bool {
        beneath::look(&self.dir, digest.hex().as_bytes()).is_ok()
    }

    /// Stores what `content` yields, if that hashes to `digest`. Durable when it returns; a crash before leaves
    /// nothing under the digest's name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, digest: Digest, content: impl Read) -> Result<(), StoreError> {
        let temporary = format!("{}.part", digest.hex());
        let result = self.write(&temporary, digest, content);
        if result.is_err() {
            // Best effort: the next put replaces it anyway.
            let _ = rustix::fs::unlinkat(&self.dir, &temporary, rustix::fs::AtFlags::empty());
        }
        result
    }

    fn write(&self, temporary: &str, digest: Digest, content: impl Read) -> Result<(), StoreError> {
        let io = |operation| move |source| self.io(operation, digest, source);
        match rustix::fs::unlinkat(&self.dir, temporary, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(self.io("replace a part of", digest, error.into())),
        }
        let mut file = beneath::make_file(&self.dir, temporary.as_bytes(), 0o555, Owner::own())
            .map_err(io("write"))?;
        let mut hashing = Hashing::new(content.take(MAX_BINARY + 1));
        let length = io::copy(&mut hashing, &mut file).map_err(io("write"))?;
        if length > MAX_BINARY {
            return Err(StoreError::TooLarge { expected: digest });
        }
        same(digest, hashing.digest())?;
        file.flush().map_err(io("write"))?;
        file.sync_all().map_err(io("write"))?;
        // A file that is still open for writing can't be executed.
        drop(file);
        rustix::fs::renameat(&self.dir, temporary, &self.dir, digest.hex())
            .map_err(|error| self.io("store", digest, error.into()))?;
        rustix::fs::fsync(&self.dir).map_err(|error| self.io("store", digest, error.into()))
    }

    /// The path of an intact executable: hashed again now, owned by us, writable by nobody.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it is not there; [`StoreError::OtherDigest`] when it was changed. Either way it
    /// has to be fetched again.
    pub fn verified(&self, digest: Digest) -> Result<PathBuf, StoreError> {
        let io = |operation| move |source| self.io(operation, digest, source);
        let name = digest.hex();
        let (mut file, length) =
            beneath::open_file(&self.dir, name.as_bytes()).map_err(io("open"))?;
        if length > MAX_BINARY {
            return Err(StoreError::TooLarge { expected: digest });
        }
        let metadata = file.metadata().map_err(io("inspect"))?;
        if metadata.uid() != Owner::own().uid || metadata.mode() & 0o222 != 0 {
            let reason = "it is not ours alone, or can be written to";
            let source = io::Error::new(io::ErrorKind::PermissionDenied, reason);
            return Err(self.io("trust", digest, source));
        }
        file.rewind().map_err(io("read"))?;
        let mut hashing = Hashing::new(file);
        io::copy(&mut hashing, &mut io::sink()).map_err(io("read"))?;
        same(digest, hashing.digest())?;
        Ok(self.path.join(name))
    }

    /// Removes executables that are not in `kept`, but for the newest two, and downloads that were cut. Gives how
    /// many. A running container keeps its own: what is mounted lives until it is let go.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sweep(&self, kept: &[Digest]) -> io::Result<usize> {
        let mut found = Vec::new();
        for name in beneath::names(&self.dir, usize::MAX)? {
            let stat = beneath::look(&self.dir, &name)?;
            found.push((stat.st_mtime, name));
        }
        found.sort();
        let digest = |name: &[u8]| {
            format!("sha256:{}", String::from_utf8_lossy(name))
                .parse::<Digest>()
                .ok()
        };
        let (whole, cut): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|(_, name)| digest(name).is_some());
        let old = whole.len().saturating_sub(2);
        let unused = whole.into_iter().take(old);
        let unused =
            unused.filter(|(_, name)| digest(name).is_none_or(|digest| !kept.contains(&digest)));
        let cut = cut.into_iter().filter(|(_, name)| name.ends_with(b".part"));
        let mut removed = 0;
        for (_, name) in unused.chain(cut) {
            rustix::fs::unlinkat(&self.dir, name.as_slice(), rustix::fs::AtFlags::empty())?;
            removed += 1;
        }
        Ok(removed)
    }

    fn io(&self, operation: &'static str, digest: Digest, source: io::Error) -> StoreError {
        StoreError::Io {
            operation,
            digest,
            path: self.path.clone(),
            source,
        }
    }
}

fn same(expected: Digest, found: Digest) -> Result<(), StoreError> {
    match expected == found {
        true => Ok(()),
        false => Err(StoreError::OtherDigest { expected, found }),
    }
}

struct Hashing<R> {
    inner: R,
    hash: sha2::Sha256,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: sha2::Sha256::new(),
        }
    }

    fn digest(self) -> Digest {
        Digest::from_bytes(self.hash.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_stored_is_executable_and_verified() {
        let temp = tempfile::tempdir().expect("temp dir");
        let store = BinaryStore::workers(temp.path()).expect("store");
        let digest = Digest::of(b"worker");
        assert!(!store.has(digest) && store.verified(digest).is_err());
        store.put(digest, &b"worker"[..]).expect("stored");
        store.put(digest, &b"worker"[..]).expect("stored again");
        let path = store.verified(digest).expect("intact");
        let mode = std::fs::metadata(&path).expect("file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o555);
        assert!(store.has(digest));
    }

    #[test]
    fn other_bytes_are_refused_and_leave_nothing() {
        let temp = tempfile::tempdir().expect("temp dir");
        let store = BinaryStore::workers(temp.path()).expect("store");
        let digest = Digest::of(b"worker");
        let error = store.put(digest, &b"worker!"[..]).expect_err("other bytes");
        assert!(matches!(error, StoreError::OtherDigest { .. }));
        let left = std::fs::read_dir(temp.path().join("workers")).expect("dir");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_a_run_uses_and_the_newest_two_stay() {
        let temp = tempfile::tempdir().expect("temp dir");
        let store = BinaryStore::workers(temp.path()).expect("store");
        let digests: Vec<Digest> = (0..5_u8).map(|n| Digest::of(&[n])).collect();
        for (n, digest) in (0..5_u8).zip(&digests) {
            store.put(*digest, &[n][..]).expect("stored");
            let path = store.verified(*digest).expect("intact");
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + u64::from(n));
            let file = std::fs::File::open(path).expect("opens");
            file.set_modified(at).expect("aged");
        }
        std::fs::write(temp.path().join("workers/abc.part"), b"half").expect("file");
        assert_eq!(store.sweep(&digests[1..2]).expect("swept"), 3);
        let left: Vec<bool> = digests.iter().map(|digest| store.has(*digest)).collect();
        assert_eq!(left, [false, true, false, true, true]);
        assert_eq!(store.sweep(&[]).expect("swept"), 1, "the run is over");
    }

    #[test]
    fn a_changed_bit_or_a_link_is_found_before_use() {
        let temp = tempfile::tempdir().expect("temp dir");
        let store = BinaryStore::workers(temp.path()).expect("store");
        let digest = Digest::of(b"worker");
        store.put(digest, &b"worker"[..]).expect("stored");
        let path = store.verified(digest).expect("intact");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
        assert!(store.verified(digest).is_err(), "writable");
        std::fs::write(&path, b"workeR").expect("change");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o555)).expect("mode");
        let error = store.verified(digest).expect_err("changed");
        assert!(matches!(error, StoreError::OtherDigest { .. }), "{error}");
        std::fs::remove_file(&path).expect("remove");
        std::fs::write(temp.path().join("elsewhere"), b"worker").expect("file");
        std::os::unix::fs::symlink("../elsewhere", &path).expect("link");
        assert!(store.verified(digest).is_err(), "a link");
    }
}
