//! What a worker may claim, in which order: a pure state machine over its facts and questions.
//!
//! Takes claims of a process that shares its uid with hostile code. Gives the steps that follow from them.
//! Never: a phase that goes backwards, a world-changing phase entered without a grant, a claim after the
//! last one.

use std::collections::BTreeMap;

use gantry_protocol::payload::Stage;
use gantry_protocol::run::RunType;
use gantry_protocol::socket::{Fact, Phase, PlanSummary, WorkerEnd};

/// What follows from a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Tell the server that a phase without a grant began.
    Enter {
        /// Its log section.
        section: u32,
        /// The phase.
        phase: Phase,
    },
    /// A granted phase began: its section may be shipped.
    Open {
        /// Its log section.
        section: u32,
    },
    /// A section will grow no more.
    Close {
        /// The section.
        section: u32,
        /// Its raw length.
        end: u64,
    },
    /// A plan was made: it goes to the server before anything is asked or ended.
    Planned,
    /// Ask the server for a grant.
    Grant(Question),
}

/// A worker's question for a phase that changes the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The section that the phase will have.
    pub(super) section: u32,
    /// The phase.
    pub(super) phase: Phase,
    /// The plan, where one was made.
    pub(super) plan: Option<PlanSummary>,
}

/// A claim that an honest worker can't make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the worker claimed something out of order: {0}")]
pub(super) struct Violation(String);

/// Whether a phase that changes the world was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Pending,
    Granted,
}

/// How far a worker has come.
#[derive(Debug)]
pub(super) struct Course {
    allowed: &'static [Phase],
    section: u32,
    phase: Option<Phase>,
    open: bool,
    asked: BTreeMap<Phase, Asked>,
    plan: Option<PlanSummary>,
    end: Option<WorkerEnd>,
}

impl Course {
    /// Whether a question of the worker stands without an answer.
    pub(super) fn waits(&self) -> bool {
        self.asked.values().any(|asked| *asked == Asked::Pending)
    }

    /// For a lease that begins.
    pub(super) fn new(run_type: RunType, stage: Stage) -> Self {
        Self {
            allowed: allowed(run_type, stage),
            section: 0,
            phase: None,
            open: false,
            asked: BTreeMap::new(),
            plan: None,
            end: None,
        }
    }

    /// Takes one fact.
    ///
    /// # Errors
    /// [`Violation`]: the worker can't be believed any more.
    pub(super) fn on_fact(&mut self, fact: Fact) -> Result<Option<Step>, Violation> {
        if self.end.is_some() {
            return violation(format!("{fact:?} after its end"));
        }
        match fact {
            Fact::Entered { section, phase } => self.enter(section, phase).map(Some),
            Fact::Left { section, end, .. } => self.leave(section, end).map(Some),
            Fact::Planned(plan) => self.planned(plan),
            Fact::Finished(end) => {
                self.end = Some(end);
                Ok(None)
            }
        }
    }

    /// Takes one question. A question that was asked before needs nothing new.
    ///
    /// # Errors
    /// [`Violation`].
    pub(super) fn on_ask(&mut self, phase: Phase) -> Result<Option<Question>, Violation> {
        if !phase.state().needs_grant() || !self.allowed.contains(&phase) {
            return violation(format!("asks for {phase:?}, which this run does not have"));
        }
        if self.end.is_some() {
            // Asked before the worker was stopped, heard after its last fact: nobody waits for an answer, and
            // nothing is granted.
            return Ok(None);
        }
        if self.asked.contains_key(&phase) {
            return Ok(None);
        }
        // The section of the phase before may be open still: it ends when the next one begins.
        if self.phase.is_some_and(|current| current >= phase) {
            return violation(format!("asks for {phase:?} during {:?}", self.phase));
        }
        let section = self.section + 1;
        self.asked.insert(phase, Asked::Pending);
        Ok(Some(Question {
            section,
            phase,
            plan: self.plan.clone(),
        }))
    }

