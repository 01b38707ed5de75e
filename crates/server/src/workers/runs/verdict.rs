//! What a result means for its run. Pure.
//!
//! Takes the run and the launcher's result, gives the event and the words for its note. A success that the
//! state does not allow is a failure with that reason, never believed. Never: a run left without an end.

use gantry_protocol::control::run::{FailReason, Gate, Outcome, RunResult};
use gantry_protocol::socket::PlanSummary;
use gantry_protocol::{RunState, RunType};

use crate::domain::{PlanOutcome, PlanSays, PlanVerdict, Run, RunEnd, RunEvent};

/// Most characters of a launcher's words that are kept as a note.
const MAX_NOTE: usize = 4096;

/// What follows from a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What happens to the run.
    pub(super) event: RunEvent,
    /// What people are told.
    pub(super) note: Option<String>,
}

/// What policies say about a plan that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether there was a plan to ask about.
    pub(super) asked: bool,
    /// What plan policies say.
    pub(super) plan: PlanVerdict,
    /// Whether reviewers decide about a preview with warnings.
    pub(super) reviewed: bool,
}

impl Said {
    /// The same for a plan that was made: a denial fails it, a warning stands in its note.
    fn about(&self, run: &Run, verdict: Verdict) -> Verdict {
        let RunEvent::Planned(attempt, outcome) = verdict.event else {
            return verdict;
        };
        let note = self.plan.note().map(|note| bounded(&note));
        let event = match (self.plan.says(), outcome) {
            (PlanSays::Nothing, _) => return verdict,
            (PlanSays::Denies, _) => RunEvent::Ended(attempt, RunEnd::Failed),
            (PlanSays::Warns, PlanOutcome::Changes)
                if run.run_type != RunType::Proposed || self.reviewed =>
            {
                RunEvent::Planned(attempt, PlanOutcome::NeedsReview)
            }
            (PlanSays::Warns, outcome) => RunEvent::Planned(attempt, outcome),
        };
        Verdict { event, note }
    }
}

/// What a result means. A parked run's workspace was checked before.
pub(super) fn verdict(run: &Run, result: &RunResult, said: &Said) -> Verdict {
    said.about(run, plain(run, result))
}

fn plain(run: &Run, result: &RunResult) -> Verdict {
    let attempt = run.attempt;
    let ended = |end, note: Option<String>| Verdict {
        event: RunEvent::Ended(attempt, end),
        note: note.map(|note| bounded(&note)),
    };
    let failed = |note: String| ended(RunEnd::Failed, Some(note));
    match &result.outcome {
        Outcome::Succeeded => match success(run, result.plan.as_ref()) {
            Some(event) => Verdict { event, note: None },
            None => failed(format!(
                "the launcher reported success in {}, where a {} run can't end well",
                run.state, run.run_type
            )),
        },
        Outcome::Parked { .. } if may_park(run) => Verdict {
            event: RunEvent::Planned(attempt, PlanOutcome::Changes),
            note: None,
        },
        Outcome::Parked { .. } => failed(format!(
            "the launcher parked a {} run in {}",
            run.run_type, run.state
        )),
        Outcome::Refused { gate, message } => failed(format!(
            "refused at the {} gate: {message}",
            gate_name(*gate)
        )),
        Outcome::Failed { reason, message } => {
            failed(format!("{}: {message}", reason_name(*reason)))
        }
        Outcome::Stopped { message } if stoppable(run.state) => {
            ended(RunEnd::Stopped, Some(message.clone()))
        }
        Outcome::Stopped { message } => failed(format!("stopped in {}: {message}", run.state)),
    }
}

/// What a launcher says is shown in lists and histories.
pub(super) fn bounded(words: &str) -> String {
    match words.char_indices().nth(MAX_NOTE) {
        Some((end, _)) => format!("{} …", &words[..end]),
        None => words.to_owned(),
    }
}

