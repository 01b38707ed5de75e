//! A container for a run that begins: one that waits, or a new one, and its order.
//!
//! Takes a run whose gates are passed. Gives a container that got its order. Never: an order before the workspace is
//! whole, a container before its journal entry, a waiting one for a run that would get another.

use std::time::Duration;

use gantry_protocol::control::run::{Gate, RunResult};
use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::socket::WorkOrder;
use tokio::time::Instant;
use tracing::warn;

use super::gates::OpenedRun;
use super::laps::Laps;
use super::prepare::{Placed, refused};
use super::standby::{self, Recipe, Standby};
use super::vessel::{Launched, account_files, launch, spec, timed};
use super::worker_binary::Worker;
use super::{Halt, Job, ending};
use crate::backoff::Backoff;
use crate::engine::{ContainerId, ContainerSpec, ContainerStatus, EngineError};
use crate::journal::{Progress, Started};
use crate::link::{self, Expect};
use crate::network::NetworkError;
use crate::quiet::Quiet;
use crate::workspace::RunDirs;

/// An engine that is away for longer than this fails the runs that wait for it.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Where a run is to be executed.
pub(super) enum Vessel {
    /// A container that may be made.
    New {
        spec: Box<ContainerSpec>,
        dirs: RunDirs,
    },
    /// One that runs already, and is exactly what would be made.
    Waiting(Box<Standby>),
}

/// A container that has no order yet, and the way to it.
struct Berth {
    dirs: RunDirs,
    link: link::Link,
    /// To be made, or running.
    container: Result<ContainerId, Box<ContainerSpec>>,
}

impl Job {
    /// A lease that has no container yet. An engine that restarts meanwhile is waited for: nothing of the run
    /// has happened before its worker has an order, so all of it can be done again.
    pub(super) async fn begin(&mut self, run: OpenedRun) -> Result<RunResult, Halt> {
        let began = Instant::now();
        let (mut backoff, mut quiet) = (Backoff::default(), Quiet::default());
        loop {
            let why = match self.begin_once(&run).await {
                Err(Halt::Away(gate, why)) if began.elapsed() > PATIENCE || self.has_order() => {
                    return Err(Halt::Refused(gate, why));
                }
                Err(Halt::Away(_, why)) => why,
                ended => return ended,
            };
            self.host.breaker.failed(&why);
            if let Some(unsaid) = quiet.due(&why) {
                warn!(%why, unsaid, "a container can't be had yet; beginning again");
                let narrator = self.shipper.narrator();
                narrator.say(format!(
                    "No container can be had yet, beginning again: {why}"
                ));
            }
            self.unless_stopped(tokio::time::sleep(backoff.wait()))
                .await?;
        }
    }

    /// A start that the engine spoiled counts against it; one that it did not answer to is counted by who
    /// waits for it.
    fn engine_failed(&self, error: &EngineError) -> Halt {
        let halt = refused(Gate::Container, error);
        if let (Halt::Refused(_, why), true) = (&halt, error.is_the_engines_fault()) {
            self.host.breaker.failed(why);
        }
        halt
    }

    fn has_order(&self) -> bool {
        let started = self.entry.progress.started();
        started.is_some_and(|started| started.session.is_some())
    }

    /// The container starts while its workspace is filled: the worker in it has no order, so nothing of the run
    /// happens before both are there.
    async fn begin_once(&mut self, run: &OpenedRun) -> Result<RunResult, Halt> {
        if let Some(left) = self.find().await? {
            // Its worker never got an order: the journal would know a session.
            let removed = self.host.engine.remove(&left.id).await;
            removed.map_err(|error| refused(Gate::Container, &error))?;
        }
        // Also of a try that failed before there was one.
        self.host.networks.release(&self.container_name());
        self.entry.container = None;
        let mut laps = Laps::start();
        let placed = self.place(run, &mut laps).await?;
        let Placed {
            vessel,
            started,
            attestation,
        } = placed;
        let berth = self.promise(vessel, &started, &mut laps).await?;
        let begun = self.start_and_fill(run, &berth, attestation.as_ref(), &mut laps);
        let (container, order) = match begun.await {
            Ok(begun) => begun,
            Err(halt) => {
                // It waits for an order that will not come; the report of the end may take long.
                ending::remove_container(&self.host, &self.entry).await;
                return Err(halt);
            }
        };
        let Berth { dirs, link, .. } = berth;
        let facts = self.spool(&dirs, &link)?;
        link.handle.assign(order);
        laps.lap("beside");
        laps.log(&self.host.metrics, &self.trace);
        self.attend(run, container, link, facts, started).await
    }

