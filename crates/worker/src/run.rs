//! One run, from connecting to the launcher to the last fact.
//!
//! Takes the container's paths, gives the run's end. Executes what the planner decides and nothing else.
//! Must never happen here: a phase without its `Entered` on record, anything after `Finished`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::run::RunType;
use gantry_protocol::socket::{
    Fact, FailureKind, Phase, PhaseExit, SOCKET_NAME, StopKind, WorkOrder, WorkerEnd,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::Paths;
use crate::env::Environment;
use crate::facts::{FactError, Facts};
use crate::link::{Bell, Link, Said};
use crate::phase::Room;
use crate::planner::{self, Answer, Event, Planner, Step, Work};
use crate::process::{Cause, Processes, Stop};
use crate::report;
use crate::spool::Spool;
use crate::state::Listener;
use crate::tool::providers::Providers;
use crate::tool::{self, Aim, Origin};
use crate::workspace::Workspace;

/// How long the launcher may take to give the order.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the end waits for state writes that the launcher has not answered.
const SETTLING: Duration = Duration::from_secs(30);

/// Why the worker could not even record how it ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Signals or children can't be watched.
    #[error("could not install the worker's signal handlers")]
    Signals(#[source] std::io::Error),
    /// The executable does not know its own path.
    #[error("could not find the worker's own executable")]
    Worker(#[source] std::io::Error),
    /// The spool does not take facts.
    #[error(transparent)]
    Facts(#[from] FactError),
}

/// Runs until the end, which is recorded when this returns.
///
/// # Errors
/// [`RunError`] when the end could not be recorded.
pub async fn run(paths: Paths) -> Result<WorkerEnd, RunError> {
    let processes = Processes::start().map_err(RunError::Signals)?;
    stop_on_signals(&processes)?;
    let mut facts = Facts::open(&paths.spool)?;
    let worker = std::env::current_exe().map_err(RunError::Worker)?;
    let bell = Arc::<Bell>::default();
    let (link, mut heard) = Link::start(paths.io.join(SOCKET_NAME), Arc::clone(&bell));
    let end = match order(&link, &mut heard, &processes).await {
        Ok(order) => {
            let spool = Spool::new(&paths.spool, order.spool_budget, Arc::clone(&bell));
            let spool = Arc::new(spool);
            tokio::spawn(listen(heard, Arc::clone(&spool), Arc::clone(&processes)));
            match furnish(&order, &paths, worker, &processes, &spool, &link).await {
                Ok(room) => {
                    let open = None;
                    let mut run = Run {
                        room,
                        link: link.clone(),
                        facts: &mut facts,
                        bell: &bell,
                        section: 0,
                        open,
                    };
                    run.drive(&order).await?
                }
                Err(end) => end,
            }
        }
        Err(end) => end,
    };
    processes.kill_strays();
    link.settle(SETTLING).await;
    facts.record(Fact::Finished(end.clone()))?;
    bell.ring();
    link.settle(Duration::ZERO).await;
    Ok(end)
}

/// The container runtime stops with a signal: it counts as a stop like the launcher's.
fn stop_on_signals(processes: &Arc<Processes>) -> Result<(), RunError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(RunError::Signals)?;
        let processes = Arc::clone(processes);
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                processes.interrupt(Cause::Container);
            }
        });
    }
    Ok(())
}

/// Waits for the order, or gives the end that comes instead.
async fn order(
    link: &Link,
    heard: &mut mpsc::UnboundedReceiver<Said>,
    processes: &Processes,
) -> Result<WorkOrder, WorkerEnd> {
    let ordered = async {
        loop {
            match heard.recv().await {
                Some(Said::Order(order)) => return Some(*order),
                Some(Said::Stop(kind)) => stop(processes, kind),
                Some(Said::Stored { .. }) => {}
                None => return None,
            }
        }
    };
    tokio::select! {
        biased;
        stop = processes.stopped() => Err(stopped(&stop)),
        order = ordered => order.ok_or_else(|| no_order(link)),
        () = out_of_patience(link) => Err(no_order(link)),
    }
}

/// Ends when no launcher has been there for long; one that says to wait is waited for.
async fn out_of_patience(link: &Link) {
    loop {
        tokio::time::sleep(PATIENCE).await;
        if !link.waits() {
            return;
        }
    }
}

fn stopped(stop: &Stop) -> WorkerEnd {
    let message = stop.note(None).map(|note| note.0).unwrap_or_default();
    WorkerEnd::Stopped { message }
}

fn no_order(link: &Link) -> WorkerEnd {
    let seconds = PATIENCE.as_secs();
    let why = link
        .last_error()
        .map(|error| format!(": {error}"))
        .unwrap_or_default();
    internal(format!(
        "the launcher gave no order within {seconds} seconds{why}"
    ))
}

fn internal(message: String) -> WorkerEnd {
    let kind = FailureKind::Internal;
    WorkerEnd::Failed { kind, message }
}