fn success(run: &Run, plan: Option<&PlanSummary>) -> Option<RunEvent> {
    use RunState::{Applying, Destroying, Performing, Planning};
    let changes = plan.is_some_and(|plan| plan.has_changes);
    let planned = |outcome| Some(RunEvent::Planned(run.attempt, outcome));
    match (run.state, run.run_type) {
        (Planning, RunType::Proposed) if changes => planned(PlanOutcome::Changes),
        (Planning, RunType::Proposed | RunType::Tracked | RunType::Destroy | RunType::Testing)
            if !changes =>
        {
            planned(PlanOutcome::NoChanges)
        }
        (Applying, RunType::Tracked)
        | (Performing, RunType::Task)
        | (Destroying, RunType::Destroy | RunType::Testing) => {
            Some(RunEvent::Ended(run.attempt, RunEnd::Succeeded))
        }
        _ => None,
    }
}

/// Whether a run may wait for a person's decision where it stands.
pub(super) fn may_park(run: &Run) -> bool {
    run.state == RunState::Planning && matches!(run.run_type, RunType::Tracked | RunType::Destroy)
}

fn stoppable(state: RunState) -> bool {
    use RunState::{Initializing, Planning, Preparing, PreparingReplan};
    matches!(state, Preparing | PreparingReplan | Initializing | Planning)
}

fn gate_name(gate: Gate) -> &'static str {
    match gate {
        Gate::Envelope => "envelope",
        Gate::Image => "image",
        Gate::Signature => "signature",
        Gate::Policy => "policy",
        Gate::Pull => "pull",
        Gate::Workspace => "workspace",
        Gate::Worker => "worker",
        Gate::Tool => "tool",
        Gate::Container => "container",
    }
}

