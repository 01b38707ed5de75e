//! What every request shares: the open data directory and the keys.
//!
//! Takes settings, gives the running parts. What must never happen: two processes on one data directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gantry_net::{NamedPem, Outside, merged_bundle};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::auth::{Limits, TokenError, Tokens};
use crate::blobs::{BlobError, Blobs};
use crate::gateway::{self, Gateway};
use crate::outgoing::Networks;
use crate::pki::{Keyring, PkiError};
use crate::policies::Judge;
use crate::store::{DATABASE, StorageFault, Store, StoreError};
use crate::tasks::retention::Retention;
use crate::vault::{Vault, VaultError};
use crate::vcs_probe::{Memory, Sources};
use crate::workers::{self, Control};

/// The parts of a running server.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Arc<Store>,
    /// Secrets at rest.
    pub vault: Arc<Vault>,
    /// Large things.
    pub blobs: Arc<Blobs>,
    /// The launchers' side: logs, managed state, dispatch.
    pub control: Arc<Control>,
    /// Sessions of the API.
    pub tokens: Tokens,
    /// How often somebody may ask, and be wrong.
    pub limits: Limits,
    /// Proxies whose word about the client's address is believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Inner networks that messages about runs may go to.
    pub networks: Networks,
    /// Pool certificates and envelope keys.
    pub keyring: Arc<Keyring>,
    /// Policies.
    pub judge: Judge,
    /// Where code may come from.
    pub sources: Sources,
    /// Code hosts that only agents can reach.
    pub gateway: Gateway,
    /// The URL under which this server is reached, without a trailing slash.
    pub base_url: String,
    /// What is kept for how long.
    pub retention: Retention,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Cancelled when the server stops: long polls answer, loops end.
    pub stopping: CancellationToken,
    _lock: File,
}

/// What [`App::open`] needs.
#[derive(Clone, Debug)]
pub struct AppConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The master key.
    pub master_key_file: PathBuf,
    /// The name of this installation, as runs and policies see it.
    pub account_name: String,
    /// See [`App::base_url`].
    pub base_url: String,
    /// Directories below which `file` repositories may lie.
    pub source_file_prefixes: Vec<PathBuf>,
    /// Requests of the API that one key may send in a second; zero is no limit.
    pub api_rate: u32,
    /// See [`App::trusted_proxies`].
    pub trusted_proxies: Vec<IpNet>,
    /// See [`App::networks`].
    pub outgoing_networks: Vec<IpNet>,
    /// `host:port` that tokens of VCS agent pools name; none if no agent can connect.
    pub gateway_address: Option<String>,
    /// Proxies and added CAs.
    pub outside: Outside,
    /// The program whose children evaluate policies; none is this one.
    pub policy_program: Option<PathBuf>,
    /// What is kept for how long.
    pub retention: Retention,
    /// What git may know of the environment.
    pub git_environment: Vec<(&'static str, std::ffi::OsString)>,
}

