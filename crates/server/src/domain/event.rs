//! What can happen to a run, and who may say so.
//!
//! Takes nothing; gives the events that [`super::Run::apply`] decides on. An event about a lease always
//! names the attempt it belongs to: an event without one can't be told from a late one.

use std::fmt;

use gantry_protocol::{Attempt, LauncherId, RunState};

/// Something that happened to a run, or that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEvent {
    /// Nothing blocks the run any more: its stack's lock is free, or it needs none.
    Unblocked,
    /// Rejected by policies while it waited, or a thing it waited for failed.
    Rejected,
    /// Approved by policies alone: nobody has to review its warnings.
    Approved,
    /// A condition made the run unnecessary.
    Skipped,
    /// Handed to a launcher. Issues the next attempt number.
    Leased,
    /// The tool's init began.
    InitStarted(Attempt),
    /// The tool's plan began.
    PlanStarted(Attempt),
    /// The plan ended well, and the launcher goes no further on this lease.
    Planned(Attempt, PlanOutcome),
    /// The server's durable permission to change the world.
    Granted(Attempt, GrantedPhase),
    /// The lease's result.
    Ended(Attempt, RunEnd),
    /// The lease ran out without a sign of life.
    LeaseLost(Attempt),
    /// The launcher of a lost lease was heard again, before anything else was decided.
    ContactRestored(Attempt),
    /// The written grace for a late result is over.
    GraceOver(Attempt),
    /// A reviewer decided about a plan with warnings.
    Reviewed(Review),
    /// A person accepts the plan.
    Confirm,
    /// A person drops the plan.
    Discard,
    /// A person takes the run back before a launcher has it.
    Cancel,
    /// A person asks the launcher to stop.
    Stop,
    /// A person asks for a plan of chosen addresses.
    Replan,
}

/// What a plan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanOutcome {
    /// Nothing to do.
    NoChanges,
    /// Something to do.
    Changes,
    /// Something to do, and a policy's warning that reviewers have to see.
    NeedsReview,
}

/// A phase that nobody starts without a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantedPhase {
    /// The tool's apply.
    Apply,
    /// A task's command.
    Perform,
    /// The tool's destroy.
    Destroy,
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Everything that was asked for was done.
    Succeeded,
    /// Something failed.
    Failed,
    /// A stop was honoured before anything was changed.
    Stopped,
}

/// A reviewer's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// Go on.
    Approve,
    /// Don't.
    Reject,
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person or a script with an API key, by name.
    User(String),
    /// The launcher that holds the lease.
    Launcher(LauncherId),
    /// The server itself.
    Server,
}

/// The kinds of [`Actor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActorKind {
    /// See [`Actor::User`].
    User,
    /// See [`Actor::Launcher`].
    Launcher,
    /// See [`Actor::Server`].
    Server,
}

impl GrantedPhase {
    /// The state that the grant enters.
    pub fn state(self) -> RunState {
        match self {
            Self::Apply => RunState::Applying,
            Self::Perform => RunState::Performing,
            Self::Destroy => RunState::Destroying,
        }
    }
}

impl Actor {
    /// Its kind.
    pub fn kind(&self) -> ActorKind {
        match self {
            Self::User(_) => ActorKind::User,
            Self::Launcher(_) => ActorKind::Launcher,
            Self::Server => ActorKind::Server,
        }
    }

    /// The name that a run's history shows; nothing for the server and its launchers.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::User(name) => Some(name),
            Self::Launcher(_) | Self::Server => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Launcher(id) => write!(f, "launcher:{id}"),
            Self::Server => f.write_str("server"),
        }
    }
}

impl fmt::Display for ActorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Launcher => "launcher",
            Self::Server => "server",
        })
    }
}

impl RunEvent {
    /// The attempt that the event is about, if it is about a lease.
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::InitStarted(attempt)
            | Self::PlanStarted(attempt)
            | Self::Planned(attempt, _)
            | Self::Granted(attempt, _)
            | Self::Ended(attempt, _)
            | Self::LeaseLost(attempt)
            | Self::ContactRestored(attempt)
            | Self::GraceOver(attempt) => Some(*attempt),
            Self::Unblocked
            | Self::Rejected
            | Self::Approved
            | Self::Skipped
            | Self::Leased
            | Self::Reviewed(_)
            | Self::Confirm
            | Self::Discard
            | Self::Cancel
            | Self::Stop
            | Self::Replan => None,
        }
    }

    /// Who may cause it. A launcher's claim never counts as a person's decision, nor the reverse.
    pub fn caused_by(&self) -> ActorKind {
        match self {
            Self::Confirm
            | Self::Discard
            | Self::Cancel
            | Self::Stop
            | Self::Replan
            | Self::Reviewed(_) => ActorKind::User,
            Self::Leased
            | Self::InitStarted(_)
            | Self::PlanStarted(_)
            | Self::Planned(..)
            | Self::Granted(..)
            | Self::Ended(..)
            | Self::ContactRestored(_) => ActorKind::Launcher,
            Self::Unblocked
            | Self::Rejected
            | Self::Approved
            | Self::Skipped
            | Self::LeaseLost(_)
            | Self::GraceOver(_) => ActorKind::Server,
        }
    }
}

/// What the event would do, as a verb that follows "cannot".
impl fmt::Display for RunEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unblocked => "unblock",
            Self::Rejected => "reject",
            Self::Approved => "approve by policies",
            Self::Skipped => "skip",
            Self::Leased => "lease",
            Self::InitStarted(_) => "start init",
            Self::PlanStarted(_) => "start plan",
            Self::Planned(_, PlanOutcome::NoChanges) => "end plan without changes",
            Self::Planned(_, PlanOutcome::Changes) => "end plan with changes",
            Self::Planned(_, PlanOutcome::NeedsReview) => "end plan with warnings",
            Self::Granted(_, GrantedPhase::Apply) => "grant apply",
            Self::Granted(_, GrantedPhase::Perform) => "grant perform",
            Self::Granted(_, GrantedPhase::Destroy) => "grant destroy",
            Self::Ended(_, RunEnd::Succeeded) => "succeed",
            Self::Ended(_, RunEnd::Failed) => "fail",
            Self::Ended(_, RunEnd::Stopped) => "end stopped",
            Self::LeaseLost(_) => "lose lease",
            Self::ContactRestored(_) => "restore contact",
            Self::GraceOver(_) => "end grace",
            Self::Reviewed(Review::Approve) => "approve",
            Self::Reviewed(Review::Reject) => "reject in review",
            Self::Confirm => "confirm",
            Self::Discard => "discard",
            Self::Cancel => "cancel",
            Self::Stop => "stop",
            Self::Replan => "replan",
        })
    }
}
