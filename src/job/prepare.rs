//! From an opened run through its gates, and back to a container that runs already.
//!
//! image (parse, allowlist, digest) → pull → worker → tool → container ([`super::begin`]): journal → create and start,
//! the workspace beside it → order. Each gate takes the value that only the gate before makes.

use std::time::Duration;

use gantry_protocol::control::run::{Gate, RunResult};
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::payload::{Stage, UploadedArchive};
use gantry_protocol::socket::WorkOrder;
use tracing::{info, warn};

use super::admission::AdmittedImage;
use super::apply;
use super::attend::Attendance;
use super::begin::Vessel;
use super::class::class;
use super::course::Course;
use super::gates::OpenedRun;
use super::laps::Laps;
use super::order::work_order;
use super::standby::Recipe;
use super::upload;
use super::vessel::timed;
use super::worker_binary::{Worker, WorkerError};
use super::{Halt, Job, StopReason, container_of};
use crate::container::protected_targets;
use crate::engine::{ContainerId, ContainerStatus, ContainerView, EngineError, ErrorKind};
use crate::image::{PulledImage, ResolvedImage};
use crate::journal::{SessionRecord, Started};
use crate::link::{self, Expect};
use crate::report::Chain;
use crate::source::{Places, Request};
use crate::workspace::{LaidFile, RunDirs, SpoolReader, lay_files};

/// A pull may take this long.
const PULL: Duration = Duration::from_secs(30 * 60);

/// A lease whose gates are passed, and the container for it.
pub(super) struct Placed {
    pub(super) vessel: Vessel,
    pub(super) started: Started,
    /// Of an apply: what the restored workspace has to be.
    pub(super) attestation: Option<WorkspaceAttestation>,
}

impl Job {
    /// A lease whose container may exist: one that got its order goes on as if this process had started it.
    pub(super) async fn adopt(
        &mut self,
        run: OpenedRun,
        started: Started,
    ) -> Result<RunResult, Halt> {
        self.ticket = Some(self.host.standbys.take(|_| false).0);
        let Some(record) = started.session else {
            // Its worker has no order, and its workspace may be half filled: nothing of the run has happened.
            return Box::pin(self.begin(run)).await;
        };
        let container = match self.find().await? {
            Some(view) if view.status != ContainerStatus::Created => view.id,
            // It did run, and somebody removed it.
            Some(_) | None => {
                let why = "the run's container was removed while the launcher was away".to_owned();
                return Err(Halt::Refused(Gate::Container, why));
            }
        };
        self.shipper
            .narrator()
            .say("The launcher took this run up again; its container had gone on meanwhile.");
        info!("container adopted");
        let dirs = self
            .host
            .data
            .run(self.entry.lease.run, self.entry.lease.attempt);
        let expect = match record {
            SessionRecord { key, given: true } => Expect::Known(key),
            SessionRecord { key, given: false } => {
                Expect::Unsure(Box::new(self.order(&run, started.tool.is_some())?), key)
            }
        };
        let link = self.listen(&dirs, expect)?;
        let facts = self.spool(&dirs, &link)?;
        // A run that is not signed for any more goes on, and is granted nothing.
        let admitted = self.attestation(&run);
        let admitted = admitted.and_then(|plan| self.signed(&run, plan.as_ref(), false));
        if let Err(Halt::Refused(_, why)) = admitted {
            warn!(%why, "an adopted run will be granted nothing");
        }
        self.attend(&run, container, link, facts, started).await
    }

    /// From a container that runs (or ran) to the result, whichever process started it.
    pub(super) async fn attend(
        &mut self,
        run: &OpenedRun,
        container: ContainerId,
        link: link::Link,
        facts: SpoolReader,
        started: Started,
    ) -> Result<RunResult, Halt> {
        let course = Course::new(run.payload().run_type, run.payload().stage);
        let job = (&mut *self, run);
        let attendance = Attendance::new(job, container.clone(), link, facts, course, started);
        let seen = attendance.until_end().await?;
        self.conclude(run, &container, seen).await
    }

