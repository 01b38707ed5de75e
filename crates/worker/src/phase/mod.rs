//! Executes one phase: hooks before, the tool or the task, hooks after.
//!
//! Takes a [`Work`] (whose grant the planner holds), gives how it ended. Must never happen here: a
//! decision about what follows, a tool started through a shell, an apply of a plan file that is not the
//! one that was planned.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gantry_protocol::payload::Hooks;
use gantry_protocol::socket::{FailureKind, Phase, PhaseExit, PlanSummary};
use gantry_protocol::{Digest, RunState};

use crate::env::Environment;
use crate::fault::Fault;
use crate::hooks::{self, Surroundings};
use crate::planner::{self, Outcome, Work};
use crate::process::capture::Capture;
use crate::process::{Exit, Processes, Role, SpawnError};
use crate::report;
use crate::spool::Spool;
use crate::state::backend;
use crate::tool::providers::{self, Offer, ProviderError, Providers};
use crate::tool::{self, Action, Aim, Origin, Planned, Tool, Verdict};
use crate::trace;
use crate::workspace::Workspace;

mod summary;

/// What the phases of a run share and pass on.
pub struct Room {
    /// Starts everything.
    pub processes: Arc<Processes>,
    /// Takes all output.
    pub spool: Arc<Spool>,
    /// Plans and applies.
    pub tool: &'static dyn Tool,
    /// Where everything lies.
    pub workspace: Workspace,
    /// The worker's own executable.
    pub worker: PathBuf,
    /// The order's hooks.
    pub hooks: Hooks,
    /// The task's command.
    pub command: Option<String>,
    /// What plans are for.
    pub aim: Aim,
    /// Addresses that a plan is limited to; none is all of them.
    pub targets: Vec<String>,
    /// Whether the tool's state is kept through the worker.
    pub managed_state: bool,
    /// Whether each command is written into the log before it runs.
    pub traced: bool,
    /// Exports carry on from phase to phase.
    pub env: Environment,
    /// The plan file's digest as this process made it.
    pub plan: Option<Digest>,
    /// Where the tool comes from.
    pub origin: Origin,
    /// The executable that was found to be the tool.
    pub identified: Option<PathBuf>,
    /// Providers of the host and of the image.
    pub providers: Providers,
    /// Whether the workspace may have to serve another container after this one.
    pub may_park: bool,
}

/// How a phase ended.
pub struct Ended {
    /// For the launcher.
    pub exit: PhaseExit,
    /// For the planner.
    pub outcome: Outcome,
    /// A plan's summary.
    pub summary: Option<PlanSummary>,
}

impl Room {
    /// Executes `work` in the spool's open section.
    pub async fn execute(&mut self, work: &Work) -> Ended {
        let capture = match Capture::start(Arc::clone(&self.spool)) {
            Ok(capture) => capture,
            Err(error) => return self.failed(no_capture(work.phase(), &error)),
        };
        let result = self.inside(work, &capture).await;
        capture.finish(&self.processes).await;
        match result {
            Ok(summary) => Ended {
                exit: PhaseExit::Ok,
                outcome: match &summary {
                    Some(plan) => Outcome::Planned {
                        changes: plan.has_changes,
                    },
                    None => Outcome::Done,
                },
                summary,
            },
            Err(fault) => self.failed(fault),
        }
    }

    /// Runs the `after_run` hooks. Their failure is told in the log and changes nothing.
    pub async fn after_run(&mut self, state: RunState) {
        let commands = std::mem::take(&mut self.hooks.after_run);
        if commands.is_empty() {
            return;
        }
        self.env.set_final_state(state);
        let result = match Capture::start(Arc::clone(&self.spool)) {
            Ok(capture) => {
                let mut directory = self.workspace.project();
                let hooks = self.hook("after_run", &commands, &mut directory, &capture);
                let result = hooks.await;
                capture.finish(&self.processes).await;
                result
            }
            Err(error) => Err(Fault::not_started(
                "after_run",
                FailureKind::Internal,
                error.to_string(),
            )),
        };
        if let Err(Fault {
            line: Some(line), ..
        }) = result
        {
            self.spool.note(&format!("{line}; the run's result stands"));
        }
    }

    fn failed(&self, fault: Fault) -> Ended {
        let fault = match self.workspace.disk_is_full() {
            true => fault.on_full_disk(),
            false => fault,
        };
        if let Some(line) = &fault.line {
            self.spool.note(line);
        }
        Ended {
            exit: fault.exit,
            outcome: Outcome::Failed(fault.failure),
            summary: None,
        }
    }