    /// Notes that the server granted a phase: durable there and in the journal.
    pub(super) fn granted(&mut self, phase: Phase) {
        self.asked.insert(phase, Asked::Granted);
    }

    /// The plan, once it was made.
    pub(super) fn plan(&self) -> Option<&PlanSummary> {
        self.plan.as_ref()
    }

    /// The worker's last word.
    pub(super) fn end(&self) -> Option<&WorkerEnd> {
        self.end.as_ref()
    }

    /// The phase that runs or ran last.
    pub(super) fn phase(&self) -> Option<Phase> {
        self.phase
    }

    /// The section that was entered and never left: the worker died in it.
    pub(super) fn unfinished(&self) -> Option<u32> {
        self.open.then_some(self.section)
    }

    fn enter(&mut self, section: u32, phase: Phase) -> Result<Step, Violation> {
        let forward = self.phase.is_none_or(|current| current < phase);
        if self.open || !forward || section != self.section + 1 || !self.allowed.contains(&phase) {
            let before = (self.section, self.phase);
            return violation(format!(
                "entered {phase:?} as section {section} after {before:?}"
            ));
        }
        let granted = self.asked.get(&phase) == Some(&Asked::Granted);
        if phase.state().needs_grant() && !granted {
            return violation(format!("entered {phase:?} without a grant"));
        }
        (self.section, self.phase, self.open) = (section, Some(phase), true);
        Ok(if granted {
            Step::Open { section }
        } else {
            Step::Enter { section, phase }
        })
    }

    fn leave(&mut self, section: u32, end: u64) -> Result<Step, Violation> {
        if !self.open || section != self.section {
            return violation(format!("left section {section}, is in {}", self.section));
        }
        self.open = false;
        Ok(Step::Close { section, end })
    }

    fn planned(&mut self, plan: PlanSummary) -> Result<Option<Step>, Violation> {
        if self.plan.is_some() || self.phase != Some(Phase::Plan) {
            return violation(format!("a plan during {:?}", self.phase));
        }
        self.plan = Some(plan);
        Ok(Some(Step::Planned))
    }
}

fn violation<T>(what: String) -> Result<T, Violation> {
    Err(Violation(what))
}

