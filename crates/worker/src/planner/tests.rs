//! Tables and properties of the planner. Never: a process, a socket, a clock.

use gantry_protocol::payload::{Hooks, ToolKind};
use proptest::prelude::*;

use super::*;

pub(crate) fn order(run_type: RunType, stage: Stage) -> WorkOrder {
    WorkOrder {
        run: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
        stack: "net".parse().unwrap(),
        run_type,
        stage,
        tool: ToolKind::Terraform,
        tool_from: gantry_protocol::socket::ToolFrom::default(),
        project_root: String::new(),
        autodeploy: false,
        targets: Vec::new(),
        skip_init: false,
        command: Some("true".into()),
        managed_state: false,
        environment: Vec::new(),
        hooks: Hooks::default(),
        handed: Vec::new(),
        trace_commands: false,
        spool_budget: 1 << 20,
    }
}

fn failure() -> Failure {
    Failure {
        kind: FailureKind::Tool,
        message: "terraform apply ended with exit code 1".into(),
    }
}

/// Walks a run and writes every step down in short.
fn walk(order: &WorkOrder, events: Vec<Event>) -> Vec<String> {
    let (mut planner, step) = Planner::start(order);
    let mut steps = vec![short(&step)];
    for event in events {
        steps.push(short(&planner.next(event)));
    }
    steps
}

fn short(step: &Step) -> String {
    match step {
        Step::Run(work) => format!("run {}", name(work.phase())),
        Step::Ask(phase) => format!("ask {}", name(*phase)),
        Step::End(WorkerEnd::Succeeded) => "succeeded".into(),
        Step::End(WorkerEnd::Parked) => "parked".into(),
        Step::End(WorkerEnd::Failed { kind, .. }) => format!("failed {kind:?}"),
        Step::End(WorkerEnd::Stopped { message }) => format!("stopped {message}"),
    }
}

fn done() -> Event {
    Event::Left(Outcome::Done, None)
}

fn planned(changes: bool) -> Event {
    Event::Left(Outcome::Planned { changes }, None)
}

fn failed() -> Event {
    Event::Left(Outcome::Failed(failure()), None)
}

fn grant() -> Event {
    Event::Answered(Answer::Grant)
}

fn deny() -> Event {
    Event::Answered(Answer::Deny("policy".into()))
}

fn stopped(outcome: Outcome) -> Event {
    Event::Left(outcome, Some(StopNote("note".into())))
}

fn check(order: &WorkOrder, events: Vec<Event>, expected: &str) {
    assert_eq!(walk(order, events).join(", "), expected);
}

#[test]
fn proposed_and_tracked_runs_follow_the_table() {
    use RunType::{Proposed, Tracked};
    let proposed = order(Proposed, Stage::Start);
    let ok = "run init, run plan, succeeded";
    check(&proposed, vec![done(), planned(true)], ok);
    check(&proposed, vec![done(), planned(false)], ok);
    check(&proposed, vec![failed()], "run init, failed Tool");
    let mut tracked = order(Tracked, Stage::Start);
    let parked = "run init, run plan, parked";
    check(&tracked, vec![done(), planned(true)], parked);
    check(&tracked, vec![done(), planned(false)], ok);
    tracked.autodeploy = true;
    let applied = "run init, run plan, ask apply, run apply, succeeded";
    let events = vec![done(), planned(true), grant(), done()];
    check(&tracked, events, applied);
    let waits = "run init, run plan, ask apply, parked";
    let park = Event::Answered(Answer::Park);
    check(&tracked, vec![done(), planned(true), park], waits);
    let denied = "run init, run plan, ask apply, failed Denied";
    check(&tracked, vec![done(), planned(true), deny()], denied);
    check(&tracked, vec![done(), planned(false)], ok);
}

#[test]
fn a_second_lease_asks_before_it_applies() {
    let tracked = order(RunType::Tracked, Stage::Apply);
    let applied = "ask apply, run apply, succeeded";
    check(&tracked, vec![grant(), done()], applied);
    check(&tracked, vec![deny()], "ask apply, failed Denied");
    let destroy = order(RunType::Destroy, Stage::Apply);
    let destroyed = "ask destroy, run destroy, succeeded";
    check(&destroy, vec![grant(), done()], destroyed);
    let proposed = order(RunType::Proposed, Stage::Apply);
    check(&proposed, vec![], "failed Internal");
}

#[test]
fn tasks_ask_after_init_and_destroys_after_their_plan() {
    let mut task = order(RunType::Task, Stage::Start);
    let with_init = "run init, ask perform, run perform, succeeded";
    check(&task, vec![done(), grant(), done()], with_init);
    task.skip_init = true;
    let without = "ask perform, run perform, failed Tool";
    check(&task, vec![grant(), failed()], without);
    task.command = None;
    check(&task, vec![], "failed Internal");
    let mut destroy = order(RunType::Destroy, Stage::Start);
    let parked = "run init, run plan, parked";
    check(&destroy, vec![done(), planned(true)], parked);
    let nothing = "run init, run plan, succeeded";
    check(&destroy, vec![done(), planned(false)], nothing);
    destroy.autodeploy = true;
    let destroyed = "run init, run plan, ask destroy, run destroy, succeeded";
    let events = vec![done(), planned(true), grant(), done()];
    check(&destroy, events, destroyed);
}