    async fn inside(
        &mut self,
        work: &Work,
        capture: &Capture,
    ) -> Result<Option<PlanSummary>, Fault> {
        let phase = work.phase();
        let mut directory = self.workspace.project();
        if !directory.is_dir() {
            return Err(no_project(phase, &directory));
        }
        self.env.enter(phase);
        let (before, after) = around(&self.hooks, phase);
        let name = planner::name(phase);
        self.hook(&format!("before_{name}"), &before, &mut directory, capture)
            .await?;
        let summary = match work {
            Work::Init => self.act(Action::Init, &directory, capture).await?,
            Work::Plan => {
                let (file, targets) = (self.workspace.plan_file(), self.targets.clone());
                let plan = Planned {
                    file: &file,
                    aim: self.aim,
                    targets: &targets,
                };
                self.act(Action::Plan(plan), &directory, capture).await?
            }
            // A module's test never planned what it destroys.
            Work::Destroy(_) if self.aim == Aim::Make => {
                self.act(Action::Destroy, &directory, capture).await?
            }
            Work::Apply(_) | Work::Destroy(_) => {
                let file = self.workspace.plan_file();
                self.act(Action::Apply(&file), &directory, capture).await?
            }
            Work::Perform(_) => {
                self.perform(&directory, capture).await?;
                None
            }
        };
        self.hook(&format!("after_{name}"), &after, &mut directory, capture)
            .await?;
        Ok(summary)
    }

    async fn hook(
        &mut self,
        list: &str,
        commands: &[String],
        directory: &mut PathBuf,
        capture: &Capture,
    ) -> Result<(), Fault> {
        let around = Surroundings {
            processes: &self.processes,
            capture,
            worker: &self.worker,
            stoppable: list != "after_run",
            traced: self.traced,
        };
        Ok(hooks::run(list, commands, &mut self.env, directory, &around).await?)
    }

    /// Runs the task's command.
    async fn perform(&self, directory: &Path, capture: &Capture) -> Result<(), Fault> {
        self.offer_providers("task")?;
        let missing = |reason: String| Fault::not_started("task", FailureKind::ToolMissing, reason);
        let shell = hooks::shell(&self.env).ok_or_else(|| missing(hooks::no_shell(&self.env)))?;
        let mut command = tool::command(&shell, &self.env, directory, &[]);
        command
            .arg("-c")
            .arg(self.command.as_deref().unwrap_or_default());
        let text = self.command.as_deref().unwrap_or_default();
        self.trace(capture, || trace::as_written(text));
        match self.run(&mut command, "task", capture).await? {
            Exit::Code(0) => Ok(()),
            exit => Err(Fault::ended("task".to_owned(), exit, None)),
        }
    }

    /// Runs the tool. A plan gives its summary.
    async fn act(
        &mut self,
        action: Action<'_>,
        directory: &Path,
        capture: &Capture,
    ) -> Result<Option<PlanSummary>, Fault> {
        let what = format!("{} {}", self.tool.program(), self.tool.verb(action));
        let file = self.located(&what, directory).await?;
        let workspace = |reason: String| Fault::not_started(&what, FailureKind::Workspace, reason);
        if self.managed_state {
            backend::ensure(directory).map_err(|error| workspace(report::chain(&error)))?;
        }
        match action {
            Action::Init => self.offer_providers(&what)?,
            Action::Destroy => {}
            Action::Plan(_) => self
                .workspace
                .prepare_plan()
                .map_err(|e| workspace(report::chain(&e)))?,
            Action::Apply(plan) => self
                .workspace
                .check_plan(plan, self.plan)
                .await
                .map_err(|e| workspace(report::chain(&e)))?,
        }
        let rescue = self.workspace.rescue(directory, self.tool.rescued_state());
        let mut command = tool::command(&file, &self.env, directory, &[]);
        command.args(self.tool.arguments(action));
        self.trace(capture, || trace::argv(&command));
        let exit = self.run(&mut command, &what, capture).await?;
        let verdict = match exit {
            Exit::Code(code) => self.tool.verdict(action, code),
            Exit::Signal(_) => Verdict::Failed,
        };
        match (action, verdict) {
            (_, Verdict::Failed) => Err(Fault::ended(what, exit, rescue.found())),
            (Action::Plan(plan), verdict) => {
                let changes = verdict == Verdict::Changes;
                let summary = self.summarize(&file, plan.file, directory, changes).await?;
                self.plan = summary.plan;
                Ok(Some(summary))
            }
            (Action::Init, Verdict::Done | Verdict::Changes) => {
                self.settle_providers(&what, directory)?;
                Ok(None)
            }
            (_, Verdict::Done | Verdict::Changes) => Ok(None),
        }
    }

