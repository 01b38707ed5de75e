//! A container that runs: facts, questions, stop requests, and its end.
//!
//! `select!` only collects; each event is handled by a synchronous function, so that nothing is cancelled
//! half-way.

mod granting;
mod stopping;

use std::collections::HashSet;
use std::time::Duration;

use gantry_policy::Verdict;
use gantry_protocol::control::run::Gate;
use gantry_protocol::socket::{StateOp, WorkerEnd};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::course::{Course, Question, Step};
use super::disk::{DiskLimits, DiskWatch};
use super::gates::OpenedRun;
use super::outcome::EndedByUs;
use super::plan::PlanAt;
use super::reporter::{Reported, Reporter};
use super::states::{Carried, carry};
use super::timer::Timer;
use super::{Halt, Job};
use crate::engine::{ContainerId, ContainerStatus, Docker, EngineError, Exit};
use crate::journal::{Progress, SessionRecord, Started};
use crate::link::{Event, Link};
use crate::policy::Planned;
use crate::quiet::Quiet;
use crate::report::Chain;
use crate::session::CallError;
use crate::workspace::SpoolReader;

/// Facts are looked for at least this often, should a bell be lost.
const TICK: Duration = Duration::from_millis(500);

/// How a container's time here ended.
pub(super) struct Attended {
    pub(super) course: Course,
    pub(super) exit: Exit,
    pub(super) started: Started,
    pub(super) ended_by_us: Option<EndedByUs>,
    /// What the plan changes, where there is one.
    pub(super) planned: Option<Planned>,
}

/// Both ends of a queue that this task fills through others.
type Channel<T> = (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>);

pub(super) struct Attendance<'a> {
    job: &'a mut Job,
    run: &'a OpenedRun,
    container: ContainerId,
    link: Link,
    facts: SpoolReader,
    course: Course,
    started: Started,
    reporter: Reporter,
    planned: watch::Receiver<Option<Planned>>,
    timer: Timer,
    disk: DiskWatch,
    states: HashSet<u64>,
    carried: Channel<(u64, Carried)>,
    verdicts: Channel<(Question, Verdict)>,
    kill_at: Option<Instant>,
    ended_by_us: Option<EndedByUs>,
    lost: Option<CallError>,
}

impl<'a> Attendance<'a> {
    pub(super) fn new(
        (job, run): (&'a mut Job, &'a OpenedRun),
        container: ContainerId,
        link: Link,
        facts: SpoolReader,
        course: Course,
        started: Started,
    ) -> Self {
        let timer = Timer::new(job.host.times, Instant::now(), started.age());
        let limits = DiskLimits {
            disk: job.host.disk,
            log: job.host.order.spool_budget,
        };
        let lease = job.entry.lease;
        let dirs = job.host.data.run(lease.run, lease.attempt);
        let (tell, planned) = watch::channel(None);
        let plan = PlanAt {
            spool: dirs.spool(),
            mask: job.mask.clone(),
            narrator: job.shipper.narrator(),
            tell,
        };
        let reporter = Reporter::start(job.host.session.clone(), lease, plan);
        let engine = job.host.engine.clone();
        let disk = DiskWatch::start(engine, container.clone(), &dirs, limits);
        Self {
            job,
            run,
            container,
            link,
            facts,
            course,
            started,
            reporter,
            planned,
            timer,
            disk,
            states: HashSet::new(),
            carried: mpsc::unbounded_channel(),
            verdicts: mpsc::unbounded_channel(),
            kill_at: None,
            ended_by_us: None,
            lost: None,
        }
    }

    /// Attends the container until it has ended and every fact of it is told.
    pub(super) async fn until_end(mut self) -> Result<Attended, Halt> {
        self.repeat_grants();
        let exit = self.until_exit().await?;
        self.read_facts()?;
        self.settle_reports().await?;
        if let Some(section) = self.course.unfinished() {
            self.job.shipper.close(section, None);
        }
        if let Some(lost) = self.lost.take().filter(|_| !self.started.has_any_grant()) {
            return Err(Halt::Lost(lost));
        }
        if self.stopped_without_an_order() {
            let why = "its container was stopped from outside before it had its order";
            return Err(Halt::Away(Gate::Container, why.to_owned()));
        }
        let Self {
            course,
            started,
            ended_by_us,
            planned,
            ..
        } = self;
        let planned = planned.borrow().clone();
        Ok(Attended {
            course,
            exit,
            started,
            ended_by_us,
            planned,
        })
    }

    /// An engine that restarts may stop a container that it has only just started. No session, no order: nothing
    /// of the run has happened in it.
    fn stopped_without_an_order(&self) -> bool {
        let stopped = matches!(self.course.end(), Some(WorkerEnd::Stopped { .. }));
        stopped && self.ended_by_us.is_none() && self.started.session.is_none()
    }

