//! Looks for drift: set through the API, made when they are due, and what follows from them.

use gantry_protocol::socket::PlanSummary;
use gantry_protocol::{Attempt, RunId, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{GrantedPhase, PlanOutcome, RunEnd, RunEvent};
use gantry_server::operations::look_for_drift;
use gantry_server::store::runs;
use serde_json::{Value, json};

use crate::runs::{CONFIRM, TRIGGER, deploy, of, trigger};
use crate::world::World;

const SET: &str = "mutation($stack:ID!$input:DriftDetectionInput!){stackDriftDetectionSet(stack: $stack, input: $input){schedule,timezone,reconcile,nextSchedule}}";
const OFF: &str = "mutation($stack:ID!){stackDriftDetectionDelete(stack: $stack){id}}";
const SHOWN: &str = "query{stack(id: \"net\"){driftDetection{schedule,reconcile,nextSchedule},runs{id,type,state,driftDetection,triggeredBy,commit{hash}}}}";

fn set(reconcile: bool) -> Value {
    json!({ "stack": "net", "input": { "schedule": ["0 6 * * *"], "timezone": "Europe/Berlin",
        "reconcile": reconcile } })
}

/// The stack's newest run, and when the next look is due.
async fn newest(world: &World) -> (Value, i64) {
    let found = world.reader.ok(SHOWN, json!({})).await["stack"].clone();
    let next = found["driftDetection"]["nextSchedule"].as_i64();
    (found["runs"][0].clone(), next.unwrap_or_default())
}

async fn turn(world: &World, at: i64) {
    look_for_drift(world.app(), UnixMillis(at * 1000))
        .await
        .unwrap();
}

/// Deploys once, to its end.
async fn deployed(world: &World) {
    let run = deploy(&world.writer).await;
    world.plans_changes(&run).await;
    world.writer.ok(CONFIRM, of(&run)).await;
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Apply),
        RunEvent::Ended(two, RunEnd::Succeeded),
    ] {
        world.happens(&run, event).await;
    }
}

/// Plays the launcher of a look.
async fn looks(world: &World, run: &str, outcome: PlanOutcome) {
    let one = Attempt(1);
    for event in [
        RunEvent::Leased,
        RunEvent::InitStarted(one),
        RunEvent::PlanStarted(one),
    ] {
        world.happens(run, event).await;
    }
    let run: RunId = run.parse().unwrap();
    let plan = PlanSummary {
        has_changes: outcome == PlanOutcome::Changes,
        ..PlanSummary::default()
    };
    let mut tx = world.app().store.begin().await.unwrap();
    runs::record_plan(&mut tx, run, &plan).await.unwrap();
    world.app().store.commit(tx).await.unwrap();
    let planned = RunEvent::Planned(one, outcome);
    world.happens(&run.to_string(), planned).await;
}

#[tokio::test]
async fn a_difference_is_found_when_due_and_deployed_away_where_that_is_asked_for() {
    let world = World::new().await;
    let head = world.stack().await;
    deployed(&world).await;
    for reconcile in [false, true] {
        let made = world.writer.ok(SET, set(reconcile)).await;
        let made = &made["stackDriftDetectionSet"];
        assert_eq!(
            (&made["timezone"], &made["reconcile"]),
            (&json!("Europe/Berlin"), &json!(reconcile))
        );
        let (before, next) = newest(&world).await;
        turn(&world, next - 1).await;
        assert_eq!(
            newest(&world).await.0["id"],
            before["id"],
            "it is not due yet"
        );
        turn(&world, next).await;
        let (look, after) = newest(&world).await;
        assert!(after > next, "{after}");
        let about = json!({ "id": look["id"], "type": "PROPOSED", "state": "READY", "driftDetection": true,
            "triggeredBy": "drift detection", "commit": { "hash": head } });
        assert_eq!(look, about);
        // One look at a time, however many times pass.
        turn(&world, after).await;
        assert_eq!(newest(&world).await.0["id"], look["id"]);
        looks(&world, look["id"].as_str().unwrap(), PlanOutcome::Changes).await;
        turn(&world, after).await;
        let (last, _) = newest(&world).await;
        match reconcile {
            false => assert_eq!(last["id"], look["id"]),
            true => {
                assert_eq!(
                    (&last["type"], &last["driftDetection"]),
                    (&json!("TRACKED"), &json!(false))
                );
                assert_eq!(last["commit"]["hash"], json!(head));
            }
        }
        turn(&world, after).await;
        assert_eq!(
            newest(&world).await.0["id"],
            last["id"],
            "a consequence is drawn once"
        );
    }
}

#[tokio::test]
async fn stacks_that_are_off_held_busy_or_new_are_passed_over() {
    let world = World::new().await;
    world.stack().await;
    world.writer.ok(SET, set(false)).await;
    let no_run = |found: &Value| found.is_null();
    let (_, next) = newest(&world).await;
    turn(&world, next).await;
    let (found, next) = newest(&world).await;
    assert!(no_run(&found), "nothing was deployed yet: {found}");
    deployed(&world).await;
    let stack = json!({ "stack": "net" });
    let lock = "mutation($note:String!$stack:ID!){stackLock(id: $stack, note: $note){id}}";
    let unlock = "mutation($stack:ID!){stackUnlock(id: $stack){id}}";
    let enable = "mutation($stack:ID!){stackEnable(id: $stack){id}}";
    let disable = "mutation($stack:ID!){stackDisable(id: $stack){id}}";
    let (last, _) = newest(&world).await;
    let mut next = next;
    for (before, after) in [(lock, unlock), (disable, enable)] {
        world
            .writer
            .ok(before, json!({ "stack": "net", "note": "" }))
            .await;
        turn(&world, next).await;
        let (found, later) = newest(&world).await;
        assert_eq!(found["id"], last["id"], "{before}");
        assert!(later > next);
        next = later;
        world.writer.ok(after, stack.clone()).await;
    }
    let busy = world
        .writer
        .ok(TRIGGER, trigger(RunType::Tracked, None))
        .await;
    turn(&world, next).await;
    let (found, later) = newest(&world).await;
    assert_eq!(found["id"], busy["runTrigger"]["id"]);
    world
        .writer
        .ok(crate::runs::CANCEL, of(found["id"].as_str().unwrap()))
        .await;

    assert_eq!(
        world.writer.ok(OFF, stack.clone()).await["stackDriftDetectionDelete"]["id"],
        "net"
    );
    assert!(world.writer.ok(OFF, stack).await["stackDriftDetectionDelete"].is_null());
    turn(&world, later).await;
    assert_eq!(newest(&world).await.0["id"], found["id"]);
}

#[tokio::test]
async fn what_is_no_schedule_is_refused() {
    let world = World::new().await;
    world.stack().await;
    let input = |schedule: Value, zone: &str| json!({ "stack": "net", "input": { "schedule": schedule, "timezone": zone } });
    for (variables, expected) in [
        (input(json!([]), "UTC"), "1 to 20 lines"),
        (input(json!(["every day"]), "UTC"), "`every day`"),
        (input(json!(["0 6 * * *"]), "Mars"), "`Mars`"),
    ] {
        let refused = world.writer.refused(SET, variables).await;
        assert!(refused.contains(expected), "{refused}");
    }
    world.reader.refused(SET, set(false)).await;
}
