//! Plans as data, and what plan policies make of them.

use gantry_policy::PolicyKind;
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{GrantAnswer, Lease, Outcome, RunResult};
use gantry_protocol::plan::{HIDDEN, PlanData};
use gantry_protocol::{RunState, RunType};
use gantry_server::domain::Approval;
use gantry_server::store::{plans, policies, run_flags};
use serde_json::{Value, json};

use crate::client::{Client, changes, code, ended, path};
use crate::world::World;

const DENY: &str = "package spacelift\ndeny[m] { c := input.terraform.resource_changes[_]; c.change.actions[_] == \"delete\"; m := sprintf(\"%s goes away\", [c.address]) }\n";
const WARN: &str = "package spacelift\nwarn[m] { c := input.spacelift.run.changes[_]; c.action == \"added\"; m := sprintf(\"%s is new\", [c.entity.address]) }\n";
const BROKEN: &str = "package spacelift\ndeny[\"x\"] { to_number(input.spacelift.stack.id) > 0 }\n";
const ENDLESS: &str = "package spacelift\ndeny[\"x\"] { count([1 | numbers.range(1, 100000)[_] > 0; numbers.range(1, 100000)[_] > 0]) < 0 }\n";

/// A plan that does `action` to one resource.
fn plan(action: &str) -> PlanData {
    let change = json!({ "actions": [action], "before": null, "after": { "password": "SECRET" },
        "before_sensitive": false, "after_sensitive": { "password": true }, "after_unknown": {} });
    PlanData::Document(
        json!({ "format_version": "1.2", "terraform_version": "1.11.4",
        "resource_changes": [{ "address": "aws_vpc.main", "type": "aws_vpc", "name": "main", "change": change }] }),
    )
}

async fn planned(world: &World, client: &Client, run_type: RunType, approval: Approval) -> Lease {
    world.set_approval(approval).await;
    world.trigger_on(&world.stack, run_type, approval).await;
    let lease = client.lease(world).await;
    client.plan(lease).await;
    lease
}

async fn with_policy(body: &str) -> (World, Client) {
    let world = World::new().await;
    world.add_policy("rules", PolicyKind::Plan, body).await;
    let client = world.launcher().await;
    (world, client)
}

fn success() -> RunResult {
    RunResult {
        plan: Some(changes()),
        ..ended(Outcome::Succeeded)
    }
}