    async fn until_exit(&mut self) -> Result<Exit, Halt> {
        let engine = self.job.host.engine.clone();
        let container = self.container.clone();
        let mut exit = std::pin::pin!(wait(&engine, &container));
        let mut tick = tokio::time::interval(TICK);
        loop {
            let kill_at = self.kill_at;
            let kill = async move {
                match kill_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                exit = &mut exit => return Ok(exit),
                Some(event) = self.link.events.recv() => self.on_event(event)?,
                Some(report) = self.reporter.reports.recv() => self.on_report(report)?,
                Some((id, carried)) = self.carried.1.recv() => self.on_carried(id, carried),
                Some((question, verdict)) = self.verdicts.1.recv() => {
                    self.on_verdict(question, verdict)?;
                }
                Some(over) = self.disk.over.recv() => self.on_disk(over),
                Ok(()) = self.job.stop.changed() => self.on_stop(),
                () = kill => self.kill().await,
                _ = tick.tick() => {
                    self.read_facts()?;
                    self.check_time();
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Halt> {
        match event {
            Event::Connected { session, go } => {
                self.started.session = Some(SessionRecord {
                    key: session,
                    given: false,
                });
                self.journal()?;
                // A connection that broke meanwhile is followed by another.
                let _ = go.send(());
                Ok(())
            }
            // Attended containers have their order.
            Event::Waiting => Ok(()),
            Event::Given => match &mut self.started.session {
                Some(record) if !record.given => {
                    record.given = true;
                    self.journal()
                }
                _ => Ok(()),
            },
            Event::Bell => {
                self.timer.heard(Instant::now());
                self.job.shipper.bell();
                self.read_facts()
            }
            Event::Ask { phase } => {
                // What happened before the question stands in the spool.
                self.read_facts()?;
                self.ask(phase)
            }
            Event::State { id, op, body } => {
                self.carry(id, op, body);
                Ok(())
            }
        }
    }

    fn read_facts(&mut self) -> Result<(), Halt> {
        loop {
            let facts = match self.facts.facts() {
                Ok(facts) if facts.is_empty() => return Ok(()),
                Ok(facts) => facts,
                Err(error) => {
                    self.distrust(&Chain(&error).to_string());
                    return Ok(());
                }
            };
            for fact in facts {
                debug!(?fact, "fact");
                match self.course.on_fact(fact) {
                    Ok(step) => self.take(step),
                    Err(violation) => self.distrust(&violation.to_string()),
                }
            }
        }
    }

    fn take(&mut self, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Close { section, end }) => self.job.shipper.close(section, Some(end)),
            Some(Step::Open { section }) => self.job.shipper.open(section),
            Some(step @ (Step::Enter { .. } | Step::Planned | Step::Grant(_))) => {
                self.reporter.report(step);
            }
        }
    }

    fn on_report(&mut self, report: Reported) -> Result<(), Halt> {
        match report {
            Reported::Known { section } => self.job.shipper.open(section),
            Reported::Answer {
                section,
                phase,
                answer,
            } => self.answer(section, phase, answer)?,
            Reported::Refused(error) => self.refused(error),
        }
        Ok(())
    }

    fn journal(&mut self) -> Result<(), Halt> {
        self.job.entry.progress = Progress::Started(self.started.clone());
        Ok(self.job.host.journal.write(&self.job.entry)?)
    }

    /// Carries a managed-state request to the server; writing needs a grant, here and there.
    fn carry(&mut self, id: u64, op: StateOp, body: Vec<u8>) {
        if matches!(op, StateOp::Write { .. }) && !self.started.has_any_grant() {
            warn!("the tool tries to write state without a grant; refused");
            let why = b"writing state needs an apply, task or destroy that was granted".to_vec();
            self.link.handle.answer_state(id, 403, why);
            return;
        }
        if !self.states.insert(id) {
            return;
        }
        let (session, lease) = (self.job.host.session.clone(), self.job.entry.lease);
        let (handle, done) = (self.link.handle.clone(), self.carried.0.clone());
        let guard = self.job.state_guard(self.run);
        tokio::spawn(async move {
            let asked = (id, &op, body);
            let carried = carry(&session, lease, &handle, guard.as_ref(), asked).await;
            // Nobody receives when the container has ended: then nobody waits for the answer either.
            let _ = done.send((id, carried));
        });
    }

    fn on_carried(&mut self, id: u64, carried: Carried) {
        self.states.remove(&id);
        // Any other refusal is the tool's to hear (it has), and no reason to cut an apply.
        if let Carried::Refused(error) = carried
            && error.is_lost_lease()
        {
            self.lose(error);
        }
    }

    /// Phases that the worker entered are told to the server before its end is.
    async fn settle_reports(&mut self) -> Result<(), Halt> {
        self.reporter.finish();
        while let Some(report) = self.reporter.reports.recv().await {
            self.on_report(report)?;
        }
        Ok(())
    }
}

/// Waits for a container's end across restarts of the engine.
async fn wait(engine: &Docker, container: &ContainerId) -> Exit {
    let (mut backoff, mut quiet) = (crate::backoff::Backoff::default(), Quiet::default());
    loop {
        let error: EngineError = match engine.wait(container).await {
            Ok(exit) => return exit,
            Err(error) => error,
        };
        if let Ok(view) = engine.inspect(container).await
            && let ContainerStatus::Exited(exit) = view.status
        {
            return exit;
        }
        if !error.is_transient() {
            let gone = Some(Chain(&error).to_string());
            return Exit {
                code: -1,
                oom_killed: false,
                error: gone,
                finished_at: String::new(),
            };
        }
        let error = Chain(&error).to_string();
        if let Some(unsaid) = quiet.due(&error) {
            warn!(%error, unsaid, "waiting for the container; trying again");
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}
