//! Proves that a container on this engine, in this runtime, reaches its launcher.
//!
//! Takes the means of this host; starts one container of an empty image with the real worker in it and waits for the
//! worker's first word on the run socket. What a run needs before anything else is so proved at once: the directories
//! are where the engine looks for them, the runtime executes the worker and lets it connect to a socket of the host.
//! Never: anything in that container but the worker, or a trace of it left.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info};
use ulid::Ulid;

use super::Host;
use super::standby::{NAME, clear};
use super::vessel::{Launched, launch};
use super::worker_binary::WorkerError;
use crate::container::{RunMounts, canary_spec};
use crate::engine::{ContainerId, EngineError, ErrorKind, Platform};
use crate::link::{self, Event, Expect, LinkError};
use crate::network::NetworkError;
use crate::report::Chain;
use crate::workspace::{DirsError, RunDirs};

/// A worker that has not said a word after this long will not.
const WORD: Duration = Duration::from_secs(45);

/// Bytes of its last words that an error quotes.
const LAST_WORDS: usize = 500;

/// Why runs can't be executed here.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// There is no worker.
    #[error("the canary container needs the worker")]
    Worker(#[from] WorkerError),
    /// Its directories.
    #[error("the canary container needs directories")]
    Dirs(#[from] DirsError),
    /// Its network.
    #[error("the canary container needs a network")]
    Network(#[from] NetworkError),
    /// Its socket.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The engine or the runtime refused it.
    #[error(
        "the canary container could not be started with runtime {runtime} (SPACELIFT_WORKER_RUNTIME) on the engine at `{host}` (DOCKER_HOST)"
    )]
    Start {
        /// The runtime.
        runtime: String,
        /// The engine.
        host: String,
        /// Why.
        source: EngineError,
    },
    /// It started and was never heard of.
    #[error(
        "a canary container with runtime {runtime} (SPACELIFT_WORKER_RUNTIME) on the engine at `{host}` (DOCKER_HOST) did not reach the launcher's socket below GANTRY_DATA_DIR: the engine has to see that directory at the same path on the same host, and the runtime has to let containers connect to unix sockets (for runsc: `--host-uds=open` in its runtimeArgs){words}"
    )]
    Silent {
        /// The runtime.
        runtime: String,
        /// The engine.
        host: String,
        /// What it printed, if anything.
        words: String,
    },
}

/// Starts a canary and waits for its word.
///
/// # Errors
/// [`CanaryError`]: runs would fail in the same way.
pub async fn prove(host: &Host, platform: &Platform) -> Result<(), CanaryError> {
    let id = Ulid::generate().to_string();
    let name = format!("{NAME}{id}");
    let dirs = host.data.create_waiting(&id)?;
    let proved = fly(host, platform, &name, &dirs).await;
    clear(host, &name, &dirs).await;
    if let Err(error) = host.engine.remove_image(&image(host)).await {
        debug!(error = %Chain(&error), "the canary's image stays");
    }
    proved?;
    info!(runtime = %runtime(host), "a canary container reached its launcher");
    Ok(())
}

async fn fly(
    host: &Host,
    platform: &Platform,
    name: &str,
    dirs: &RunDirs,
) -> Result<(), CanaryError> {
    let worker = host.workers.ready().await?;
    let network = host.networks.take(name).await?;
    let mounts = RunMounts {
        workspace: dirs.workspace(),
        io: dirs.io(),
        spool: dirs.spool(),
        worker: worker.path,
        tool: None,
        accounts: None,
        extra: Vec::new(),
    };
    let image = image(host);
    let launcher = host.session.launcher();
    let spec = canary_spec(
        &host.policy,
        &mounts,
        &network,
        (&image, platform),
        launcher,
        name,
    );
    let mut link = link::listen(&dirs.io(), host.data.owner().gid, Expect::Later)?;
    let failed = |source| CanaryError::Start {
        runtime: runtime(host),
        host: host.engine.host().to_owned(),
        source,
    };
    host.engine
        .import_empty_image(&image)
        .await
        .map_err(failed)?;
    let Launched { container, .. } = launch(&host.engine, &spec).await.map_err(failed)?;
    let word = async {
        while let Some(event) = link.events.recv().await {
            if matches!(event, Event::Waiting) {
                return true;
            }
        }
        false
    };
    let heard = tokio::select! {
        heard = timeout(WORD, word) => heard.unwrap_or(false),
        _ended = host.engine.wait(&container) => false,
    };
    match heard {
        true => Ok(()),
        false => Err(silent(host, &container).await),
    }
}

async fn silent(host: &Host, container: &ContainerId) -> CanaryError {
    let words = host.engine.last_words(container, LAST_WORDS).await;
    let words = words.unwrap_or_default();
    let words = String::from_utf8_lossy(&words).trim().replace('\n', " ");
    CanaryError::Silent {
        runtime: runtime(host),
        host: host.engine.host().to_owned(),
        words: match words.is_empty() {
            true => String::new(),
            false => format!("; it said: {words}"),
        },
    }
}

fn runtime(host: &Host) -> String {
    match &host.policy.runtime {
        Some(name) => format!("`{name}`"),
        None => "of the engine's choice".to_owned(),
    }
}

/// An image of the launcher's own, with nothing in it.
fn image(host: &Host) -> String {
    let launcher = host.session.launcher().to_string();
    format!("gantry-canary:{}", launcher.to_ascii_lowercase())
}

impl CanaryError {
    /// Whether only a changed configuration can help.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::Start { source, .. } => matches!(source.kind(), ErrorKind::Refused { .. }),
            Self::Worker(_) | Self::Dirs(_) | Self::Network(_) | Self::Link(_) => false,
        }
    }
}
