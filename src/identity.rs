//! The launcher's own identity on this host: data directory, lock, key pair, machine, epoch.
//!
//! Takes the data directory and the pool. Gives an [`Identity`] that only one process holds. Never: an
//! identity used on another machine than the one that enrolled it (a cloned disk starts afresh), a key
//! readable by others.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gantry_protocol::Secret;
use gantry_protocol::crypto::EdKey;
use gantry_protocol::ids::{Digest, LauncherId, PoolId};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::durable;

const IDENTITY: &str = "identity.json";
const EPOCH: &str = "epoch.json";

/// The data directory, held by this process alone.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// An enrolled launcher.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Id given at enrolment.
    pub launcher: LauncherId,
    /// The launcher's own key.
    pub key: EdKey,
    /// Digest of the pool's public key that it proved; nothing in what an older version stored.
    pub proved: Option<Digest>,
}

/// What the data directory says about earlier enrolments.
#[derive(Debug)]
pub enum Stored {
    /// Nothing usable: enrol. `discarded` says why an identity that was there is not used.
    None {
        /// For the log; also the sign to discard the journal.
        discarded: Option<String>,
    },
    /// Enrolled before, on this machine, in this pool.
    Enrolled(Box<Identity>),
}

/// Epoch bookkeeping: see [`gantry_protocol::control::session`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// The newest epoch that this directory was given; 0 before the first.
    pub epoch: u64,
    /// A takeover that was asked for and not yet answered.
    pub pending: Option<String>,
}

/// Why the data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It can't be made or opened.
    #[error("GANTRY_DATA_DIR: can't use `{path}`")]
    Dir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process holds it.
    #[error(
        "GANTRY_DATA_DIR: another launcher process uses `{0}`; give each launcher its own directory"
    )]
    Locked(PathBuf),
    /// A file in it is damaged.
    #[error(
        "`{path}` is damaged; move it away to enrol afresh (unfinished runs of this launcher are then lost to it)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A write failed.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct File1 {
    launcher: LauncherId,
    pool: PoolId,
    machine: Digest,
    key: Secret,
    #[serde(default)]
    proved: Option<Digest>,
}

impl DataDir {
    /// Makes the directory and takes its lock, which ends with the process. Others may pass through it (mode
    /// 0711), because runs' users have directories below; what is ours in it is 0600 or 0700.
    ///
    /// # Errors
    /// [`IdentityError::Dir`] or [`IdentityError::Locked`].
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        let wrap = |source| IdentityError::Dir {
            path: path.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(wrap)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(wrap)?;
        let lock = File::create(path.join("lock")).map_err(wrap)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(IdentityError::Locked(path.to_owned())),
            Err(errno) => Err(wrap(errno.into())),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity stored here, if it is this machine's and this pool's.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] or [`IdentityError::Dir`].
    pub fn identity(&self, pool: PoolId, machine: Digest) -> Result<Stored, IdentityError> {
        let Some(file) = self.read::<File1>(IDENTITY)? else {
            return Ok(Stored::None { discarded: None });
        };
        let discard = |why: String| {
            Ok(Stored::None {
                discarded: Some(why),
            })
        };
        if file.machine != machine {
            return discard(format!(
                "launcher {} was enrolled on another machine",
                file.launcher
            ));
        }
        if file.pool != pool {
            return discard(format!(
                "launcher {} belongs to pool {}",
                file.launcher, file.pool
            ));
        }
        match EdKey::from_pem(&file.key) {
            Ok(key) => {
                let identity = Identity {
                    launcher: file.launcher,
                    key,
                    proved: file.proved,
                };
                Ok(Stored::Enrolled(Box::new(identity)))
            }
            Err(_) => discard(format!("the key of launcher {} is damaged", file.launcher)),
        }
    }

    /// Stores a new identity and forgets the epochs of the one before.
    ///
    /// # Errors
    /// [`IdentityError::Write`].
    pub fn store_identity(
        &self,
        identity: &Identity,
        pool: PoolId,
        machine: Digest,
    ) -> Result<(), IdentityError> {
        self.store_epoch(&Epoch {
            epoch: 0,
            pending: None,
        })?;
        self.update_identity(identity, pool, machine)
    }