    pub(super) async fn place(&mut self, run: &OpenedRun, laps: &mut Laps) -> Result<Placed, Halt> {
        let payload = run.payload();
        let attestation = self.attestation(run)?;
        // Neither needs the other. An image's refusal waits for no worker, and goes before a worker's.
        let image = async {
            let (image, time) = timed(self.resolve(run, attestation.as_ref())).await;
            Ok::<_, Halt>((image?, time))
        };
        let worker = async { Ok(timed(self.unless_stopped(self.host.workers.ready())).await) };
        let ((image, image_time), (worker, worker_time)) = tokio::try_join!(image, worker)?;
        laps.beside([("image", image_time), ("worker", worker_time)]);
        self.check_stop()?;
        let worker = self.told(worker?)?;
        let admitted = self.admit(run, image, &worker, attestation.as_ref());
        let admitted = admitted.await?;
        laps.lap("admission");
        let image = self.pull(admitted).await?;
        laps.lap("pull");
        let tool = self.tool(payload, attestation.as_ref()).await?;
        laps.lap("tool");
        let started = Started {
            image: image.by_digest(),
            worker: worker.digest,
            worker_version: worker.version.to_string(),
            tool: tool.as_ref().map(|(tool, _)| tool.digest),
            session: None,
            grants: Vec::new(),
            began: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        let class = class(payload.run_type, payload.stage, payload.autodeploy);
        let recipe = Recipe { image, tool, class };
        let vessel = self.vessel(&recipe, &worker).await?;
        laps.lap("vessel");
        self.recipe = Some(recipe);
        Ok(Placed {
            vessel,
            started,
            attestation,
        })
    }

    /// Of an apply or a replan: what the launcher that planned signed for.
    pub(super) fn attestation(
        &self,
        run: &OpenedRun,
    ) -> Result<Option<WorkspaceAttestation>, Halt> {
        match run.payload().stage {
            Stage::Start => Ok(None),
            Stage::Apply | Stage::Replan => {
                let attested = apply::attested(run.payload(), &self.host.pool_key.public());
                Ok(Some(
                    attested.map_err(|error| refused(Gate::Workspace, &error))?,
                ))
            }
        }
    }

    /// The image gate. An apply runs in exactly the image that planned.
    async fn resolve(
        &self,
        run: &OpenedRun,
        attestation: Option<&WorkspaceAttestation>,
    ) -> Result<ResolvedImage, Halt> {
        let asked = attestation.map(|attestation| attestation.image.as_str());
        let asked = asked
            .or(run.payload().image.as_deref())
            .or(self.host.default_image.as_deref());
        let Some(asked) = asked else {
            let why = "the stack names no runner image, and SPACELIFT_DEFAULT_RUNNER_IMAGE is not set on this launcher";
            return Err(Halt::Refused(Gate::Image, why.to_owned()));
        };
        let narrator = self.shipper.narrator();
        let admitted = self.host.allowlist.admit(asked);
        let admitted = admitted.map_err(|error| refused(Gate::Image, &error))?;
        let images = &self.host.images;
        let resolved = images.resolve(admitted).await;
        let resolved = resolved.map_err(|error| refused(Gate::Image, &error))?;
        narrator.say(format!(
            "Image {} is {}.",
            resolved.reference(),
            resolved.digest()
        ));
        Ok(resolved)
    }

    async fn pull(&self, admitted: AdmittedImage) -> Result<PulledImage, Halt> {
        let (images, narrator) = (&self.host.images, self.shipper.narrator());
        let mut say = |line| narrator.say(line);
        let pulled = images.pull(admitted.into_inner(), PULL, &mut say).await;
        let pulled = pulled.map_err(|error| refused(Gate::Pull, &error))?;
        let volumes = pulled.check_volumes(&protected_targets());
        volumes.map_err(|error| refused(Gate::Pull, &error))?;
        Ok(pulled)
    }

    fn told(&self, worker: Result<Worker, WorkerError>) -> Result<Worker, Halt> {
        let worker = worker.map_err(|error| refused(Gate::Worker, &error))?;
        self.shipper
            .narrator()
            .say(format!("Worker {} ({}).", worker.version, worker.digest));
        Ok(worker)
    }

    pub(super) async fn workspace(
        &self,
        run: &OpenedRun,
        dirs: &RunDirs,
        attestation: Option<&WorkspaceAttestation>,
    ) -> Result<(), Halt> {
        if let Some(attestation) = attestation {
            self.shipper
                .narrator()
                .say("Restoring the workspace of the plan.");
            let restored = apply::restore(&self.host, self.entry.lease, dirs, attestation).await;
            return restored.map_err(|error| refused(Gate::Workspace, &error));
        }
        match &run.payload().source.archive {
            Some(archive) => self.lay_upload(archive, dirs).await?,
            None => self.fetch(run, dirs).await?,
        }
        let files = run.payload().files.iter();
        let files = files.map(|file| LaidFile {
            path: &file.path,
            content: &file.content,
        });
        let laid = lay_files(
            &dirs.workspace(),
            &files.collect::<Vec<_>>(),
            self.host.data.owner(),
        );
        laid.map_err(|error| refused(Gate::Workspace, &error))?;
        self.lay_providers(run).await;
        Ok(())
    }

    async fn fetch(&self, run: &OpenedRun, dirs: &RunDirs) -> Result<(), Halt> {
        let source = &run.payload().source;
        let request = Request {
            url: &source.url,
            repository: &source.repository,
            branch: &source.branch,
            commit: &source.commit,
            credentials: source.credentials.as_ref(),
        };
        let target = dirs.workspace().join("source");
        let places = Places {
            home: &dirs.home(),
            target: &target,
        };
        let fetched = self.host.fetcher.fetch(&request, places).await;
        let fetched = fetched.map_err(|error| refused(Gate::Workspace, &error))?;
        let (name, commit) = (&source.repository, &fetched.commit);
        self.shipper.narrator().say(format!(
            "Source {name} at {commit}: {} files.",
            fetched.files
        ));
        Ok(())
    }

    /// The files that a person uploaded take the place of the commit's.
    async fn lay_upload(&self, archive: &UploadedArchive, dirs: &RunDirs) -> Result<(), Halt> {
        let lease = self.entry.lease;
        let laid = self.unless_stopped(upload::lay(&self.host, lease, dirs, archive));
        let laid = laid
            .await?
            .map_err(|error| refused(Gate::Workspace, &error))?;
        self.shipper.narrator().say(format!(
            "Source is what was uploaded as {}: {} entries, {} bytes.",
            archive.digest, laid.entries, laid.bytes
        ));
        Ok(())
    }

    pub(super) fn order(&self, run: &OpenedRun, brought: bool) -> Result<WorkOrder, Halt> {
        let order = work_order(run.payload(), &self.host.order, brought);
        order.map_err(|error| refused(Gate::Workspace, &error))
    }

    pub(super) fn container_name(&self) -> String {
        container_of(&self.entry)
    }

    /// The container under this lease's name, if there is one.
    pub(super) async fn find(&self) -> Result<Option<ContainerView>, Halt> {
        let mut backoff = crate::backoff::Backoff::default();
        loop {
            match self.host.engine.inspect_named(&self.container_name()).await {
                Ok(view) => return Ok(Some(view)),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                    return Ok(None);
                }
                Err(error) if error.is_transient() => tokio::time::sleep(backoff.wait()).await,
                Err(error) => return Err(refused(Gate::Container, &error)),
            }
        }
    }

