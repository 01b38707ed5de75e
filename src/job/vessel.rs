//! What a container of a run is made from, for one that begins now and for one that waits.
//!
//! Takes an admitted image, a verified worker, a tool and directories; gives mounts and a started container.
//! Never: a payload among the arguments, so that a container can be made before its run is known.

use std::path::PathBuf;
use std::time::Duration;

use super::Host;
use super::standby::Recipe;
use super::worker_binary::Worker;
use crate::container::{Accounts, MountError, Network, RunMounts, accounts, container_spec};
use crate::engine::{ContainerId, ContainerSpec, Docker, EngineError};
use crate::image::PulledImage;
use crate::workspace::{DirsError, RunDirs};

/// Host paths of generated account files.
pub(super) type AccountFiles = Option<(PathBuf, PathBuf)>;

/// Writes the account files that the image lacks.
pub(super) fn account_files(
    dirs: &RunDirs,
    image: &PulledImage,
) -> Result<AccountFiles, DirsError> {
    match accounts(image.passwd(), image.group()) {
        Accounts::InImage => Ok(None),
        Accounts::Generated { passwd, group } => Ok(Some((
            dirs.put_file("passwd", &passwd)?,
            dirs.put_file("group", &group)?,
        ))),
    }
}

/// The container of a recipe, in directories that are there.
pub(super) fn spec(
    host: &Host,
    recipe: &Recipe,
    worker: &Worker,
    (dirs, accounts): (&RunDirs, AccountFiles),
    network: &Network,
    name: &str,
) -> Result<ContainerSpec, MountError> {
    let mounts = RunMounts {
        workspace: dirs.workspace(),
        io: dirs.io(),
        spool: dirs.spool(),
        worker: worker.path.clone(),
        tool: recipe
            .tool
            .as_ref()
            .map(|(tool, program)| (tool.path.clone(), *program)),
        accounts,
        extra: host.mounts.of(recipe.class)?,
    };
    let launcher = host.session.launcher();
    let (policy, image) = (&host.policy, &recipe.image);
    Ok(container_spec(
        policy, &mounts, network, image, launcher, name,
    ))
}

/// A container that runs and waits for its order, and how long it took.
pub(super) struct Launched {
    pub(super) container: ContainerId,
    pub(super) create: Duration,
    pub(super) start: Duration,
}

impl Launched {
    /// One that was there before.
    pub(super) fn before(container: ContainerId) -> Self {
        Self {
            container,
            create: Duration::ZERO,
            start: Duration::ZERO,
        }
    }
}

pub(super) async fn launch(engine: &Docker, spec: &ContainerSpec) -> Result<Launched, EngineError> {
    let (container, create) = timed(engine.create(spec)).await;
    let container = container?;
    let (started, start) = timed(engine.start(&container)).await;
    started?;
    Ok(Launched {
        container,
        create,
        start,
    })
}

/// Work, and how long it took.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = tokio::time::Instant::now();
    let done = work.await;
    (done, begun.elapsed())
}