fn reason_name(reason: FailReason) -> &'static str {
    match reason {
        FailReason::Hook => "a hook failed",
        FailReason::Tool => "the tool failed",
        FailReason::ToolMissing => "the tool is missing in the image",
        FailReason::Denied => "the phase was denied",
        FailReason::Workspace => "the workspace is not usable",
        FailReason::OutOfMemory => "out of memory",
        FailReason::OutOfDisk => "out of disk",
        FailReason::ContainerLost => "the container was lost",
        FailReason::TimedOut => "timed out",
        FailReason::Internal => "the launcher or the worker failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Approval, Contact, StateVersion, TaskInit};
    use gantry_protocol::Attempt;

    fn run(state: RunState, run_type: RunType) -> Run {
        let id = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        let queued = Run::queued(
            id,
            "net".parse().unwrap(),
            run_type,
            Approval::Person,
            TaskInit::Run,
        );
        Run {
            state,
            version: StateVersion(4),
            attempt: Attempt(1),
            contact: Contact::Live,
            ..queued
        }
    }

    fn result(outcome: Outcome, has_changes: bool) -> RunResult {
        let plan = PlanSummary {
            has_changes,
            ..PlanSummary::default()
        };
        RunResult {
            outcome,
            plan: Some(plan),
            image: None,
            worker: None,
        }
    }

    #[test]
    fn each_outcome_in_its_place() {
        use RunState::*;
        use RunType::*;
        let parked = || Outcome::Parked {
            attestation: String::new(),
        };
        let stopped = || Outcome::Stopped {
            message: "m".into(),
        };
        let succeeded = || Outcome::Succeeded;
        #[rustfmt::skip]
        let cases = [
            (Planning, Tracked, succeeded(), false, Finished),
            (Planning, Tracked, succeeded(), true, Failed),
            (Planning, Tracked, parked(), true, Unconfirmed),
            (Planning, Destroy, parked(), true, Unconfirmed),
            (Planning, Proposed, succeeded(), true, Finished),
            (Planning, Proposed, parked(), true, Failed),
            (Applying, Tracked, succeeded(), true, Finished),
            (Applying, Tracked, parked(), true, Failed),
            (Applying, Testing, succeeded(), true, Failed),
            (Destroying, Testing, succeeded(), true, Finished),
            (Performing, Task, succeeded(), false, Finished),
            (Initializing, Task, succeeded(), false, Failed),
            (Preparing, Tracked, succeeded(), false, Failed),
            (PreparingApply, Tracked, succeeded(), false, Failed),
            (Planning, Tracked, stopped(), false, RunState::Stopped),
            (Applying, Tracked, stopped(), false, Failed),
            (PreparingApply, Tracked, stopped(), false, Failed),
        ];
        for (state, run_type, outcome, changes, expected) in cases {
            let name = format!("{state} {run_type} {outcome:?}");
            let run = run(state, run_type);
            let verdict = verdict(&run, &result(outcome, changes), &Said::default());
            let after = run
                .apply(&verdict.event)
                .unwrap_or_else(|e| panic!("{name}: {e}"))
                .run;
            assert_eq!(after.state, expected, "{name}");
            assert_eq!(
                verdict.note.is_some(),
                matches!(expected, RunState::Failed | RunState::Stopped)
            );
        }
    }

    #[test]
    fn plan_policies_fail_or_stop_what_they_are_about() {
        use RunState::*;
        use RunType::*;
        let said = |deny: &[&str], warn: &[&str], reviewed| Said {
            asked: true,
            plan: PlanVerdict {
                asked: Vec::new(),
                denials: deny.iter().map(ToString::to_string).collect(),
                warnings: warn.iter().map(ToString::to_string).collect(),
            },
            reviewed,
        };
        let parked = || Outcome::Parked {
            attestation: String::new(),
        };
        let succeeded = || Outcome::Succeeded;
        #[rustfmt::skip]
        let cases = [
            (Tracked, parked(), true, said(&["no"], &["hm"], false), Failed, Some("no; hm")),
            (Tracked, parked(), true, said(&[], &["hm"], false), Unconfirmed, Some("hm")),
            (Tracked, succeeded(), false, said(&["no"], &[], false), Failed, Some("no")),
            (Tracked, succeeded(), false, said(&[], &["hm"], true), Finished, Some("hm")),
            (Proposed, succeeded(), true, said(&["no"], &[], true), Failed, Some("no")),
            (Proposed, succeeded(), true, said(&[], &["hm"], true), PendingReview, Some("hm")),
            (Proposed, succeeded(), true, said(&[], &["hm"], false), Finished, Some("hm")),
            (Proposed, succeeded(), true, said(&[], &[], true), Finished, None),
        ];
        for (run_type, outcome, changes, said, expected, note) in cases {
            let name = format!("{run_type} {outcome:?} {said:?}");
            let run = run(Planning, run_type);
            let verdict = verdict(&run, &result(outcome, changes), &said);
            let after = run.apply(&verdict.event);
            assert_eq!(after.unwrap().run.state, expected, "{name}");
            assert_eq!(verdict.note.as_deref(), note, "{name}");
        }
    }

    #[test]
    fn every_result_has_an_end_in_every_leased_state() {
        for state in RunState::ALL {
            let leased = state.needs_grant()
                || matches!(
                    state,
                    RunState::Preparing
                        | RunState::PreparingApply
                        | RunState::Initializing
                        | RunState::Planning
                );
            for run_type in RunType::ALL {
                for outcome in [
                    Outcome::Succeeded,
                    Outcome::Parked {
                        attestation: String::new(),
                    },
                    Outcome::Refused {
                        gate: Gate::Image,
                        message: "m".into(),
                    },
                    Outcome::Failed {
                        reason: FailReason::Tool,
                        message: "m".into(),
                    },
                    Outcome::Stopped {
                        message: "m".into(),
                    },
                ] {
                    let run = run(state, run_type);
                    let verdict = verdict(&run, &result(outcome.clone(), true), &Said::default());
                    if leased {
                        let after = run.apply(&verdict.event);
                        assert!(after.is_ok(), "{state} {run_type} {outcome:?}: {after:?}");
                    }
                }
            }
        }
    }
}