    /// Writes down which container will serve this lease, and takes its directories and socket.
    async fn promise(
        &mut self,
        vessel: Vessel,
        started: &Started,
        laps: &mut Laps,
    ) -> Result<Berth, Halt> {
        if let Vessel::Waiting(standby) = &vessel {
            self.entry.container = Some(standby.name.clone());
        }
        self.entry.progress = Progress::Started(started.clone());
        let promised = self.check_stop();
        let promised = promised.and_then(|()| Ok(self.host.journal.write(&self.entry)?));
        laps.lap("journal");
        let standby = match vessel {
            Vessel::New { spec, dirs } => {
                promised?;
                let link = self.listen(&dirs, Expect::Later)?;
                let container = Err(spec);
                return Ok(Berth {
                    dirs,
                    link,
                    container,
                });
            }
            Vessel::Waiting(standby) => standby,
        };
        let lease = self.entry.lease;
        let given = promised.and_then(|()| {
            let given = self.host.data.give(&standby.dirs, lease.run, lease.attempt);
            given.map_err(|error| refused(Gate::Workspace, &error))
        });
        match given {
            Ok(dirs) => Ok(Berth {
                dirs,
                link: standby.link,
                container: Ok(standby.container),
            }),
            Err(halt) => {
                standby::discard(&self.host, *standby).await;
                Err(halt)
            }
        }
    }

    async fn start_and_fill(
        &self,
        run: &OpenedRun,
        berth: &Berth,
        attestation: Option<&WorkspaceAttestation>,
        laps: &mut Laps,
    ) -> Result<(ContainerId, Box<WorkOrder>), Halt> {
        let launched = async {
            match &berth.container {
                Ok(container) => Ok(Launched::before(container.clone())),
                Err(spec) => launch(&self.host.engine, spec).await,
            }
        };
        let filled = timed(self.fill(run, &berth.dirs, attestation));
        let (launched, (filled, fill_time)) = tokio::join!(launched, filled);
        laps.add("workspace", fill_time);
        let order = filled?;
        let launched = launched.map_err(|error| self.engine_failed(&error))?;
        self.host.breaker.worked();
        laps.add("create", launched.create);
        laps.add("start", launched.start);
        self.check_stop()?;
        Ok((launched.container, order))
    }

    /// The workspace and the order: the last things that can say no.
    async fn fill(
        &self,
        run: &OpenedRun,
        dirs: &RunDirs,
        attestation: Option<&WorkspaceAttestation>,
    ) -> Result<Box<WorkOrder>, Halt> {
        let started = self.entry.progress.started();
        let order = Box::new(self.order(run, started.is_some_and(|s| s.tool.is_some()))?);
        self.workspace(run, dirs, attestation).await?;
        Ok(order)
    }

    /// A waiting container that is what this run's would be, or what is needed to make one.
    pub(super) async fn vessel(
        &mut self,
        recipe: &Recipe,
        worker: &Worker,
    ) -> Result<Vessel, Halt> {
        self.clear_directory()?;
        if let Some(standby) = self.take_standby(recipe, worker).await {
            self.shipper
                .narrator()
                .say("A container of this image was waiting for its run.");
            return Ok(Vessel::Waiting(Box::new(standby)));
        }
        let host = &self.host;
        host.standbys.make_room(host).await;
        let lease = self.entry.lease;
        let dirs = host.data.create_run(lease.run, lease.attempt);
        let dirs = dirs.map_err(|error| refused(Gate::Workspace, &error))?;
        let accounts = account_files(&dirs, &recipe.image);
        let accounts = accounts.map_err(|error| refused(Gate::Workspace, &error))?;
        let network = host.networks.take(&self.container_name()).await;
        let network = network.map_err(|error| match error {
            // A container that is on its way out holds one.
            NetworkError::AllHeld { .. } => Halt::Away(Gate::Container, error.to_string()),
            error => refused(Gate::Container, &error),
        })?;
        let name = self.container_name();
        let spec = spec(host, recipe, worker, (&dirs, accounts), &network, &name);
        let spec = spec.map_err(|error| refused(Gate::Container, &error))?;
        let spec = Box::new(spec);
        Ok(Vessel::New { spec, dirs })
    }

    /// One that waits and still runs; also counts this lease's container from here on.
    async fn take_standby(&mut self, recipe: &Recipe, worker: &Worker) -> Option<Standby> {
        let host = self.host.clone();
        let fits = |standby: &Standby| {
            let place = (&standby.dirs, standby.accounts.clone());
            let spec = spec(
                &host,
                recipe,
                worker,
                place,
                &standby.network,
                &standby.name,
            );
            spec.is_ok_and(|spec| spec == standby.spec)
        };
        loop {
            let (ticket, found) = host.standbys.take(fits);
            self.ticket = Some(ticket);
            let standby = found?;
            match host.engine.inspect(&standby.container).await {
                Ok(view) if view.status == ContainerStatus::Running => return Some(standby),
                _ => standby::discard(&host, standby).await,
            }
        }
    }

    /// Directories of a start that was cut short are removed.
    fn clear_directory(&self) -> Result<(), Halt> {
        let (data, lease) = (&self.host.data, self.entry.lease);
        let old = data.run(lease.run, lease.attempt);
        match data.remove_run(&old).first() {
            None => Ok(()),
            Some(leftover) => {
                let (path, reason) = (&leftover.path, &leftover.reason);
                let why = format!("`{path}` of an earlier start is in the way: {reason}");
                Err(Halt::Refused(Gate::Workspace, why))
            }
        }
    }
}
