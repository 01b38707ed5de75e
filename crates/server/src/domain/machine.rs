//! The state machine of runs: the only place that decides what may follow what.
//!
//! Takes a run and an event, gives the run after it or a refusal. What must never happen: a terminal state
//! that is left, a granted phase entered without its grant or twice, a stale attempt that is believed.
//! `docs/STATES.md` shows the same as a table; a test keeps the two equal.

use gantry_protocol::{Attempt, RunId, RunState, RunType};

use super::event::{Actor, ActorKind, GrantedPhase, PlanOutcome, Review, RunEnd, RunEvent};
use super::run::{Approval, Contact, Run, Scope, StateVersion, Step, Stop, TaskInit, Transition};

/// Why an event was refused. The run is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// Nothing follows a terminal state.
    #[error("run `{run}` has already ended as {state}: cannot {event}")]
    Ended {
        /// The run.
        run: RunId,
        /// Its terminal state.
        state: RunState,
        /// What was asked.
        event: RunEvent,
    },
    /// A higher attempt was issued, or the lease was taken back.
    #[error("attempt {given} of run `{run}` is stale: the newest is {newest}")]
    StaleAttempt {
        /// The run.
        run: RunId,
        /// The attempt that the event named.
        given: Attempt,
        /// The newest one issued.
        newest: Attempt,
    },
    /// A person asked for a stop: no grant any more.
    #[error("run `{run}` was asked to stop: cannot {event}")]
    StopAsked {
        /// The run.
        run: RunId,
        /// What was asked.
        event: RunEvent,
    },
    /// The state and type of the run don't allow it.
    #[error("{run_type} run `{run}` is {state}: cannot {event}")]
    NotNow {
        /// The run.
        run: RunId,
        /// Its type.
        run_type: RunType,
        /// Its state.
        state: RunState,
        /// What was asked.
        event: RunEvent,
    },
    /// Another kind of actor has to say so.
    #[error("a {actor} cannot {event} run `{run}`")]
    WrongActor {
        /// The run.
        run: RunId,
        /// Who tried.
        actor: ActorKind,
        /// What was asked.
        event: RunEvent,
    },
}

impl Run {
    /// What `event` does to this run, if `actor` may cause it.
    pub fn apply_by(
        &self,
        event: &RunEvent,
        actor: &Actor,
    ) -> Result<Transition, IllegalTransition> {
        if actor.kind() != event.caused_by() {
            return Err(IllegalTransition::WrongActor {
                run: self.id,
                actor: actor.kind(),
                event: event.clone(),
            });
        }
        self.apply(event)
    }

    /// What `event` does to this run.
    pub fn apply(&self, event: &RunEvent) -> Result<Transition, IllegalTransition> {
        if self.state.is_terminal() {
            return Err(IllegalTransition::Ended {
                run: self.id,
                state: self.state,
                event: event.clone(),
            });
        }
        if let Some(given) = event.attempt() {
            self.check_attempt(given)?;
        }
        match event {
            RunEvent::Unblocked
            | RunEvent::Rejected
            | RunEvent::Approved
            | RunEvent::Skipped
            | RunEvent::Leased
            | RunEvent::LeaseLost(_)
            | RunEvent::ContactRestored(_)
            | RunEvent::GraceOver(_) => self.by_server(event),
            RunEvent::InitStarted(_)
            | RunEvent::PlanStarted(_)
            | RunEvent::Planned(..)
            | RunEvent::Ended(..) => self.by_launcher(event),
            RunEvent::Granted(_, phase) => self.granted(event, *phase),
            RunEvent::Reviewed(_)
            | RunEvent::Confirm
            | RunEvent::Discard
            | RunEvent::Cancel
            | RunEvent::Stop
            | RunEvent::Replan => self.by_user(event),
        }
    }

    fn check_attempt(&self, given: Attempt) -> Result<(), IllegalTransition> {
        if given == self.attempt && self.contact != Contact::NotLeased {
            return Ok(());
        }
        Err(IllegalTransition::StaleAttempt {
            run: self.id,
            given,
            newest: self.attempt,
        })
    }

