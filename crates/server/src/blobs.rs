//! The one door to object storage: sealed workspaces, log bytes, state, worker executables.
//!
//! Takes streams and names, gives what was stored and its digest. A put is visible only when it is complete
//! and on the disk. Never: a name that was not checked, a whole large blob in memory.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use gantry_protocol::Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use sha2::Digest as _;

/// Bytes gathered before they are handed to the disk.
const PART: usize = 1024 * 1024;

/// The storage.
#[derive(Debug)]
pub struct Blobs {
    store: LocalFileSystem,
}

/// A blob that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its length in bytes.
    pub bytes: u64,
    /// The SHA-256 of what was written.
    pub digest: Digest,
}

/// Why a blob can't be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The storage failed.
    #[error("could not {operation} the blob `{name}`")]
    Storage {
        /// What was tried.
        operation: &'static str,
        /// The blob.
        name: String,
        /// Why.
        source: object_store::Error,
    },
    /// It is not there.
    #[error("the blob `{name}` does not exist")]
    Missing {
        /// The blob.
        name: String,
    },
    /// The name could leave the storage.
    #[error("`{name}` is not a name for a blob")]
    Name {
        /// The name.
        name: String,
    },
    /// The sender sent more than it may.
    #[error("the blob `{name}` is longer than {limit} bytes")]
    TooLong {
        /// The blob.
        name: String,
        /// The most that is taken.
        limit: u64,
    },
    /// The sender's stream broke; nothing was stored.
    #[error("the sender of the blob `{name}` broke off")]
    Sender {
        /// The blob.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Blobs {
    /// Opens the storage in a directory that exists.
    pub fn open(dir: &Path) -> Result<Self, BlobError> {
        let store = LocalFileSystem::new_with_prefix(dir);
        let store = store.map_err(failed("open", &dir.display().to_string()))?;
        Ok(Self {
            store: store.with_fsync(true),
        })
    }

    /// Stores bytes under a name, replacing what is there.
    pub async fn put_bytes(&self, name: &str, bytes: Bytes) -> Result<Stored, BlobError> {
        let digest = Digest::of(&bytes);
        let length = bytes.len() as u64;
        let payload = PutPayload::from_bytes(bytes);
        self.store
            .put(&checked(name)?, payload)
            .await
            .map_err(failed("write", name))?;
        Ok(Stored {
            bytes: length,
            digest,
        })
    }

    /// Stores a stream of at most `limit` bytes under a name. A stream that fails or is too long leaves
    /// what was there before.
    pub async fn put<S, E>(&self, name: &str, stream: S, limit: u64) -> Result<Stored, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let upload = self.store.put_multipart(&checked(name)?).await;
        let mut upload = upload.map_err(failed("write", name))?;
        match write_all(name, &mut upload, stream, limit).await {
            Ok(stored) => {
                upload.complete().await.map_err(failed("finish", name))?;
                Ok(stored)
            }
            Err(error) => {
                if let Err(left) = upload.abort().await {
                    tracing::warn!(name, error = %left, "could not remove a half-written blob");
                }
                Err(error)
            }
        }
    }

    /// Reads a blob as a stream, with its length.
    pub async fn get(
        &self,
        name: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, object_store::Error>>), BlobError> {
        let found = self
            .store
            .get(&checked(name)?)
            .await
            .map_err(failed("read", name))?;
        Ok((found.meta.size, found.into_stream()))
    }

    /// Reads a part of a blob: `length` bytes from `start`, or fewer at its end.
    pub async fn get_range(&self, name: &str, start: u64, length: u64) -> Result<Bytes, BlobError> {
        let range = start..start.saturating_add(length);
        self.store
            .get_range(&checked(name)?, range)
            .await
            .map_err(failed("read", name))
    }

    /// Reads a whole small blob.
    pub async fn get_bytes(&self, name: &str) -> Result<Bytes, BlobError> {
        let found = self
            .store
            .get(&checked(name)?)
            .await
            .map_err(failed("read", name))?;
        found.bytes().await.map_err(failed("read", name))
    }

    /// Whether a blob of this name is stored.
    pub async fn exists(&self, name: &str) -> Result<bool, BlobError> {
        match self.store.head(&checked(name)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed("look for", name)(source)),
        }
    }

    /// Removes a blob; one that is not there is fine.
    pub async fn delete(&self, name: &str) -> Result<(), BlobError> {
        match self.store.delete(&checked(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed("delete", name)(source)),
        }
    }
}