/// Hears what the launcher says by itself, as long as the run lasts.
async fn listen(
    mut heard: mpsc::UnboundedReceiver<Said>,
    spool: Arc<Spool>,
    processes: Arc<Processes>,
) {
    while let Some(said) = heard.recv().await {
        match said {
            Said::Stored { section, offset } => spool.acknowledge(section, offset),
            Said::Stop(kind) => stop(&processes, kind),
            // The link gives it once, and that was before.
            Said::Order(_) => {}
        }
    }
}

fn stop(processes: &Processes, kind: StopKind) {
    match kind {
        StopKind::Interrupt => processes.interrupt(Cause::Launcher),
        StopKind::Kill => processes.kill(),
    }
}

/// Everything that the phases need, or the end that comes instead.
async fn furnish(
    order: &WorkOrder,
    paths: &Paths,
    worker: PathBuf,
    processes: &Arc<Processes>,
    spool: &Arc<Spool>,
    link: &Link,
) -> Result<Room, WorkerEnd> {
    let tool = tool::of(order.tool);
    let workspace = Workspace::new(&paths.workspace, &order.project_root);
    let workspace = workspace.map_err(|error| WorkerEnd::Failed {
        kind: FailureKind::Workspace,
        message: report::chain(&error),
    })?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the image's own variables are the base of the run's"
    )]
    let image = std::env::vars_os();
    let env = Environment::new(image, tool.defaults(), &order.environment)
        .and_then(|env| env.hand_over(&order.handed, &order.environment));
    let mut env = env.map_err(|error| internal(report::chain(&error)))?;
    let origin = Origin::new(&order.tool_from, &paths.tool, tool.program());
    if let Origin::Host { .. } = &origin {
        // Hooks that call the tool by its name get the same one.
        env.put_first_in_path(&paths.tool);
    }
    if order.managed_state {
        let listener = Listener::start(link.clone()).await;
        let listener = listener.map_err(|error| internal(report::chain(&error)))?;
        listener.configure(&mut env);
    }
    Ok(Room {
        processes: Arc::clone(processes),
        spool: Arc::clone(spool),
        tool,
        workspace,
        worker,
        hooks: order.hooks.clone(),
        command: order.command.clone(),
        managed_state: order.managed_state,
        traced: order.trace_commands,
        env,
        plan: None,
        origin,
        identified: None,
        providers: Providers::new(&paths.providers, &paths.plugins),
        aim: match order.run_type {
            RunType::Destroy => Aim::Destroy,
            RunType::Proposed | RunType::Tracked | RunType::Task | RunType::Testing => Aim::Make,
        },
        targets: order.targets.clone(),
        may_park: matches!(order.run_type, RunType::Tracked | RunType::Destroy),
    })
}

/// A run in progress.
struct Run<'a> {
    room: Room,
    link: Link,
    facts: &'a mut Facts,
    bell: &'a Bell,
    /// Number of the newest section.
    section: u32,
    /// How the phase of the newest section ended, while the section is still open. It stays open until
    /// the next phase begins, because `after_run` prints into the last one.
    open: Option<PhaseExit>,
}

impl Run<'_> {
    async fn drive(&mut self, order: &WorkOrder) -> Result<WorkerEnd, FactError> {
        let (mut planner, mut step) = Planner::start(order);
        let end = loop {
            let event = match step {
                Step::Run(work) => self.execute(&work).await?,
                Step::Ask(phase) => self.ask(phase).await,
                Step::End(end) => break end,
            };
            step = planner.next(event);
        };
        let killed = matches!(self.room.processes.stop(), Stop::Killed { .. });
        if let Some(state) = planner::final_state(&end)
            && self.open.is_some()
            && !killed
        {
            self.room.after_run(state).await;
        }
        self.close()?;
        Ok(end)
    }

    async fn execute(&mut self, work: &Work) -> Result<Event, FactError> {
        self.close()?;
        self.section += 1;
        let (section, phase) = (self.section, work.phase());
        self.record(Fact::Entered { section, phase })?;
        self.room.spool.begin(section);
        let ended = self.room.execute(work).await;
        self.open = Some(ended.exit);
        if let Some(summary) = ended.summary {
            self.record(Fact::Planned(summary))?;
        }
        let note = self.room.processes.stop().note(Some(phase));
        Ok(Event::Left(ended.outcome, note))
    }

    async fn ask(&self, phase: Phase) -> Event {
        let processes = &self.room.processes;
        let answer = tokio::select! {
            biased;
            stop = processes.stopped() => {
                self.link.withdraw();
                let note = stop.note(Some(phase));
                return Event::Stopped(note.expect("invariant: a requested stop has a note"));
            }
            answer = self.link.ask(phase) => answer,
        };
        if let (Answer::Deny(reason), Some(_)) = (&answer, &self.open) {
            self.room.spool.note(&planner::denial(phase, reason));
        }
        Event::Answered(answer)
    }

    /// Ends the newest section, if it is still open.
    fn close(&mut self) -> Result<(), FactError> {
        let Some(exit) = self.open.take() else {
            return Ok(());
        };
        let end = self.room.spool.finish();
        let section = self.section;
        self.record(Fact::Left { section, end, exit })
    }

    fn record(&mut self, fact: Fact) -> Result<(), FactError> {
        self.facts.record(fact)?;
        self.bell.ring();
        Ok(())
    }
}