async fn note(world: &World, lease: Lease) -> String {
    world.run(lease.run).await.note.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_kept_sealed_and_without_what_it_marks() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Person).await;
    let taken = client.put_plan(lease, &plan("create")).await.unwrap();
    assert_eq!(taken.notes, Vec::<String>::new());
    // Again, as after a lost answer: nothing changes.
    client.put_plan(lease, &plan("create")).await.unwrap();
    let row = || async {
        let mut conn = world.control.store.read().await.unwrap();
        plans::newest(&mut conn, lease.run).await.unwrap().unwrap()
    };
    let first = row().await;
    let (document, _) = world.control.plans.whole(&first).await.unwrap().unwrap();
    let after = &document["resource_changes"][0]["change"]["after"];
    assert_eq!(after["password"], HIDDEN, "a launcher is not believed");
    let changes = world.control.plans.changes(&first).await.unwrap().unwrap();
    assert_eq!(
        (changes[0].address.as_str(), changes[0].kind.as_str()),
        ("aws_vpc.main", "ADD")
    );
    let plans::PlanContent::Document { blob, .. } = &first.content else {
        panic!("{first:?}")
    };
    let stored = world.control.blobs.get_bytes(blob).await.unwrap();
    assert!(
        !stored.windows(7).any(|bytes| bytes == b"aws_vpc"),
        "sealed"
    );
    // Another one while it plans replaces it; afterwards none does.
    client.put_plan(lease, &plan("delete")).await.unwrap();
    assert_ne!(row().await.digest, first.digest);
    assert!(world.control.blobs.get_bytes(blob).await.is_err());
    client.park(&world, lease).await;
    let late = client.put_plan(lease, &plan("create")).await;
    assert_eq!(code(late), ProblemCode::StaleAttempt);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plan_is_refused_and_not_quoted() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Person).await;
    let put = |body: String| {
        client
            .request(reqwest::Method::PUT, &path(lease, "plan"))
            .body(body)
    };
    for body in [
        "",
        "hunter2",
        "{\"document\":\"hunter2\"}",
        "{\"document\":{},\"more\":\"hunter2\"}",
    ] {
        let (status, answer) = crate::client::bytes(put(body.to_owned())).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(status, 400, "{answer}");
        assert!(!answer.contains("hunter2"), "{answer}");
    }
    let long = put(" ".repeat(gantry_protocol::plan::MAX_PLAN_DATA + 1));
    assert_eq!(crate::client::bytes(long).await.0, 413);
    let other = Client::enrolled(&world).await;
    let mut other = other;
    other.take_over("other").await.unwrap();
    let foreign = other.put_plan(lease, &plan("create")).await;
    assert_eq!(code(foreign), ProblemCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_withholds_the_grant_and_fails_the_run() {
    let (world, client) = with_policy(DENY).await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Automatic).await;
    let taken = client.put_plan(lease, &plan("delete")).await.unwrap();
    assert_eq!(
        taken.notes,
        ["policy `rules` denies: aws_vpc.main goes away"]
    );
    let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
    let GrantAnswer::Denied { reason } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(reason, "policy `rules` denies: aws_vpc.main goes away");

    // Without autodeploy it is the parked plan that fails.
    let ended = ended(Outcome::Failed {
        reason: gantry_protocol::control::run::FailReason::Denied,
        message: reason,
    });
    client.result(lease, &ended).await.unwrap();
    let lease = planned(&world, &client, RunType::Tracked, Approval::Person).await;
    client.put_plan(lease, &plan("delete")).await.unwrap();
    assert_eq!(client.park(&world, lease).await.state, RunState::Failed);
    assert!(note(&world, lease).await.contains("aws_vpc.main goes away"));

    // What it has nothing against goes on.
    let lease = planned(&world, &client, RunType::Tracked, Approval::Automatic).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
    assert!(matches!(answer, GrantAnswer::Granted { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_stops_at_a_person() {
    let (world, client) = with_policy(WARN).await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Automatic).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
    assert_eq!(answer, GrantAnswer::Park);
    assert_eq!(
        client.park(&world, lease).await.state,
        RunState::Unconfirmed
    );
    assert_eq!(
        note(&world, lease).await,
        "policy `rules` warns: aws_vpc.main is new"
    );
    // The same policies were asked once about the same plan.
    let mut conn = world.control.store.read().await.unwrap();
    let samples = policies::samples(&mut conn, &"rules".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].outcome, "warn");
    let input: Value = serde_json::from_str(samples[0].input.as_ref().unwrap()).unwrap();
    assert_eq!(input["spacelift"]["stack"]["id"], "net");
    assert_eq!(input["terraform"]["terraform_version"], "1.11.4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_with_warnings_waits_for_reviewers_where_there_are_any() {
    let (world, client) = with_policy(WARN).await;
    let lease = planned(&world, &client, RunType::Proposed, Approval::Person).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let taken = client.result(lease, &success()).await.unwrap();
    assert_eq!(taken.state, RunState::Finished);
    assert!(note(&world, lease).await.contains("is new"));

    let approve = "package spacelift\napprove { count(input.reviews.current.approvals) > 0 }\n";
    world
        .add_policy("eyes", PolicyKind::Approval, approve)
        .await;
    let lease = planned(&world, &client, RunType::Proposed, Approval::Person).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let taken = client.result(lease, &success()).await.unwrap();
    assert_eq!(taken.state, RunState::PendingReview);
}

/// Waits until a run is in a state.
async fn becomes(world: &World, lease: Lease, state: RunState) {
    let mut changes = world.control.store.changes();
    let there = async {
        while world.state(lease.run).await != state {
            changes.changed().await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), there).await;
    let found = world.state(lease.run).await;
    assert!(in_time.is_ok(), "{found} instead of {state}");
}

async fn flags(world: &World, lease: Lease) -> Vec<String> {
    let mut conn = world.control.store.read().await.unwrap();
    run_flags::of(&mut conn, lease.run).await.unwrap()
}

const NOTES: &str = r#"package spacelift
flag["new"] { input.spacelift.run.changes[_].action == "added" }
flag[sprintf("after %s", [input.spacelift.previous_run.id])] { true }
reset_flag["seen"] { true }
warn["look"] { input.spacelift.run.type == "PROPOSED" }
"#;

const BY_NOTES: &str = r#"package spacelift
approve_with_note["it is only new"] { input.run.flags[_] == "new"; input.run.changes[_].actions[_] == "added" }
reject_with_note["nothing goes"] { input.run.changes[_].actions[_] == "deleted" }
flag["seen"] { true }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn policies_tell_each_other_and_launchers_and_decide_without_a_review() {
    let (world, client) = with_policy(NOTES).await;
    world
        .add_policy("eyes", PolicyKind::Approval, BY_NOTES)
        .await;
    let lease = planned(&world, &client, RunType::Proposed, Approval::Person).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let taken = client.result(lease, &success()).await.unwrap();
    assert_eq!(taken.state, RunState::PendingReview);
    becomes(&world, lease, RunState::Finished).await;
    assert_eq!(flags(&world, lease).await, ["new", "seen"]);
    assert!(
        note(&world, lease)
            .await
            .contains("approved: it is only new")
    );

    // What was noted about a plan comes with its apply, and its run is the next one's previous.
    let lease = planned(&world, &client, RunType::Tracked, Approval::Person).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let parked = client.park(&world, lease).await;
    assert_eq!(parked.state, RunState::Unconfirmed);
    let confirm = gantry_server::domain::RunEvent::Confirm;
    world.decide(lease.run, confirm, None).await;
    let payload = world.open(&client, &client.next_run().await).await;
    assert_eq!(payload.flags[0], "new");
    let apply = Lease {
        attempt: payload.attempt,
        ..lease
    };
    let answer = client.grant(apply, 1, RunState::Applying).await.unwrap();
    assert!(matches!(answer, GrantAnswer::Granted { .. }), "{answer:?}");
    client
        .result(apply, &ended(Outcome::Succeeded))
        .await
        .unwrap();

    let after = format!("after {}", lease.run);
    let lease = planned(&world, &client, RunType::Tracked, Approval::Person).await;
    client.put_plan(lease, &plan("delete")).await.unwrap();
    assert_eq!(flags(&world, lease).await.join(","), after);
    client.park(&world, lease).await;
    becomes(&world, lease, RunState::Failed).await;
    assert_eq!(flags(&world, lease).await, [after, "seen".to_owned()]);
    assert_eq!(
        note(&world, lease).await,
        "rejected by policy `eyes`: nothing goes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_decided_is_denied() {
    for (body, expected) in [(BROKEN, "has no answer"), (ENDLESS, "took longer")] {
        let (world, client) = with_policy(body).await;
        let lease = planned(&world, &client, RunType::Tracked, Approval::Automatic).await;
        client.put_plan(lease, &plan("create")).await.unwrap();
        let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
        let GrantAnswer::Denied { reason } = answer else {
            panic!("{expected}: {answer:?}")
        };
        assert!(
            reason.contains(expected) && reason.contains("`rules`"),
            "{reason}"
        );
    }
    // No plan, and one that stayed on its host.
    let (world, client) = with_policy(DENY).await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Automatic).await;
    let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
    let GrantAnswer::Denied { reason } = answer else {
        panic!("{answer:?}")
    };
    assert!(reason.contains("sent no plan"), "{reason}");
    let withheld = PlanData::Withheld("it has more than 32 MiB".to_owned());
    client.put_plan(lease, &withheld).await.unwrap();
    assert_eq!(client.park(&world, lease).await.state, RunState::Failed);
    let note = note(&world, lease).await;
    assert!(
        note.contains("more than 32 MiB") && note.contains("`rules`"),
        "{note}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_came_meanwhile_is_asked_too() {
    let (world, client) = with_policy(WARN).await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Automatic).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    let never = "package spacelift\ndeny[\"never\"] { true }\n";
    world.add_policy("strict", PolicyKind::Plan, never).await;
    let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
    assert!(matches!(answer, GrantAnswer::Denied { .. }), "{answer:?}");
    // A confirmed run was asked about when it was planned.
    let (world, client) = with_policy(WARN).await;
    let lease = planned(&world, &client, RunType::Tracked, Approval::Person).await;
    client.put_plan(lease, &plan("create")).await.unwrap();
    client.park(&world, lease).await;
    world.add_policy("strict", PolicyKind::Plan, never).await;
    world
        .decide(lease.run, gantry_server::domain::RunEvent::Confirm, None)
        .await;
    let apply = client.lease(&world).await;
    let answer = client.grant(apply, 1, RunState::Applying).await.unwrap();
    assert!(matches!(answer, GrantAnswer::Granted { .. }), "{answer:?}");
}
