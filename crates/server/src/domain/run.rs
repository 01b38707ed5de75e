//! A run as the state machine sees it: where it stands, which attempt, and what was asked for.
//!
//! Takes a row's facts, gives the same facts after a step. Never: names, texts, times or settings that
//! no decision depends on; those stay in the store's record.

use gantry_protocol::{Attempt, RunId, RunState, RunType, StackId};

/// Number of a run's state in its history; the first state (`QUEUED`) is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateVersion(pub u32);

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which one.
    pub id: RunId,
    /// Its stack.
    pub stack: StackId,
    /// What it is for.
    pub run_type: RunType,
    /// Where it stands.
    pub state: RunState,
    /// How many states it has entered.
    pub version: StateVersion,
    /// The newest attempt number issued; 0 before the first lease.
    pub attempt: Attempt,
    /// Whether a launcher has it.
    pub contact: Contact,
    /// Who decides about a plan with changes.
    pub approval: Approval,
    /// Task only: whether the tool's init comes before the command.
    pub task_init: TaskInit,
    /// Whether a person asked the launcher to stop.
    pub stop: Stop,
    /// What its newest plan is limited to.
    pub scope: Scope,
}

/// What a plan is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nothing: it is of everything.
    Whole,
    /// Addresses that a person chose; a person decides about it, whatever else holds.
    Targeted,
}

/// Why a run exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody or something asked for it.
    #[default]
    Asked,
    /// To see whether the world still is as it was left; the least urgent of all.
    Drift,
}

/// Whether a person moved a run ahead in its pool's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Urgency {
    /// Nobody did.
    #[default]
    Normal,
    /// Somebody did.
    Prioritised,
}

/// Whether a launcher has the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contact {
    /// No lease.
    NotLeased,
    /// Leased, and heard of in time.
    Live,
    /// Leased and granted, but silent: its late result still counts.
    Lost,
}

/// Who decides about a plan with changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Approval {
    /// A person confirms.
    Person,
    /// Autodeploy: the launcher may ask for the grant at once.
    Automatic,
}

/// Whether a task's command runs after the tool's init.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskInit {
    /// It does.
    Run,
    /// The init is left out.
    Skip,
}

/// Whether an approval policy keeps a run in `QUEUED`, whatever the stack's lock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// None does.
    Open,
    /// The policies have not approved yet.
    Closed,
}

/// Whether a person asked for a stop that the launcher has not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Nobody did.
    NotAsked,
    /// Somebody did: from here on no grant is given.
    Asked,
}

/// What an event did to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The run afterwards.
    pub run: Run,
    /// What changed.
    pub step: Step,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It entered another state, which makes a line in its history.
    Entered(RunState),
    /// It stays in its state; the launcher has to be told to stop.
    StopAsked,
    /// It stays in its state; nobody knows how far it is.
    ContactLost,
    /// It stays in its state; its launcher is back.
    ContactRestored,
}

impl Run {
    /// A run that was just made.
    pub fn queued(
        id: RunId,
        stack: StackId,
        run_type: RunType,
        approval: Approval,
        task_init: TaskInit,
    ) -> Self {
        Self {
            id,
            stack,
            run_type,
            state: RunState::Queued,
            version: StateVersion(1),
            attempt: Attempt(0),
            contact: Contact::NotLeased,
            approval,
            task_init,
            stop: Stop::NotAsked,
            scope: Scope::Whole,
        }
    }

    /// Whether it ended without what it was made for, so that another run like it makes sense.
    pub fn can_be_retried(&self) -> bool {
        self.state.is_terminal() && self.state != RunState::Finished
    }

    /// Whether no other run that takes the lock may pass `QUEUED` while this one stands where it does.
    pub fn holds_stack_lock(&self) -> bool {
        self.run_type.takes_stack_lock()
            && self.state != RunState::Queued
            && !self.state.is_terminal()
    }
}