    fn by_server(&self, event: &RunEvent) -> Result<Transition, IllegalTransition> {
        use RunState::{Confirmed, Failed, Finished, PendingReview, Preparing, PreparingApply};
        use RunState::{PreparingReplan, Queued, Ready, ReplanRequested, Skipped, Unconfirmed};
        match (event, self.state) {
            (RunEvent::Unblocked, Queued) => Ok(self.enter(Ready)),
            (RunEvent::Rejected, Queued | Unconfirmed | PendingReview) => Ok(self.enter(Failed)),
            (RunEvent::Approved, PendingReview) => Ok(self.enter(Finished)),
            (RunEvent::Skipped, Queued | Ready) => Ok(self.enter(Skipped)),
            (RunEvent::Leased, Ready) => Ok(self.lease(Preparing)),
            (RunEvent::Leased, Confirmed) => Ok(self.lease(PreparingApply)),
            (RunEvent::Leased, ReplanRequested) => Ok(self.lease(PreparingReplan)),
            (RunEvent::LeaseLost(_), _) => self.lease_lost(event),
            (RunEvent::ContactRestored(_), _) if self.contact == Contact::Lost => {
                let run = Self {
                    contact: Contact::Live,
                    ..self.clone()
                };
                Ok(Transition {
                    run,
                    step: Step::ContactRestored,
                })
            }
            (RunEvent::GraceOver(_), _) if self.contact == Contact::Lost => Ok(self.enter(Failed)),
            _ => Err(self.not_now(event)),
        }
    }

    /// Before a grant nothing happened that another launcher could not do again; after it, nobody may.
    fn lease_lost(&self, event: &RunEvent) -> Result<Transition, IllegalTransition> {
        use RunState::{Confirmed, Initializing, Planning, Preparing, PreparingApply};
        use RunState::{PreparingReplan, Ready, ReplanRequested, Stopped};
        match self.state {
            Preparing | Initializing | Planning | PreparingReplan if self.stop == Stop::Asked => {
                Ok(self.enter(Stopped))
            }
            // Its workspace is packed still: the same addresses are planned again.
            Planning if self.scope == Scope::Targeted => Ok(self.enter(ReplanRequested)),
            Preparing | Initializing | Planning => Ok(self.enter(Ready)),
            PreparingReplan => Ok(self.enter(ReplanRequested)),
            PreparingApply => Ok(self.enter(Confirmed)),
            state if state.needs_grant() && self.contact == Contact::Live => {
                let run = Self {
                    contact: Contact::Lost,
                    ..self.clone()
                };
                Ok(Transition {
                    run,
                    step: Step::ContactLost,
                })
            }
            _ => Err(self.not_now(event)),
        }
    }

    fn by_launcher(&self, event: &RunEvent) -> Result<Transition, IllegalTransition> {
        use RunState::{Initializing, Planning, Preparing, PreparingReplan};
        match (event, self.state) {
            (RunEvent::InitStarted(_), Preparing) => Ok(self.enter(Initializing)),
            (RunEvent::PlanStarted(_), Initializing) if self.run_type != RunType::Task => {
                Ok(self.enter(Planning))
            }
            (RunEvent::PlanStarted(_), PreparingReplan) => Ok(self.enter(Planning)),
            (RunEvent::Planned(_, outcome), Planning) => self.planned(event, *outcome),
            (RunEvent::Ended(_, end), _) => self.ended(event, *end),
            _ => Err(self.not_now(event)),
        }
    }

    fn planned(
        &self,
        event: &RunEvent,
        outcome: PlanOutcome,
    ) -> Result<Transition, IllegalTransition> {
        use PlanOutcome::{Changes, NeedsReview, NoChanges};
        match (outcome, self.run_type) {
            (NoChanges, _) | (Changes, RunType::Proposed) => Ok(self.enter(RunState::Finished)),
            (NeedsReview, RunType::Proposed) => Ok(self.enter(RunState::PendingReview)),
            (Changes | NeedsReview, RunType::Tracked | RunType::Destroy) => {
                Ok(self.enter(RunState::Unconfirmed))
            }
            (Changes | NeedsReview, RunType::Testing | RunType::Task) => Err(self.not_now(event)),
        }
    }

    fn ended(&self, event: &RunEvent, end: RunEnd) -> Result<Transition, IllegalTransition> {
        use RunState::{Applying, Destroying, Initializing, Performing, Planning};
        use RunState::{Preparing, PreparingReplan};
        match (end, self.state) {
            // The attempt was checked, so a launcher has the run: it may fail anywhere.
            (RunEnd::Failed, _) => Ok(self.enter(RunState::Failed)),
            (RunEnd::Stopped, Preparing | PreparingReplan | Initializing | Planning) => {
                Ok(self.enter(RunState::Stopped))
            }
            // A test case is not done before it destroyed what it applied.
            (RunEnd::Succeeded, Applying) if self.run_type == RunType::Tracked => {
                Ok(self.enter(RunState::Finished))
            }
            (RunEnd::Succeeded, Performing | Destroying) => Ok(self.enter(RunState::Finished)),
            _ => Err(self.not_now(event)),
        }
    }

