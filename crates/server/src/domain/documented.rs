//! Keeps `docs/STATES.md` and the state machine equal, and lists the documented transitions one by one.
//!
//! Takes every combination of run and event, gives the table of what is allowed. Never a copy of the
//! machine's own rules: it only asks.

use std::collections::{BTreeMap, BTreeSet};

use gantry_protocol::{Attempt, RunState, RunType};
use proptest::prelude::*;

use super::*;

pub(super) fn run_in(state: RunState, run_type: RunType) -> Run {
    let id = gantry_protocol::RunId::from_ulid(ulid::Ulid::from_parts(1, 1));
    let stack = "net".parse().unwrap();
    let mut run = Run::queued(id, stack, run_type, Approval::Person, TaskInit::Run);
    run.state = state;
    run
}

pub(super) fn events(attempt: Attempt) -> Vec<RunEvent> {
    use RunEvent::*;
    let mut events = vec![
        Unblocked,
        Rejected,
        Approved,
        Skipped,
        Leased,
        Confirm,
        Discard,
        Cancel,
        Stop,
        Replan,
        InitStarted(attempt),
        PlanStarted(attempt),
        LeaseLost(attempt),
        ContactRestored(attempt),
        GraceOver(attempt),
        Reviewed(Review::Approve),
        Reviewed(Review::Reject),
    ];
    for outcome in [
        PlanOutcome::NoChanges,
        PlanOutcome::Changes,
        PlanOutcome::NeedsReview,
    ] {
        events.push(Planned(attempt, outcome));
    }
    for phase in [
        GrantedPhase::Apply,
        GrantedPhase::Perform,
        GrantedPhase::Destroy,
    ] {
        events.push(Granted(attempt, phase));
    }
    for end in [RunEnd::Succeeded, RunEnd::Failed, RunEnd::Stopped] {
        events.push(Ended(attempt, end));
    }
    events
}

/// Every run that a path of legal events can reach, whatever its settings.
fn reachable(run_type: RunType) -> Vec<Run> {
    let mut seen: Vec<Run> = Vec::new();
    let mut next = Vec::new();
    for approval in [Approval::Person, Approval::Automatic] {
        for task_init in [TaskInit::Run, TaskInit::Skip] {
            let mut run = run_in(RunState::Queued, run_type);
            (run.approval, run.task_init) = (approval, task_init);
            next.push(run);
        }
    }
    while let Some(run) = next.pop() {
        // Numbers grow for ever; what is allowed depends on none of them.
        let run = Run {
            version: StateVersion(1),
            attempt: Attempt(run.attempt.0.min(1)),
            ..run
        };
        if seen.contains(&run) {
            continue;
        }
        let events = events(run.attempt);
        next.extend(
            events
                .iter()
                .filter_map(|e| run.apply(e).ok())
                .map(|t| t.run),
        );
        seen.push(run);
    }
    seen
}

/// `from | event | to | by | types`, as the page has it.
fn table() -> String {
    let mut rows: BTreeMap<(usize, String, String), (ActorKind, BTreeSet<usize>)> = BTreeMap::new();
    let place = |state| RunState::ALL.iter().position(|s| *s == state).unwrap();
    for (number, run_type) in RunType::ALL.into_iter().enumerate() {
        for run in reachable(run_type) {
            for event in events(run.attempt) {
                let Ok(transition) = run.apply(&event) else {
                    continue;
                };
                let to = match transition.step {
                    Step::Entered(state) => format!("`{state}`"),
                    Step::StopAsked => "stays; the launcher is asked to stop".to_owned(),
                    Step::ContactLost => "stays; contact lost".to_owned(),
                    Step::ContactRestored => "stays; contact restored".to_owned(),
                };
                let row = rows
                    .entry((place(run.state), event.to_string(), to))
                    .or_insert((event.caused_by(), BTreeSet::new()));
                row.1.insert(number);
            }
        }
    }
    let mut text = String::from("| From | Event | To | By | Run types |\n|---|---|---|---|---|\n");
    for ((from, event, to), (by, types)) in rows {
        let names: Vec<_> = types.iter().map(|n| RunType::ALL[*n].as_str()).collect();
        let types = if names.len() == 5 {
            "all".to_owned()
        } else {
            names.join(", ")
        };
        let from = RunState::ALL[from];
        text.push_str(&format!("| `{from}` | {event} | {to} | {by} | {types} |\n"));
    }
    text
}

#[test]
fn the_page_shows_what_the_code_allows() {
    let page = include_str!("../../../../docs/STATES.md");
    let (_, rest) = page.split_once("<!-- transitions -->\n\n").expect("marker");
    let (shown, _) = rest
        .split_once("\n<!-- /transitions -->")
        .expect("end marker");
    let table = table();
    assert!(
        shown == table,
        "docs/STATES.md has to show this table:\n\n{table}"
    );
}