fn allowed(run_type: RunType, stage: Stage) -> &'static [Phase] {
    match (run_type, stage) {
        (RunType::Destroy, Stage::Apply) => &[Phase::Destroy],
        (_, Stage::Apply) => &[Phase::Apply],
        (_, Stage::Replan) => &[Phase::Plan],
        (RunType::Proposed, Stage::Start) => &[Phase::Init, Phase::Plan],
        (RunType::Tracked, Stage::Start) => &[Phase::Init, Phase::Plan, Phase::Apply],
        (RunType::Task, Stage::Start) => &[Phase::Init, Phase::Perform],
        (RunType::Destroy, Stage::Start) => &[Phase::Init, Phase::Plan, Phase::Destroy],
        (RunType::Testing, Stage::Start) => {
            &[Phase::Init, Phase::Plan, Phase::Apply, Phase::Destroy]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::socket::PhaseExit;
    use proptest::prelude::*;

    fn left(section: u32) -> Fact {
        Fact::Left {
            section,
            end: 5,
            exit: PhaseExit::Ok,
        }
    }

    fn planned() -> Course {
        let mut course = Course::new(RunType::Tracked, Stage::Start);
        for fact in [
            Fact::Entered {
                section: 1,
                phase: Phase::Init,
            },
            left(1),
            Fact::Entered {
                section: 2,
                phase: Phase::Plan,
            },
            Fact::Planned(PlanSummary {
                has_changes: true,
                ..PlanSummary::default()
            }),
            left(2),
        ] {
            course.on_fact(fact).unwrap();
        }
        course
    }

    #[test]
    fn an_apply_is_entered_only_with_a_grant() {
        let apply = Fact::Entered {
            section: 3,
            phase: Phase::Apply,
        };
        assert!(planned().on_fact(apply.clone()).is_err());
        let mut course = planned();
        let asked = course.on_ask(Phase::Apply).unwrap();
        assert!(matches!(
            asked,
            Some(Question {
                section: 3,
                phase: Phase::Apply,
                plan: Some(_)
            })
        ));
        assert_eq!(course.on_ask(Phase::Apply).unwrap(), None);
        assert!(planned().on_fact(apply.clone()).is_err());
        course.granted(Phase::Apply);
        assert_eq!(
            course.on_fact(apply).unwrap(),
            Some(Step::Open { section: 3 })
        );
        assert_eq!(course.unfinished(), Some(3));
    }

    #[test]
    fn a_proposed_run_asks_for_nothing() {
        let mut course = Course::new(RunType::Proposed, Stage::Start);
        for phase in [Phase::Apply, Phase::Perform, Phase::Destroy, Phase::Init] {
            assert!(course.on_ask(phase).is_err());
        }
    }

    #[test]
    fn a_replan_may_only_plan_and_a_confirmed_destroy_only_destroy() {
        let every = [
            Phase::Init,
            Phase::Plan,
            Phase::Apply,
            Phase::Perform,
            Phase::Destroy,
        ];
        for phase in every {
            let mut replan = Course::new(RunType::Tracked, Stage::Replan);
            assert!(replan.on_ask(phase).is_err(), "{phase:?}");
            let entered = replan.on_fact(Fact::Entered { section: 1, phase });
            assert_eq!(entered.is_ok(), phase == Phase::Plan, "{phase:?}");
            let asked = Course::new(RunType::Destroy, Stage::Apply).on_ask(phase);
            assert_eq!(asked.is_ok(), phase == Phase::Destroy, "{phase:?}");
        }
    }

    #[test]
    fn nothing_follows_the_end() {
        let mut course = planned();
        course.on_fact(Fact::Finished(WorkerEnd::Parked)).unwrap();
        assert!(course.on_fact(left(2)).is_err());
        assert_eq!(course.on_ask(Phase::Apply).unwrap(), None);
        assert!(course.on_ask(Phase::Perform).is_err());
    }

    fn any_phase() -> impl Strategy<Value = Phase> {
        prop::sample::select(vec![
            Phase::Init,
            Phase::Plan,
            Phase::Apply,
            Phase::Perform,
            Phase::Destroy,
        ])
    }

    #[derive(Debug, Clone)]
    enum Claim {
        Fact(Fact),
        Ask(Phase),
        Grant,
    }

    fn any_claim() -> impl Strategy<Value = Claim> {
        prop_oneof![
            (0u32..5, any_phase())
                .prop_map(|(section, phase)| Claim::Fact(Fact::Entered { section, phase })),
            (0u32..5).prop_map(|section| Claim::Fact(left(section))),
            Just(Claim::Fact(Fact::Planned(PlanSummary::default()))),
            any_phase().prop_map(Claim::Ask),
            Just(Claim::Grant),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_claimed_order_and_grants_hold(
            kind in prop::sample::select(RunType::ALL.to_vec()),
            claims in prop::collection::vec(any_claim(), 0..60),
        ) {
            let mut course = Course::new(kind, Stage::Start);
            let (mut granted, mut pending): (Vec<Phase>, Option<Phase>) = (vec![], None);
            let mut entered: Vec<Phase> = vec![];
            for claim in claims {
                match claim {
                    Claim::Grant => if let Some(phase) = pending.take() {
                        granted.push(phase);
                        course.granted(phase);
                    },
                    Claim::Ask(phase) => if let Ok(Some(_)) = course.on_ask(phase) {
                        prop_assert!(kind != RunType::Proposed);
                        pending = Some(phase);
                    },
                    Claim::Fact(fact) => {
                        let phase = match fact { Fact::Entered { phase, .. } => Some(phase), _ => None };
                        if course.on_fact(fact).is_ok() && let Some(phase) = phase {
                            prop_assert!(entered.last().is_none_or(|last| *last < phase));
                            prop_assert!(!phase.state().needs_grant() || granted.contains(&phase));
                            entered.push(phase);
                        }
                    }
                }
            }
        }
    }
}
