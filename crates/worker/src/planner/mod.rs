//! Decides what comes next in a run.
//!
//! Takes the work order and what happened, gives the next [`Step`]. Pure: no I/O, no clock. Must never
//! happen here: a [`Work`] that changes the world without an answered [`Step::Ask`] for exactly that
//! phase. [`Granted`] has no constructor outside this file, so such a value cannot be made elsewhere.

use gantry_protocol::payload::Stage;
use gantry_protocol::socket::{FailureKind, Phase, WorkOrder, WorkerEnd};
use gantry_protocol::{RunState, RunType};

#[cfg(test)]
mod tests;

/// Proof that the launcher granted a phase.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted(());

/// A phase that may be executed now.
#[derive(Debug, PartialEq, Eq)]
pub enum Work {
    /// The tool's init.
    Init,
    /// The tool's plan.
    Plan,
    /// The apply of the saved plan.
    Apply(Granted),
    /// The task's command.
    Perform(Granted),
    /// The tool's destroy.
    Destroy(Granted),
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Execute this phase, then report [`Event::Left`].
    Run(Work),
    /// Ask the launcher for this phase, then report [`Event::Answered`] or [`Event::Stopped`].
    Ask(Phase),
    /// Nothing more; this is the run's end.
    End(WorkerEnd),
}

/// Why a phase failed, as the run's result says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind of thing failed.
    pub kind: FailureKind,
    /// One sentence that names the thing and what to do.
    pub message: String,
}

/// How a phase ended, as far as the next step depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it had to; a plan reports [`Outcome::Planned`] instead.
    Done,
    /// A plan was made.
    Planned {
        /// Whether it would change anything.
        changes: bool,
    },
    /// It failed.
    Failed(Failure),
}

/// The launcher's answer to an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Begin.
    Grant,
    /// Wait for a person.
    Park,
    /// Do not begin, for this reason.
    Deny(String),
}

/// A requested stop, in words: what was interrupted and what may be left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopNote(pub String);

/// What happened since the last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The phase of [`Step::Run`] ended; with a note if a stop was requested meanwhile.
    Left(Outcome, Option<StopNote>),
    /// [`Step::Ask`] was answered.
    Answered(Answer),
    /// A stop was requested while asking.
    Stopped(StopNote),
}

/// Where a run stands between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Running(Phase),
    Asking(Phase),
    Ended,
}

/// The decisions of one run. Feed every step's event back through [`Planner::next`].
#[derive(Debug)]
pub struct Planner {
    run_type: RunType,
    autodeploy: bool,
    at: At,
    /// Testing only: the apply's failure, kept while the destroy runs.
    failed: Option<Failure>,
}

impl Planner {
    /// The planner of `order` and its first step.
    pub fn start(order: &WorkOrder) -> (Self, Step) {
        let mut planner = Self {
            run_type: order.run_type,
            // A plan of chosen addresses is looked at by a person, whatever else holds.
            autodeploy: order.autodeploy && order.stage == Stage::Start,
            at: At::Ended,
            failed: None,
        };
        if order.run_type == RunType::Task && order.command.is_none() {
            let end = internal("the work order of a task has no command");
            return (planner, Step::End(end));
        }
        let step = planner.first(order);
        (planner, step)
    }

    /// The step that follows `event`. An event that does not belong to the last step ends the run.
    pub fn next(&mut self, event: Event) -> Step {
        match (self.at, event) {
            (At::Running(phase), Event::Left(outcome, None)) => self.left(phase, outcome),
            (At::Running(phase), Event::Left(outcome, Some(note))) => {
                self.left_stopped(phase, outcome, note)
            }
            (At::Asking(phase), Event::Answered(answer)) => self.answered(phase, answer),
            (At::Asking(_), Event::Stopped(StopNote(message))) => {
                self.end(WorkerEnd::Stopped { message })
            }
            (at, event) => self.end(internal(&format!("{event:?} does not follow {at:?}"))),
        }
    }

    fn first(&mut self, order: &WorkOrder) -> Step {
        match (order.stage, order.run_type) {
            (Stage::Start, RunType::Task) if order.skip_init => self.ask(Phase::Perform),
            (Stage::Start, _) => self.run(Work::Init),
            (Stage::Apply, RunType::Tracked | RunType::Testing) => self.ask(Phase::Apply),
            (Stage::Apply, RunType::Task) => self.ask(Phase::Perform),
            (Stage::Apply, RunType::Destroy) => self.ask(Phase::Destroy),
            (Stage::Apply, RunType::Proposed) => {
                self.end(internal("a proposed run has no apply stage"))
            }
            (Stage::Replan, RunType::Tracked | RunType::Destroy) => self.run(Work::Plan),
            (Stage::Replan, RunType::Proposed | RunType::Task | RunType::Testing) => {
                self.end(internal("only tracked and destroy runs are planned again"))
            }
        }
    }

    fn left(&mut self, phase: Phase, outcome: Outcome) -> Step {
        match (phase, outcome) {
            (Phase::Apply, Outcome::Failed(failure)) if self.run_type == RunType::Testing => {
                self.failed = Some(failure);
                self.ask(Phase::Destroy)
            }
            (_, Outcome::Failed(failure)) => self.fail(failure),
            (Phase::Plan, Outcome::Planned { changes }) => self.planned(changes),
            (Phase::Plan, Outcome::Done) => self.end(internal("a plan ended without a summary")),
            (_, Outcome::Planned { .. }) => self.end(internal("only a plan has a summary")),
            (Phase::Init, Outcome::Done) => self.initialized(),
            (Phase::Apply, Outcome::Done) if self.run_type == RunType::Testing => {
                self.ask(Phase::Destroy)
            }
            (Phase::Apply | Phase::Perform | Phase::Destroy, Outcome::Done) => self.succeed(),
        }
    }

