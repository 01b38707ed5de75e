//! From an opened run to a running container, gate by gate; and back to a container that runs already.
//!
//! image (parse, allowlist, digest) → pull → worker → spec → journal → create and start, the workspace beside it →
//! order. Each gate takes the value that only the gate before makes.

use std::path::PathBuf;
use std::time::Duration;

use gantry_protocol::control::run::{Gate, RunResult};
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::payload::{RunPayload, Stage};
use gantry_protocol::socket::WorkOrder;
use tracing::info;

use super::apply;
use super::attend::Attendance;
use super::class::class;
use super::course::Course;
use super::gates::OpenedRun;
use super::laps::Laps;
use super::order::work_order;
use super::tool_choice::Brought;
use super::worker_binary::Worker;
use super::{Halt, Job, StopReason, ending};
use crate::container::{Accounts, Names, RunMounts, accounts, container_spec, protected_targets};
use crate::engine::{
    ContainerId, ContainerSpec, ContainerStatus, ContainerView, Docker, EngineError, ErrorKind,
};
use crate::image::PulledImage;
use crate::journal::{Progress, SessionRecord, Started};
use crate::link::{self, Expect};
use crate::report::Chain;
use crate::source::{Places, Request};
use crate::workspace::{LaidFile, RunDirs, SpoolReader, lay_files};

/// A pull may take this long.
const PULL: Duration = Duration::from_secs(30 * 60);

/// A container that may be made: all gates passed.
struct Placed {
    spec: ContainerSpec,
    dirs: RunDirs,
    started: Started,
    /// Of an apply: what the restored workspace has to be.
    attestation: Option<WorkspaceAttestation>,
}

impl Job {
    /// A lease that has no container yet. The container starts while its workspace is filled: the worker in it
    /// has no order, so nothing of the run happens before both are there.
    pub(super) async fn begin(&mut self, run: OpenedRun) -> Result<RunResult, Halt> {
        if let Some(left) = self.find().await? {
            // Its worker never got an order: the journal would know a session.
            let removed = self.host.engine.remove(&left.id).await;
            removed.map_err(|error| refused(Gate::Container, &error))?;
        }
        let mut laps = Laps::start();
        let placed = self.place(&run, &mut laps).await?;
        self.check_stop()?;
        self.entry.progress = Progress::Started(placed.started.clone());
        self.host.journal.write(&self.entry)?;
        laps.lap("journal");
        let link = self.listen(&placed.dirs, Expect::Later)?;
        let begun = self.start_and_fill(&run, &placed, &mut laps).await;
        let (container, order) = match begun {
            Ok(begun) => begun,
            Err(halt) => {
                // It waits for an order that will not come; the report of the end may take long.
                ending::remove_container(&self.host, self.entry.lease).await;
                return Err(halt);
            }
        };
        let facts = self.spool(&placed.dirs, &link)?;
        link.handle.assign(order);
        laps.lap("beside");
        laps.log();
        self.attend(&run, container, link, facts, placed.started)
            .await
    }

    async fn start_and_fill(
        &self,
        run: &OpenedRun,
        placed: &Placed,
        laps: &mut Laps,
    ) -> Result<(ContainerId, Box<WorkOrder>), Halt> {
        let launched = launch(&self.host.engine, &placed.spec);
        let filled = timed(self.fill(run, placed));
        let (launched, (filled, fill_time)) = tokio::join!(launched, filled);
        laps.add("workspace", fill_time);
        let order = filled?;
        let launched = launched.map_err(|error| refused(Gate::Container, &error))?;
        laps.add("create", launched.create);
        laps.add("start", launched.start);
        self.check_stop()?;
        Ok((launched.container, order))
    }

    /// The workspace and the order: the last things that can say no.
    async fn fill(&self, run: &OpenedRun, placed: &Placed) -> Result<Box<WorkOrder>, Halt> {
        let order = Box::new(self.order(run, &placed.started)?);
        let attestation = placed.attestation.as_ref();
        self.workspace(run, &placed.dirs, attestation).await?;
        Ok(order)
    }