    pub(super) fn listen(&self, dirs: &RunDirs, expect: Expect) -> Result<link::Link, Halt> {
        let listening = link::listen(&dirs.io(), self.host.data.owner().gid, expect);
        listening.map_err(|error| refused(Gate::Container, &error))
    }

    /// Opens the spool twice: the shipper reads logs, the attendance reads facts.
    pub(super) fn spool(&self, dirs: &RunDirs, link: &link::Link) -> Result<SpoolReader, Halt> {
        let open = || {
            let reader = SpoolReader::open(&dirs.spool(), 0);
            reader.map_err(|error| refused(Gate::Container, &error))
        };
        self.shipper.spool(open()?, link.handle.clone());
        open()
    }

    /// Does what may have to wait for others, as long as nobody stops the run.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let mut stop = self.stop.clone();
        tokio::select! {
            done = work => Ok(done),
            Ok(reason) = stop.wait_for(Option::is_some) => {
                Err(Halt::Stopped(reason.clone().expect("invariant: it was waited for")))
            }
        }
    }

    pub(super) fn check_stop(&self) -> Result<(), Halt> {
        let reason: Option<StopReason> = self.stop.borrow().clone();
        reason.map_or(Ok(()), |reason| Err(Halt::Stopped(reason)))
    }
}

/// A gate's no, in one sentence with its causes. An engine that is away has not said no.
pub(super) fn refused(gate: Gate, error: &(dyn std::error::Error + 'static)) -> Halt {
    let why = Chain(error).to_string();
    match engine_is_away(error) {
        true => Halt::Away(gate, why),
        false => Halt::Refused(gate, why),
    }
}

fn engine_is_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let engine = causes.find_map(|error| error.downcast_ref::<EngineError>());
    engine.is_some_and(|error| matches!(error.kind(), ErrorKind::Unreachable { .. }))
}