/// The documented rows of the field, then what a lost lease does: from | what happens | to | type.
const DOCUMENTED: &str = "
    QUEUED           | unblock                  | READY            | TRACKED
    QUEUED           | reject                   | FAILED           | TRACKED
    QUEUED           | cancel                   | CANCELED         | TRACKED
    READY            | cancel                   | CANCELED         | PROPOSED
    READY            | lease                    | PREPARING        | TRACKED
    PREPARING        | start init               | INITIALIZING     | TRACKED
    PREPARING        | fail                     | FAILED           | TRACKED
    INITIALIZING     | start plan               | PLANNING         | TRACKED
    INITIALIZING     | grant perform            | PERFORMING       | TASK
    INITIALIZING     | fail                     | FAILED           | PROPOSED
    INITIALIZING     | end stopped              | STOPPED          | PROPOSED
    PLANNING         | end plan with changes    | FINISHED         | PROPOSED
    PLANNING         | end plan without changes | FINISHED         | TRACKED
    PLANNING         | end plan with warnings   | PENDING_REVIEW   | PROPOSED
    PLANNING         | end plan with changes    | UNCONFIRMED      | TRACKED
    PLANNING         | fail                     | FAILED           | TRACKED
    PLANNING         | end stopped              | STOPPED          | TRACKED
    PENDING_REVIEW   | approve                  | FINISHED         | PROPOSED
    PENDING_REVIEW   | reject in review         | FAILED           | PROPOSED
    UNCONFIRMED      | confirm                  | CONFIRMED        | TRACKED
    UNCONFIRMED      | discard                  | DISCARDED        | TRACKED
    UNCONFIRMED      | replan                   | REPLAN_REQUESTED | TRACKED
    REPLAN_REQUESTED | lease                    | PREPARING_REPLAN | TRACKED
    PREPARING_REPLAN | start plan               | PLANNING         | TRACKED
    CONFIRMED        | lease                    | PREPARING_APPLY  | TRACKED
    PREPARING_APPLY  | grant apply              | APPLYING         | TRACKED
    PREPARING_APPLY  | fail                     | FAILED           | TRACKED
    APPLYING         | succeed                  | FINISHED         | TRACKED
    APPLYING         | fail                     | FAILED           | TRACKED
    APPLYING         | grant destroy            | DESTROYING       | TESTING
    PERFORMING       | succeed                  | FINISHED         | TASK
    PERFORMING       | fail                     | FAILED           | TASK
    DESTROYING       | succeed                  | FINISHED         | TESTING
    DESTROYING       | fail                     | FAILED           | DESTROY
    PREPARING        | lose lease               | READY            | TRACKED
    PLANNING         | lose lease               | READY            | TRACKED
    PREPARING_APPLY  | lose lease               | CONFIRMED        | TRACKED
";

#[test]
fn documented_transitions() {
    let one = Attempt(1);
    for row in DOCUMENTED.trim().lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [from, what, to, run_type] = cells[..] else {
            panic!("{row}")
        };
        let mut run = run_in(from.parse().unwrap(), run_type.parse().unwrap());
        let event = events(one)
            .into_iter()
            .find(|event| event.to_string() == what);
        let event = event.unwrap_or_else(|| panic!("no such event: {row}"));
        if event.attempt().is_some() {
            (run.attempt, run.contact) = (one, Contact::Live);
        }
        let entered = run.apply(&event).map(|transition| transition.step);
        assert_eq!(entered, Ok(Step::Entered(to.parse().unwrap())), "{row}");
    }
}

#[test]
fn autodeploy_alone_lets_a_plan_ask_for_its_apply() {
    let mut run = run_in(RunState::Planning, RunType::Tracked);
    (run.attempt, run.contact) = (Attempt(1), Contact::Live);
    let grant = RunEvent::Granted(Attempt(1), GrantedPhase::Apply);
    assert!(matches!(
        run.apply(&grant),
        Err(IllegalTransition::NotNow { .. })
    ));
    run.approval = Approval::Automatic;
    assert_eq!(
        run.apply(&grant).unwrap().step,
        Step::Entered(RunState::Applying)
    );
    run.stop = Stop::Asked;
    assert!(matches!(
        run.apply(&grant),
        Err(IllegalTransition::StopAsked { .. })
    ));
}

#[test]
fn a_targeted_plan_waits_for_a_person_and_survives_its_launcher() {
    let mut run = run_in(RunState::Unconfirmed, RunType::Tracked);
    run.approval = Approval::Automatic;
    let mut run = run.apply(&RunEvent::Replan).unwrap().run;
    assert_eq!(run.scope, Scope::Targeted);
    run = run.apply(&RunEvent::Leased).unwrap().run;
    run = run.apply(&RunEvent::PlanStarted(run.attempt)).unwrap().run;
    let grant = RunEvent::Granted(run.attempt, GrantedPhase::Apply);
    assert!(matches!(
        run.apply(&grant),
        Err(IllegalTransition::NotNow { .. })
    ));
    let lost = run.apply(&RunEvent::LeaseLost(run.attempt)).unwrap();
    assert_eq!(lost.step, Step::Entered(RunState::ReplanRequested));
    let planned = RunEvent::Planned(run.attempt, PlanOutcome::Changes);
    let waits = run.apply(&planned).unwrap();
    assert_eq!(waits.step, Step::Entered(RunState::Unconfirmed));
    assert_eq!(waits.run.scope, Scope::Targeted);
}

#[test]
fn nobody_speaks_for_another() {
    let run = run_in(RunState::Unconfirmed, RunType::Tracked);
    for actor in [
        Actor::Server,
        Actor::Launcher(gantry_protocol::LauncherId::from_ulid(ulid::Ulid::nil())),
    ] {
        let refused = run.apply_by(&RunEvent::Confirm, &actor).unwrap_err();
        assert!(
            matches!(refused, IllegalTransition::WrongActor { .. }),
            "{refused}"
        );
    }
    assert!(
        run.apply_by(&RunEvent::Confirm, &Actor::User("ann".to_owned()))
            .is_ok()
    );
}

proptest! {
    /// A refusal says which run, and never panics.
    #[test]
    fn refusals_name_the_run(state in prop::sample::select(RunState::ALL.to_vec()), n in 0u32..3) {
        let run = run_in(state, RunType::Tracked);
        for event in events(Attempt(n)) {
            if let Err(refused) = run.apply(&event) {
                prop_assert!(refused.to_string().contains(&run.id.to_string()));
            }
        }
    }
}