    /// Stores an identity that is known here, which keeps its epochs.
    ///
    /// # Errors
    /// [`IdentityError::Write`].
    pub fn update_identity(
        &self,
        identity: &Identity,
        pool: PoolId,
        machine: Digest,
    ) -> Result<(), IdentityError> {
        let key = identity.key.to_pem();
        self.write(
            IDENTITY,
            &File1 {
                launcher: identity.launcher,
                pool,
                machine,
                key,
                proved: identity.proved,
            },
        )
    }

    /// The epoch stored here.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] or [`IdentityError::Dir`].
    pub fn epoch(&self) -> Result<Epoch, IdentityError> {
        Ok(self.read(EPOCH)?.unwrap_or(Epoch {
            epoch: 0,
            pending: None,
        }))
    }

    /// Stores an epoch, durably, before it is used.
    ///
    /// # Errors
    /// [`IdentityError::Write`].
    pub fn store_epoch(&self, epoch: &Epoch) -> Result<(), IdentityError> {
        self.write(EPOCH, epoch)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, IdentityError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| IdentityError::Damaged { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::Dir { path, source }),
        }
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), IdentityError> {
        let path = self.path.join(name);
        let bytes = serde_json::to_vec(value).expect("invariant: plain data serialises");
        durable::replace(&path, &bytes).map_err(|source| IdentityError::Write { path, source })
    }
}

/// Digest of what tells this machine from its clones: the machine id and, on virtual machines, the
/// product id; or what the operator says (`GANTRY_MACHINE_ID`), where a container with its volume may move from one
/// machine to the next. Empty sources give a digest all the same; then a clone is noticed only by its epoch.
pub fn machine(said: Option<&str>) -> Digest {
    if let Some(said) = said {
        return Digest::of(format!("said\0{said}").as_bytes());
    }
    let sources = [
        "/etc/machine-id",
        "/var/lib/dbus/machine-id",
        "/sys/class/dmi/id/product_uuid",
    ];
    let texts = sources
        .iter()
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    Digest::of(texts.collect::<Vec<_>>().join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (PoolId, Identity) {
        let pool = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        let launcher = "01JB8M6Q7N4T0V2X5Y8Z9A1B2D".parse().unwrap();
        (
            pool,
            Identity {
                launcher,
                key: EdKey::generate(),
                proved: Some(Digest::of(b"pool key")),
            },
        )
    }

    #[test]
    fn one_directory_serves_one_process() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        assert!(matches!(
            DataDir::open(temp.path()),
            Err(IdentityError::Locked(_))
        ));
        drop(first);
        assert!(DataDir::open(temp.path()).is_ok());
    }

    #[test]
    fn what_the_operator_says_stands_for_the_machine() {
        assert_eq!(machine(Some("ns/gantry-0")), machine(Some("ns/gantry-0")));
        assert_ne!(machine(Some("ns/gantry-0")), machine(Some("ns/gantry-1")));
        assert_ne!(machine(Some("ns/gantry-0")), machine(None));
    }

    #[test]
    fn an_identity_is_of_one_machine_and_one_pool() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let (pool, identity) = ids();
        let (here, there) = (Digest::of(b"here"), Digest::of(b"there"));
        assert!(matches!(
            dir.identity(pool, here),
            Ok(Stored::None { discarded: None })
        ));
        dir.store_identity(&identity, pool, here).unwrap();
        let Ok(Stored::Enrolled(read)) = dir.identity(pool, here) else {
            panic!("not read")
        };
        assert_eq!(read.key.public(), identity.key.public());
        assert_eq!(read.proved, identity.proved);
        let epoch = Epoch {
            epoch: 7,
            pending: None,
        };
        dir.store_epoch(&epoch).unwrap();
        dir.update_identity(&identity, pool, here).unwrap();
        assert_eq!(dir.epoch().unwrap(), epoch);
        assert!(matches!(
            dir.identity(pool, there),
            Ok(Stored::None { discarded: Some(_) })
        ));
        let other = "01JB8M6Q7N4T0V2X5Y8Z9A1B2E".parse().unwrap();
        assert!(matches!(
            dir.identity(other, here),
            Ok(Stored::None { discarded: Some(_) })
        ));
        let mode = fs::metadata(temp.path().join(IDENTITY))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
