//! One waiting container: made, and ended unused.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};
use ulid::Ulid;

use super::{NAME, Recipe, Standby};
use crate::container::{MountError, Network};
use crate::engine::{ContainerId, ContainerSpec, EngineError};
use crate::image::{ImageError, PulledImage, Refusal};
use crate::job::Host;
use crate::job::vessel::{AccountFiles, Launched, account_files, launch, spec};
use crate::job::worker_binary::WorkerError;
use crate::link::{self, Event, Expect, Link, LinkError};
use crate::network::NetworkError;
use crate::report::Chain;
use crate::workspace::{DirsError, RunDirs};

/// A worker that has not connected after this long will not.
const CONNECT: Duration = Duration::from_secs(60);

/// A pull may take this long.
const PULL: Duration = Duration::from_secs(30 * 60);

/// Why no container waits.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error("SPACELIFT_DEFAULT_RUNNER_IMAGE")]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("there is no worker to mount")]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Dirs(#[from] DirsError),
    #[error(transparent)]
    Mounts(#[from] MountError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("its worker did not connect within {} s", CONNECT.as_secs())]
    Silent,
}

/// The default image as it is now.
pub(super) async fn default_image(host: &Host, reference: &str) -> Result<PulledImage, MakeError> {
    let admitted = host.allowlist.admit(reference)?;
    let resolved = host.images.resolve(admitted).await?;
    let mut quiet = |_line| {};
    let pulled = host.images.pull(resolved, PULL, &mut quiet).await?;
    pulled.check_volumes(&crate::container::protected_targets())?;
    Ok(pulled)
}

/// Makes a container and waits until its worker waits for an order.
pub(super) async fn make(host: &Host, recipe: Recipe) -> Result<Standby, MakeError> {
    let id = Ulid::generate().to_string();
    let name = format!("{NAME}{id}");
    let dirs = host.data.create_waiting(&id)?;
    match fill(host, &recipe, &name, &dirs).await {
        Ok(filled) => {
            info!(container = %name, image = %filled.spec.image, "a container waits for its run");
            Ok(Standby {
                name,
                container: filled.container,
                dirs,
                accounts: filled.accounts,
                network: filled.network,
                spec: filled.spec,
                link: filled.link,
                recipe,
                born: Instant::now(),
            })
        }
        Err(error) => {
            clear(host, &name, &dirs).await;
            Err(error)
        }
    }
}

struct Filled {
    container: ContainerId,
    accounts: AccountFiles,
    network: Network,
    spec: ContainerSpec,
    link: Link,
}

async fn fill(
    host: &Host,
    recipe: &Recipe,
    name: &str,
    dirs: &RunDirs,
) -> Result<Filled, MakeError> {
    let worker = host.workers.ready().await?;
    let accounts = account_files(dirs, &recipe.image)?;
    let network = host.networks.take(name).await?;
    let place = (dirs, accounts.clone());
    let spec = spec(host, recipe, &worker, place, &network, name)?;
    let mut link = link::listen(&dirs.io(), host.data.owner().gid, Expect::Later)?;
    let Launched { container, .. } = launch(&host.engine, &spec).await?;
    let waiting = async {
        while let Some(event) = link.events.recv().await {
            if matches!(event, Event::Waiting) {
                return true;
            }
        }
        false
    };
    match timeout(CONNECT, waiting).await {
        Ok(true) => Ok(Filled {
            container,
            accounts,
            network,
            spec,
            link,
        }),
        Ok(false) | Err(_) => Err(MakeError::Silent),
    }
}

/// Ends a container that was never used.
pub(in crate::job) async fn discard(host: &Host, standby: Standby) {
    info!(container = %standby.name, "a container that waited is not needed any more");
    let Standby {
        name, dirs, link, ..
    } = standby;
    clear(host, &name, &dirs).await;
    drop(link);
}

/// Container, network, directories, in the order in which a crash in between loses nothing.
pub(in crate::job) async fn clear(host: &Host, name: &str, dirs: &RunDirs) {
    let removed = match host.engine.inspect_named(name).await {
        Ok(view) => host.engine.remove(&view.id).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), crate::engine::ErrorKind::NotFound { .. }) => {}
        // The next start sweeps it.
        Err(error) => {
            warn!(container = %name, error = %Chain(&error), "a container that waited can't be removed");
            return;
        }
    }
    host.networks.release(name);
    for leftover in host.data.remove_run(dirs) {
        warn!(path = %leftover.path, reason = %leftover.reason, "could not be removed");
    }
}