    /// A stop was requested while the phase ran. An end that is reached anyway stands; nothing new begins.
    fn left_stopped(&mut self, phase: Phase, outcome: Outcome, note: StopNote) -> Step {
        let stopped = WorkerEnd::Stopped { message: note.0 };
        if matches!(outcome, Outcome::Failed(_)) {
            return self.end(stopped);
        }
        match self.left(phase, outcome) {
            Step::End(end @ (WorkerEnd::Succeeded | WorkerEnd::Failed { .. })) => self.end(end),
            Step::End(WorkerEnd::Parked | WorkerEnd::Stopped { .. })
            | Step::Run(_)
            | Step::Ask(_) => self.end(stopped),
        }
    }

    fn initialized(&mut self) -> Step {
        match self.run_type {
            RunType::Proposed | RunType::Tracked | RunType::Testing | RunType::Destroy => {
                self.run(Work::Plan)
            }
            RunType::Task => self.ask(Phase::Perform),
        }
    }

    fn planned(&mut self, changes: bool) -> Step {
        match self.run_type {
            RunType::Tracked if changes && self.autodeploy => self.ask(Phase::Apply),
            RunType::Destroy if changes && self.autodeploy => self.ask(Phase::Destroy),
            RunType::Tracked | RunType::Destroy if changes => self.end(WorkerEnd::Parked),
            RunType::Testing => self.ask(Phase::Apply),
            RunType::Tracked | RunType::Proposed | RunType::Destroy => self.succeed(),
            RunType::Task => self.end(internal("a task makes no plan")),
        }
    }

    fn answered(&mut self, phase: Phase, answer: Answer) -> Step {
        match answer {
            Answer::Grant => match phase {
                Phase::Apply => self.run(Work::Apply(Granted(()))),
                Phase::Perform => self.run(Work::Perform(Granted(()))),
                Phase::Destroy => self.run(Work::Destroy(Granted(()))),
                Phase::Init | Phase::Plan => self.end(internal("this phase needs no grant")),
            },
            // A test's second half can't be resumed: a new container would apply again.
            Answer::Park if self.run_type == RunType::Testing && phase == Phase::Destroy => self
                .denied(
                    phase,
                    "a test's destroy can't wait; what it created still exists",
                ),
            Answer::Park => self.end(WorkerEnd::Parked),
            Answer::Deny(reason) => self.denied(phase, &reason),
        }
    }

    fn denied(&mut self, phase: Phase, reason: &str) -> Step {
        let denied = denial(phase, reason);
        let message = match self.failed.take() {
            Some(before) => format!("{}; then {denied}", before.message),
            None => denied,
        };
        self.fail(Failure {
            kind: FailureKind::Denied,
            message,
        })
    }

    /// Everything was done; a failure that was kept while the destroy ran comes out now.
    fn succeed(&mut self) -> Step {
        match self.failed.take() {
            Some(failure) => self.fail(failure),
            None => self.end(WorkerEnd::Succeeded),
        }
    }

    fn fail(&mut self, failure: Failure) -> Step {
        let Failure { kind, message } = failure;
        let message = match self.failed.take() {
            Some(before) => format!("{}; then {message}", before.message),
            None => message,
        };
        self.end(WorkerEnd::Failed { kind, message })
    }

    fn run(&mut self, work: Work) -> Step {
        self.at = At::Running(work.phase());
        Step::Run(work)
    }

    fn ask(&mut self, phase: Phase) -> Step {
        self.at = At::Asking(phase);
        Step::Ask(phase)
    }

    fn end(&mut self, end: WorkerEnd) -> Step {
        self.at = At::Ended;
        Step::End(end)
    }
}

impl Work {
    /// The phase that it executes.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Init => Phase::Init,
            Self::Plan => Phase::Plan,
            Self::Apply(_) => Phase::Apply,
            Self::Perform(_) => Phase::Perform,
            Self::Destroy(_) => Phase::Destroy,
        }
    }
}

/// The sentence about a denied phase, for the result and the log.
pub fn denial(phase: Phase, reason: &str) -> String {
    format!("{} was denied: {reason}", name(phase))
}

/// A phase's name in sentences and in hook names.
pub fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Init => "init",
        Phase::Plan => "plan",
        Phase::Apply => "apply",
        Phase::Perform => "perform",
        Phase::Destroy => "destroy",
    }
}

/// The run state that `after_run` is told; `None` when the run has not ended but waits.
pub fn final_state(end: &WorkerEnd) -> Option<RunState> {
    match end {
        WorkerEnd::Succeeded => Some(RunState::Finished),
        WorkerEnd::Parked => None,
        WorkerEnd::Failed { .. } => Some(RunState::Failed),
        WorkerEnd::Stopped { .. } => Some(RunState::Stopped),
    }
}

fn internal(message: &str) -> WorkerEnd {
    WorkerEnd::Failed {
        kind: FailureKind::Internal,
        message: format!("the worker's planner stopped: {message}"),
    }
}