    fn granted(
        &self,
        event: &RunEvent,
        phase: GrantedPhase,
    ) -> Result<Transition, IllegalTransition> {
        if self.stop == Stop::Asked {
            return Err(IllegalTransition::StopAsked {
                run: self.id,
                event: event.clone(),
            });
        }
        if self.grantable(phase) {
            Ok(self.enter(phase.state()))
        } else {
            Err(self.not_now(event))
        }
    }

    fn grantable(&self, phase: GrantedPhase) -> bool {
        use GrantedPhase::{Apply, Destroy, Perform};
        use RunState::{Applying, Initializing, Planning, Preparing, PreparingApply};
        let unattended = self.approval == Approval::Automatic && self.scope == Scope::Whole;
        match (self.run_type, phase, self.state) {
            (RunType::Tracked, Apply, PreparingApply)
            | (RunType::Destroy, Destroy, PreparingApply)
            | (RunType::Testing, Apply, Planning)
            | (RunType::Testing, Destroy, Applying) => true,
            (RunType::Tracked, Apply, Planning) | (RunType::Destroy, Destroy, Planning) => {
                unattended
            }
            (RunType::Task, Perform, Initializing) => self.task_init == TaskInit::Run,
            (RunType::Task, Perform, Preparing) => self.task_init == TaskInit::Skip,
            _ => false,
        }
    }

    fn by_user(&self, event: &RunEvent) -> Result<Transition, IllegalTransition> {
        use RunState::{Canceled, Confirmed, Discarded, Failed, Finished, Initializing};
        use RunState::{PendingReview, Planning, Preparing, PreparingReplan, Queued, Ready};
        use RunState::{ReplanRequested, Unconfirmed};
        match (event, self.state) {
            (RunEvent::Confirm, Unconfirmed) => Ok(self.enter(Confirmed)),
            (RunEvent::Discard, Unconfirmed) => Ok(self.enter(Discarded)),
            (RunEvent::Replan, Unconfirmed) => {
                let mut transition = self.enter(ReplanRequested);
                transition.run.scope = Scope::Targeted;
                Ok(transition)
            }
            (RunEvent::Cancel, Queued | Ready) => Ok(self.enter(Canceled)),
            (RunEvent::Reviewed(Review::Approve), PendingReview) => Ok(self.enter(Finished)),
            (RunEvent::Reviewed(Review::Reject), PendingReview) => Ok(self.enter(Failed)),
            (RunEvent::Stop, Preparing | PreparingReplan | Initializing | Planning) => {
                let run = Self {
                    stop: Stop::Asked,
                    ..self.clone()
                };
                Ok(Transition {
                    run,
                    step: Step::StopAsked,
                })
            }
            _ => Err(self.not_now(event)),
        }
    }

    fn lease(&self, to: RunState) -> Transition {
        let mut transition = self.enter(to);
        transition.run.attempt = self.attempt.next();
        transition.run.contact = Contact::Live;
        transition
    }

    fn enter(&self, to: RunState) -> Transition {
        let mut run = Self {
            state: to,
            version: StateVersion(self.version.0 + 1),
            ..self.clone()
        };
        if is_leased(to) {
            // A launcher that speaks is a launcher that is back.
            run.contact = Contact::Live;
        } else {
            run.contact = Contact::NotLeased;
            run.stop = Stop::NotAsked;
        }
        Transition {
            run,
            step: Step::Entered(to),
        }
    }

    fn not_now(&self, event: &RunEvent) -> IllegalTransition {
        IllegalTransition::NotNow {
            run: self.id,
            run_type: self.run_type,
            state: self.state,
            event: event.clone(),
        }
    }
}

/// Whether a run in this state is in a launcher's hands; these are the states that have logs.
pub fn is_leased(state: RunState) -> bool {
    use RunState::{Initializing, Planning, Preparing, PreparingApply, PreparingReplan};
    state.needs_grant()
        || matches!(
            state,
            Preparing | PreparingApply | PreparingReplan | Initializing | Planning
        )
}