    /// A lease whose container may exist: one that got its order goes on as if this process had started it.
    pub(super) async fn adopt(
        &mut self,
        run: OpenedRun,
        started: Started,
    ) -> Result<RunResult, Halt> {
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
                Expect::Unsure(Box::new(self.order(&run, &started)?), key)
            }
        };
        let link = self.listen(&dirs, expect)?;
        let facts = self.spool(&dirs, &link)?;
        self.attend(&run, container, link, facts, started).await
    }

    /// From a container that runs (or ran) to the result, whichever process started it.
    async fn attend(
        &mut self,
        run: &OpenedRun,
        container: ContainerId,
        link: link::Link,
        facts: SpoolReader,
        started: Started,
    ) -> Result<RunResult, Halt> {
        let course = Course::new(run.payload().run_type, run.payload().stage);
        let attendance = Attendance::new(self, container.clone(), link, facts, course, started);
        let seen = attendance.until_end().await?;
        self.conclude(run, &container, seen).await
    }

    async fn place(&mut self, run: &OpenedRun, laps: &mut Laps) -> Result<Placed, Halt> {
        let payload = run.payload();
        let attestation = match payload.stage {
            Stage::Start => None,
            Stage::Apply => {
                let key = self.host.pool_key.public();
                let attested = apply::attested(payload, &key);
                Some(attested.map_err(|error| refused(Gate::Workspace, &error))?)
            }
        };
        let image = self.image(run, attestation.as_ref()).await?;
        laps.lap("image");
        self.check_stop()?;
        let worker = self.worker().await?;
        laps.lap("worker");
        let tool = self.tool(payload, attestation.as_ref()).await?;
        laps.lap("tool");
        let dirs = self.dirs()?;
        let mounts = self.mounts(&dirs, &image, &worker, tool.as_ref(), payload)?;
        let networks = &self.host.networks;
        let network = networks.take(&self.names().container()).await;
        let network = network.map_err(|error| refused(Gate::Container, &error))?;
        laps.lap("network");
        let policy = &self.host.policy;
        let spec = container_spec(policy, &mounts, &network, &image, &self.names());
        let started = Started {
            image: image.by_digest(),
            worker: worker.digest,
            tool: tool.map(|(tool, _)| tool.digest),
            session: None,
            grants: Vec::new(),
            began: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        Ok(Placed {
            spec,
            dirs,
            started,
            attestation,
        })
    }

    /// The image gate. An apply runs in exactly the image that planned.
    async fn image(
        &self,
        run: &OpenedRun,
        attestation: Option<&WorkspaceAttestation>,
    ) -> Result<PulledImage, Halt> {
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
        let mut say = |line| narrator.say(line);
        let pulled = images.pull(resolved, PULL, &mut say).await;
        let pulled = pulled.map_err(|error| refused(Gate::Pull, &error))?;
        let volumes = pulled.check_volumes(&protected_targets());
        volumes.map_err(|error| refused(Gate::Pull, &error))?;
        Ok(pulled)
    }

    async fn worker(&self) -> Result<Worker, Halt> {
        let worker = self.host.workers.ready().await;
        let worker = worker.map_err(|error| refused(Gate::Worker, &error))?;
        self.shipper
            .narrator()
            .say(format!("Worker {} ({}).", worker.version, worker.digest));
        Ok(worker)
    }

    /// Fresh directories; those of a start that was cut short are removed first.
    fn dirs(&self) -> Result<RunDirs, Halt> {
        let (data, lease) = (&self.host.data, self.entry.lease);
        let old = data.run(lease.run, lease.attempt);
        if let Some(leftover) = data.remove_run(&old).first() {
            let why = format!(
                "`{}` of an earlier start is in the way: {}",
                leftover.path, leftover.reason
            );
            return Err(Halt::Refused(Gate::Workspace, why));
        }
        let made = data.create_run(lease.run, lease.attempt);
        made.map_err(|error| refused(Gate::Workspace, &error))
    }

    async fn workspace(
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
        self.fetch(run, dirs).await?;
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
        laid.map_err(|error| refused(Gate::Workspace, &error))
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

    fn order(&self, run: &OpenedRun, started: &Started) -> Result<WorkOrder, Halt> {
        let order = work_order(run.payload(), &self.host.order, started.tool.is_some());
        order.map_err(|error| refused(Gate::Workspace, &error))
    }

    fn mounts(
        &self,
        dirs: &RunDirs,
        image: &PulledImage,
        worker: &Worker,
        tool: Option<&Brought>,
        payload: &RunPayload,
    ) -> Result<RunMounts, Halt> {
        let put = |name: &str, content: &[u8]| -> Result<PathBuf, Halt> {
            dirs.put_file(name, content)
                .map_err(|error| refused(Gate::Workspace, &error))
        };
        let accounts = match accounts(image.passwd(), image.group()) {
            Accounts::InImage => None,
            Accounts::Generated { passwd, group } => {
                Some((put("passwd", &passwd)?, put("group", &group)?))
            }
        };
        let class = class(payload.run_type, payload.stage, payload.autodeploy);
        let extra = self.host.mounts.of(class);
        Ok(RunMounts {
            workspace: dirs.workspace(),
            io: dirs.io(),
            spool: dirs.spool(),
            worker: worker.path.clone(),
            tool: tool.map(|(tool, program)| (tool.path.clone(), *program)),
            accounts,
            extra: extra.map_err(|error| refused(Gate::Container, &error))?,
        })
    }

    fn names(&self) -> Names {
        let lease = self.entry.lease;
        Names {
            launcher: self.host.session.launcher(),
            run: lease.run,
            attempt: lease.attempt,
        }
    }

    /// The container under this lease's name, if there is one.
    async fn find(&self) -> Result<Option<ContainerView>, Halt> {
        let mut backoff = crate::backoff::Backoff::default();
        loop {
            match self
                .host
                .engine
                .inspect_named(&self.names().container())
                .await
            {
                Ok(view) => return Ok(Some(view)),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                    return Ok(None);
                }
                Err(error) if error.is_transient() => tokio::time::sleep(backoff.wait()).await,
                Err(error) => return Err(refused(Gate::Container, &error)),
            }
        }
    }

    fn listen(&self, dirs: &RunDirs, expect: Expect) -> Result<link::Link, Halt> {
        let listening = link::listen(&dirs.io(), self.host.data.owner().gid, expect);
        listening.map_err(|error| refused(Gate::Container, &error))
    }

    /// Opens the spool twice: the shipper reads logs, the attendance reads facts.
    fn spool(&self, dirs: &RunDirs, link: &link::Link) -> Result<SpoolReader, Halt> {
        let open = || {
            let reader = SpoolReader::open(&dirs.spool(), 0);
            reader.map_err(|error| refused(Gate::Container, &error))
        };
        self.shipper.spool(open()?, link.handle.clone());
        open()
    }

    fn check_stop(&self) -> Result<(), Halt> {
        let reason: Option<StopReason> = self.stop.borrow().clone();
        reason.map_or(Ok(()), |reason| Err(Halt::Stopped(reason)))
    }
}

/// A container that runs and waits for its order, and how long it took.
struct Launched {
    container: ContainerId,
    create: Duration,
    start: Duration,
}

async fn launch(engine: &Docker, spec: &ContainerSpec) -> Result<Launched, EngineError> {
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

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = tokio::time::Instant::now();
    let done = work.await;
    (done, begun.elapsed())
}

/// A gate's no, in one sentence with its causes.
pub(super) fn refused(gate: Gate, error: &dyn std::error::Error) -> Halt {
    Halt::Refused(gate, Chain(error).to_string())
}