async fn write_all<S, E>(
    name: &str,
    upload: &mut Box<dyn MultipartUpload>,
    stream: S,
    limit: u64,
) -> Result<Stored, BlobError>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut stream = std::pin::pin!(stream);
    let mut hash = sha2::Sha256::new();
    let mut bytes = 0u64;
    let mut part = Vec::with_capacity(PART);
    while let Some(chunk) = stream.next().await {
        let broken = |e: E| BlobError::Sender {
            name: name.to_owned(),
            source: e.into(),
        };
        let chunk = chunk.map_err(broken)?;
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(BlobError::TooLong {
                name: name.to_owned(),
                limit,
            });
        }
        hash.update(&chunk);
        part.extend_from_slice(&chunk);
        if part.len() >= PART {
            let full = std::mem::replace(&mut part, Vec::with_capacity(PART));
            upload
                .put_part(full.into())
                .await
                .map_err(failed("write", name))?;
        }
    }
    if !part.is_empty() {
        upload
            .put_part(part.into())
            .await
            .map_err(failed("write", name))?;
    }
    Ok(Stored {
        bytes,
        digest: Digest::from_bytes(hash.finalize().into()),
    })
}

/// Names are made of ids by this program; anything else would be a mistake worth stopping at.
fn checked(name: &str) -> Result<Name, BlobError> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if name.split('/').all(plain) {
        Ok(Name::from(name))
    } else {
        Err(BlobError::Name {
            name: name.chars().take(100).collect(),
        })
    }
}

fn failed(operation: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> BlobError {
    let name = name.to_owned();
    move |source| match source {
        object_store::Error::NotFound { .. } => BlobError::Missing { name },
        source => BlobError::Storage {
            operation,
            name,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunks(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
        let chunks: Vec<_> = sizes
            .iter()
            .map(|n| Ok(Bytes::from(vec![b'x'; *n])))
            .collect();
        stream::iter(chunks)
    }

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let stored = blobs
            .put("w/1", chunks(&[10, PART, 3, 2 * PART]), 1 << 30)
            .await
            .unwrap();
        assert_eq!(stored.bytes, 3 * PART as u64 + 13);
        let (length, stream) = blobs.get("w/1").await.unwrap();
        let read: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
        let read = read.concat();
        assert_eq!((length, Digest::of(&read)), (stored.bytes, stored.digest));
        assert_eq!(blobs.get_range("w/1", 8, 4).await.unwrap(), "xxxx");
        blobs.delete("w/1").await.unwrap();
        blobs.delete("w/1").await.unwrap();
        assert!(matches!(
            blobs.get_bytes("w/1").await,
            Err(BlobError::Missing { .. })
        ));
    }

    #[tokio::test]
    async fn a_broken_or_long_stream_leaves_the_old_blob() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        blobs
            .put_bytes("a", Bytes::from_static(b"old"))
            .await
            .unwrap();
        let broken = chunks(&[PART, 9]).chain(stream::iter([Err(std::io::Error::other("gone"))]));
        assert!(matches!(
            blobs.put("a", broken, 1 << 30).await,
            Err(BlobError::Sender { .. })
        ));
        let long = blobs.put("a", chunks(&[5, 6]), 10).await;
        assert!(matches!(long, Err(BlobError::TooLong { limit: 10, .. })));
        assert_eq!(blobs.get_bytes("a").await.unwrap(), "old");
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "half-written files are left: {files:?}");
    }

    #[tokio::test]
    async fn names_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        for bad in [
            "", "/a", "a//b", "../a", "a/../b", "a b", ".x", "a/.", "ä", "a\0",
        ] {
            let refused = blobs.put_bytes(bad, Bytes::new()).await;
            assert!(matches!(refused, Err(BlobError::Name { .. })), "{bad}");
        }
    }
}