#[test]
fn a_replan_plans_and_waits_whatever_autodeploy_says() {
    for kind in [RunType::Tracked, RunType::Destroy] {
        let mut replan = order(kind, Stage::Replan);
        replan.autodeploy = true;
        check(&replan, vec![planned(true)], "run plan, parked");
        check(&replan, vec![planned(false)], "run plan, succeeded");
        check(&replan, vec![failed()], "run plan, failed Tool");
    }
    for kind in [RunType::Proposed, RunType::Task, RunType::Testing] {
        let mut replan = order(kind, Stage::Replan);
        replan.command = Some("true".into());
        check(&replan, vec![], "failed Internal");
    }
}

#[test]
fn a_test_destroys_also_after_a_failed_apply() {
    let test = order(RunType::Testing, Stage::Start);
    let start = "run init, run plan, ask apply, run apply, ask destroy";
    let before = |last: Event| vec![done(), planned(true), grant(), last];
    let events = [before(done()), vec![grant(), done()]].concat();
    check(&test, events, &format!("{start}, run destroy, succeeded"));
    let events = [before(failed()), vec![grant(), done()]].concat();
    check(&test, events, &format!("{start}, run destroy, failed Tool"));
    let events = [before(failed()), vec![deny()]].concat();
    check(&test, events, &format!("{start}, failed Denied"));
    let park = Event::Answered(Answer::Park);
    let events = [before(done()), vec![park]].concat();
    check(&test, events, &format!("{start}, failed Denied"));
}

#[test]
fn a_test_names_both_of_its_failures() {
    let (mut planner, _) = Planner::start(&order(RunType::Testing, Stage::Apply));
    for event in [grant(), failed(), grant()] {
        planner.next(event);
    }
    let Step::End(WorkerEnd::Failed { message, .. }) = planner.next(failed()) else {
        panic!("a failed destroy ends the run");
    };
    assert_eq!(message.matches("terraform apply ended").count(), 2);
}

#[test]
fn a_stop_begins_nothing_new_and_keeps_a_reached_end() {
    let mut tracked = order(RunType::Tracked, Stage::Start);
    let failed = Outcome::Failed(failure());
    let in_init = "run init, stopped note";
    check(&tracked, vec![stopped(failed.clone())], in_init);
    check(&tracked, vec![stopped(Outcome::Done)], in_init);
    let planned_anyway = stopped(Outcome::Planned { changes: true });
    let in_plan = "run init, run plan, stopped note";
    check(&tracked, vec![done(), planned_anyway.clone()], in_plan);
    let nothing = stopped(Outcome::Planned { changes: false });
    check(
        &tracked,
        vec![done(), nothing],
        "run init, run plan, succeeded",
    );
    tracked.autodeploy = true;
    check(&tracked, vec![done(), planned_anyway], in_plan);
    let while_asking = Event::Stopped(StopNote("note".into()));
    let asked = "run init, run plan, ask apply, stopped note";
    check(&tracked, vec![done(), planned(true), while_asking], asked);
    let test = order(RunType::Testing, Stage::Apply);
    let in_test = "ask apply, run apply, stopped note";
    check(&test, vec![grant(), stopped(failed)], in_test);
}

fn any_event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        Just(Outcome::Done),
        any::<bool>().prop_map(|changes| Outcome::Planned { changes }),
        Just(Outcome::Failed(failure())),
    ];
    let note = proptest::option::of(Just(StopNote("note".into())));
    let answer = prop_oneof![
        Just(Answer::Grant),
        Just(Answer::Park),
        Just(Answer::Deny("no".into()))
    ];
    prop_oneof![
        4 => (outcome, note).prop_map(|(outcome, note)| Event::Left(outcome, note)),
        4 => answer.prop_map(Event::Answered),
        1 => Just(Event::Stopped(StopNote("note".into()))),
    ]
}

fn any_order() -> impl Strategy<Value = WorkOrder> {
    let kind = proptest::sample::select(RunType::ALL.to_vec());
    let stage = prop_oneof![Just(Stage::Start), Just(Stage::Apply), Just(Stage::Replan)];
    (kind, stage, any::<[bool; 3]>()).prop_map(|(kind, stage, [autodeploy, skip, command])| {
        let mut order = order(kind, stage);
        order.autodeploy = autodeploy;
        order.skip_init = skip;
        order.command = command.then(|| "true".into());
        order
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever happens in whatever order: a phase that needs a grant runs only right after its own
    /// grant, at most once, and nothing follows an end.
    #[test]
    fn the_world_changes_only_after_a_grant(
        order in any_order(),
        events in proptest::collection::vec(any_event(), 0..12),
    ) {
        let (mut planner, first) = Planner::start(&order);
        let mut asked = if let Step::Ask(phase) = first { Some(phase) } else { None };
        let mut ended = matches!(first, Step::End(_));
        prop_assert!(!changes_world(&first));
        let mut changed = Vec::new();
        for event in events {
            let step = planner.next(event.clone());
            if let Step::Run(work) = &step
                && work.phase().state().needs_grant()
            {
                prop_assert_eq!(&event, &Event::Answered(Answer::Grant));
                prop_assert_eq!(asked, Some(work.phase()));
                prop_assert!(!changed.contains(&work.phase()));
                changed.push(work.phase());
            }
            let failed = matches!(step, Step::End(WorkerEnd::Failed { .. }));
            prop_assert!(!ended || failed, "a step after the end");
            ended |= matches!(step, Step::End(_));
            asked = if let Step::Ask(phase) = step { Some(phase) } else { None };
        }
    }
}

fn changes_world(step: &Step) -> bool {
    matches!(step, Step::Run(work) if work.phase().state().needs_grant())
}