/// Why the server can't start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data directory can't be used.
    #[error("could not {operation} the data directory `{}`", path.display())]
    Directory {
        /// What was tried.
        operation: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is open to others and not ours.
    #[error("the directory `{}` is open to other users and holds something else: name an empty one, or `chmod 700` it", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("the data directory `{}` is used by another gantry-server", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The storage below it is at fault.
    #[error("the data directory `{}` {}", path.display(), fault_text(*fault))]
    Storage {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        fault: StorageFault,
        /// The database's own word.
        source: StoreError,
    },
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
    /// The master key does not work.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The storage of blobs failed.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The session keys don't work.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The bridge to VCS agents can't be opened.
    #[error("could not listen on the loopback address for git")]
    Bridge(#[source] io::Error),
    /// The added CAs can't be given to git.
    #[error("could not write the added CAs for git to `{}`", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The added CAs are no certificates.
    #[error("the added CAs can't be given to git")]
    Roots(#[from] gantry_net::ClientError),
    /// The pool authority's keys don't work.
    #[error(transparent)]
    Keyring(#[from] PkiError),
}

/// What an operator has to know about a fault of the storage, after the name of the directory.
pub fn fault_text(fault: StorageFault) -> &'static str {
    match fault {
        StorageFault::Full => {
            "is on a disk that is full: free space and try again; nothing was lost"
        }
        StorageFault::ReadOnly => {
            "can't be written: make it writable and try again; nothing was lost"
        }
        StorageFault::Io => "can't be read or written: look at the disk and its permissions",
    }
}

impl App {
    /// Opens the data directory, making it if needed, and everything in it.
    pub async fn open(config: AppConfig) -> Result<Arc<Self>, AppError> {
        let dir = &config.data_dir;
        let vault = Arc::new(Vault::from_file(&config.master_key_file)?);
        make_private(dir)?;
        let lock = lock(dir)?;
        let store = Arc::new(open_store(dir).await?);
        let blobs = Arc::new(open_blobs(dir)?);
        let tokens = Tokens::load(&store, &vault, &config.base_url).await?;
        let keyring = Arc::new(Keyring::open(&store, &vault).await?);
        let control = Control::new(
            Arc::clone(&store),
            Arc::clone(&vault),
            Arc::clone(&blobs),
            Arc::clone(&keyring),
            workers::Settings {
                account: config.account_name.into(),
                policy_program: config.policy_program,
                ..workers::Settings::new(&config.base_url)
            },
        );
        let sources = Sources {
            file_prefixes: config.source_file_prefixes,
            home: dir.join("git"),
            environment: config.git_environment,
            proxies: config.outside.proxies.clone(),
            ca_file: ca_file(dir, &config.outside.roots)?,
            memory: Memory::default(),
        };
        let judge = control.judge.clone();
        let stopping = control.stopping.clone();
        let trusted_proxies: Arc<[IpNet]> = config.trusted_proxies.into();
        let settings = gateway::Settings {
            address: config.gateway_address,
            trusted_proxies: Arc::clone(&trusted_proxies),
            ..gateway::Settings::default()
        };
        let gateway = Gateway::open(Arc::clone(&store), settings, stopping.clone())
            .await
            .map_err(AppError::Bridge)?;
        Ok(Arc::new(Self {
            control,
            store,
            vault,
            blobs,
            tokens,
            limits: Limits::new(config.api_rate),
            trusted_proxies,
            gateway,
            networks: Networks::new(config.outgoing_networks, config.outside),
            keyring,
            judge,
            sources,
            base_url: config.base_url,
            retention: config.retention,
            data_dir: config.data_dir,
            stopping,
            _lock: lock,
        }))
    }
}

/// A file with the host's roots and the added ones: git takes one instead of its own.
fn ca_file(dir: &Path, roots: &[NamedPem]) -> Result<Option<PathBuf>, AppError> {
    if roots.is_empty() {
        return Ok(None);
    }
    let (path, fresh) = (dir.join("ca-bundle.pem"), dir.join("ca-bundle.new"));
    let content = merged_bundle(roots)?;
    let written = fs::write(&fresh, content).and_then(|()| fs::rename(&fresh, &path));
    match written {
        Ok(()) => Ok(Some(path)),
        Err(source) => Err(AppError::CaFile { path, source }),
    }
}

/// Opens the database of a data directory, and only that: for commands beside a running server.
pub async fn open_store(dir: &Path) -> Result<Store, AppError> {
    Store::open(dir)
        .await
        .map_err(|source| match source.storage_fault() {
            Some(fault) => AppError::Storage {
                path: dir.to_owned(),
                fault,
                source,
            },
            None => AppError::Store(source),
        })
}

/// Opens the object storage of a data directory.
pub(crate) fn open_blobs(dir: &Path) -> Result<Blobs, AppError> {
    let blobs = dir.join("blobs");
    make_private(&blobs)?;
    Ok(Blobs::open(&blobs)?)
}

/// Makes a directory that only this user can look into. One that exists is tightened if it is ours or
/// empty; another one is left alone, for it may be the wrong one.
pub(crate) fn make_private(dir: &Path) -> Result<(), AppError> {
    let failed = |operation| {
        let path = dir.to_owned();
        move |source| AppError::Directory {
            operation,
            path,
            source,
        }
    };
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed("make"))?;
    let mode = fs::metadata(dir)
        .map_err(failed("look at"))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = fs::read_dir(dir).map_err(failed("read"))?.next().is_none();
    if !empty && !dir.join(DATABASE).exists() {
        return Err(AppError::Foreign {
            path: dir.to_owned(),
        });
    }
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(dir, private).map_err(failed("close to other users"))
}

/// Held until the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, AppError> {
    let path = dir.to_owned();
    let failed = |source| AppError::Directory {
        operation: "write to",
        path: path.clone(),
        source,
    };
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AppError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