    /// Makes the tool find the providers of the host and of the image.
    fn offer_providers(&self, what: &str) -> Result<(), Fault> {
        match self.providers.offer(&self.env) {
            Ok(Offer::Nothing | Offer::Plugins) => {}
            Ok(Offer::Own(why)) => self.spool.note(&why),
            Ok(Offer::Mirror) => self
                .spool
                .note("providers come from this host's mirror; nothing is downloaded"),
            Err(error) => return Err(provider_fault(what, &error)),
        }
        Ok(())
    }

    /// An apply in another container finds only what is in the workspace.
    fn settle_providers(&self, what: &str, directory: &Path) -> Result<(), Fault> {
        if !self.may_park {
            return Ok(());
        }
        let settled = providers::settle(&self.env, directory, self.workspace.root());
        match settled.map_err(|error| provider_fault(what, &error))? {
            0 => {}
            copied => self.spool.note(&format!(
                "providers copied into the workspace, for the apply: {copied}"
            )),
        }
        Ok(())
    }

    /// The tool's executable, checked once to be what it is called.
    async fn located(&mut self, what: &str, directory: &Path) -> Result<PathBuf, Fault> {
        match tool::find(self.tool, &self.origin, &self.env) {
            Some(found) if self.identified.as_ref() == Some(&found) => return Ok(found),
            _ => {}
        }
        let (tool, origin) = (self.tool, &self.origin);
        let located = tool::locate(tool, origin, &self.env, directory, &self.processes).await;
        let located = located.map_err(|error| {
            Fault::not_started(what, FailureKind::ToolMissing, report::chain(&error))
        })?;
        self.spool.note(&format!(
            "{} v{} from {} ({})",
            tool.title(),
            located.version,
            origin.place(),
            located.file.display()
        ));
        self.identified = Some(located.file.clone());
        Ok(located.file)
    }

    fn trace(&self, capture: &Capture, lines: impl FnOnce() -> String) {
        if self.traced {
            capture.tell(&lines());
        }
    }

    async fn run(
        &self,
        command: &mut Command,
        what: &str,
        capture: &Capture,
    ) -> Result<Exit, Fault> {
        let not_started = |kind, error: &(dyn std::error::Error + 'static)| {
            Fault::not_started(what, kind, report::chain(error))
        };
        let output = capture.stdio();
        let (out, err) = output.map_err(|error| not_started(FailureKind::Internal, &error))?;
        command.stdout(out).stderr(err);
        let running = self.processes.spawn(command, Role::Work(what.to_owned()));
        // The command's copies of the pipe's write end would keep the phase's output open.
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        match running {
            Ok(running) => Ok(running.exit().await),
            Err(SpawnError::Stopped) => Err(Fault::stopped(what)),
            Err(error @ SpawnError::Start { .. }) => Err(not_started(FailureKind::Tool, &error)),
        }
    }
}

/// The hooks before and after a phase.
fn around(hooks: &Hooks, phase: Phase) -> (Vec<String>, Vec<String>) {
    let (before, after) = match phase {
        Phase::Init => (&hooks.before_init, &hooks.after_init),
        Phase::Plan => (&hooks.before_plan, &hooks.after_plan),
        Phase::Apply => (&hooks.before_apply, &hooks.after_apply),
        Phase::Perform => (&hooks.before_perform, &hooks.after_perform),
        Phase::Destroy => (&hooks.before_destroy, &hooks.after_destroy),
    };
    (before.clone(), after.clone())
}

fn provider_fault(what: &str, error: &ProviderError) -> Fault {
    Fault::not_started(what, FailureKind::Workspace, report::chain(error))
}

fn no_capture(phase: Phase, error: &std::io::Error) -> Fault {
    let reason = format!("its output can't be taken: {error}");
    Fault::not_started(planner::name(phase), FailureKind::Internal, reason)
}

fn no_project(phase: Phase, directory: &Path) -> Fault {
    let reason = format!(
        "the project root `{}` does not exist in the checkout; correct the stack's project root",
        directory.display()
    );
    Fault::not_started(planner::name(phase), FailureKind::Workspace, reason)
}
