//! Approval policies through the API: who keeps a run, who lets it go on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::policies::{ATTACH, CREATE, TWO_EYES, new};
use crate::runs::{CANCEL, CONFIRM, TASK, TRIGGER, deploy, of, trigger};
use crate::world::{Client, World};
use gantry_protocol::RunType;

pub(crate) const REVIEW: &str = "mutation($decision:RunReviewDecision!$note:String!$run:ID$stack:ID!){runReview(stack: $stack, run: $run, decision: $decision, note: $note){id}}";
const SHOWN: &str = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){state,note,needsApproval,reviews{author,decision,note,state}}}}";

/// A world with a stack and one approval policy on it.
pub(crate) async fn world(body: &str) -> World {
    let world = World::new().await;
    world.stack().await;
    let policy = new("two-eyes", "APPROVAL", body, &[]);
    world.admin.ok(CREATE, policy).await;
    let on = json!({ "id": "two-eyes", "stack": "net" });
    world.admin.ok(ATTACH, on).await;
    world
}

pub(crate) fn says(run: &str, decision: &str, note: &str) -> Value {
    json!({ "stack": "net", "run": run, "decision": decision, "note": note })
}

async fn review(client: &Client, run: &str, decision: &str) {
    let made = client.ok(REVIEW, says(run, decision, "looked at it")).await;
    assert!(made["runReview"]["id"].is_string(), "{made}");
}

pub(crate) async fn shown(world: &World, run: &str) -> Value {
    let found = world.reader.ok(SHOWN, of(run)).await;
    found["stack"]["run"].clone()
}

async fn state(world: &World, run: &str) -> String {
    shown(world, run).await["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_run_waits_for_reviews_before_it_starts_and_before_it_applies() {
    let world = world(TWO_EYES).await;
    let run = deploy(&world.writer).await;
    let queued = shown(&world, &run).await;
    assert_eq!(
        (&queued["state"], &queued["needsApproval"]),
        (&json!("QUEUED"), &json!(true))
    );
    let denied = world
        .reader
        .refused(REVIEW, says(&run, "APPROVE", ""))
        .await;
    assert!(denied.starts_with("unauthorized"), "{denied}");
    review(&world.writer, &run, "APPROVE").await;
    let ready = shown(&world, &run).await;
    assert_eq!(
        (&ready["state"], &ready["needsApproval"]),
        (&json!("READY"), &json!(false))
    );
    let early = world
        .writer
        .refused(REVIEW, says(&run, "APPROVE", ""))
        .await;
    assert_eq!(
        early,
        format!("run `{run}` is READY: it waits for no review")
    );

    // What was said before the plan is no word about the plan.
    world.plans_changes(&run).await;
    assert_eq!(shown(&world, &run).await["needsApproval"], true);
    let refused = world.writer.refused(CONFIRM, of(&run)).await;
    assert_eq!(
        refused,
        format!("run `{run}` is not approved by policy `two-eyes`: it waits for reviews")
    );
    assert_eq!(state(&world, &run).await, "UNCONFIRMED");
    // Without a run, the one that holds the stack.
    let mut blocker = says(&run, "APPROVE", "fine");
    blocker["run"] = Value::Null;
    world.writer.ok(REVIEW, blocker).await;
    world.writer.ok(CONFIRM, of(&run)).await;
    let confirmed = shown(&world, &run).await;
    assert_eq!(confirmed["state"], "CONFIRMED");
    let said = |note: &str, state: &str| json!({ "author": "writer", "decision": "APPROVE", "note": note, "state": state });
    assert_eq!(
        confirmed["reviews"],
        json!([said("looked at it", "QUEUED"), said("fine", "UNCONFIRMED")])
    );
}

#[tokio::test]
async fn a_rejection_ends_what_waits() {
    let world = world(TWO_EYES).await;
    let run = deploy(&world.writer).await;
    review(&world.writer, &run, "REJECT").await;
    let failed = shown(&world, &run).await;
    assert_eq!(
        (&failed["state"], &failed["note"]),
        (&json!("FAILED"), &json!("rejected by policy `two-eyes`"))
    );
    let run = deploy(&world.writer).await;
    review(&world.writer, &run, "APPROVE").await;
    world.plans_changes(&run).await;
    review(&world.writer, &run, "REJECT").await;
    assert_eq!(state(&world, &run).await, "DISCARDED");
    let none = says(&run, "APPROVE", "");
    let mut none = none;
    none["run"] = Value::Null;
    let refused = world.writer.refused(REVIEW, none).await;
    assert_eq!(refused, "no run holds stack `net`: name one to review");
}

#[tokio::test]
async fn rules_may_ask_for_roles_and_for_several_people() {
    let two = "package spacelift\nnames := {a.session.login | a := input.reviews.current.approvals[_]}\napprove { count(names) >= 2; input.reviews.current.approvals[_].session.role == \"admin\" }\n";
    let world = world(two).await;
    let run = deploy(&world.writer).await;
    for _ in 0..3 {
        review(&world.writer, &run, "APPROVE").await;
        assert_eq!(state(&world, &run).await, "QUEUED");
    }
    review(&world.admin, &run, "APPROVE").await;
    assert_eq!(state(&world, &run).await, "READY");
}

#[tokio::test]
async fn tasks_and_previews_wait_too_and_a_run_that_waits_blocks_nobody() {
    let only_tasks = "package spacelift\napprove { input.run.type != \"TASK\" }\napprove { count(input.reviews.current.approvals) > 0 }\n";
    let world = world(only_tasks).await;
    let task = json!({ "stack": "net", "command": "rm -rf /", "noinit": false });
    let made = world.writer.ok(TASK, task).await;
    let task = made["taskCreate"]["id"].as_str().unwrap().to_owned();
    assert_eq!(state(&world, &task).await, "QUEUED");
    let run = deploy(&world.writer).await;
    assert_eq!(state(&world, &run).await, "READY");
    let preview = trigger(RunType::Proposed, None);
    let made = world.writer.ok(TRIGGER, preview).await;
    let preview = made["runTrigger"]["id"].as_str().unwrap();
    assert_eq!(state(&world, preview).await, "READY");
    world.writer.ok(CANCEL, of(&run)).await;
    assert_eq!(state(&world, &task).await, "QUEUED");
    review(&world.writer, &task, "APPROVE").await;
    assert_eq!(state(&world, &task).await, "READY");
}

#[tokio::test]
async fn a_policy_without_an_answer_approves_nothing_and_its_end_frees_the_run() {
    let broken = "package spacelift\napprove { to_number(input.run.id) > 0 }\nreject { false }\n";
    let world = world(broken).await;
    let run = deploy(&world.writer).await;
    review(&world.writer, &run, "APPROVE").await;
    assert_eq!(state(&world, &run).await, "QUEUED");
    let records = "{policy(id: \"two-eyes\"){evaluationRecords{key,outcome,timestamp}}}";
    let found = world.reader.ok(records, json!({})).await;
    let records = found["policy"]["evaluationRecords"].clone();
    let records = records.as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record["outcome"] == "error"));
    let sample =
        "query($key:String!){policy(id: \"two-eyes\"){evaluationSample(key: $key){input,body}}}";
    let found = world.reader.ok(sample, json!({ "key": records[0]["key"] }));
    let sample = found.await["policy"]["evaluationSample"].clone();
    assert_eq!(sample["body"], broken);
    let input: Value = serde_json::from_str(sample["input"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&input["run"]["state"], &input["stack"]["id"]),
        (&json!("QUEUED"), &json!("net"))
    );
    assert_eq!(
        input["reviews"]["current"]["approvals"][0]["session"]["role"],
        "writer"
    );

    let delete = "mutation{policyDelete(id: \"two-eyes\"){id}}";
    let mut changes = world.app().store.changes();
    world.admin.ok(delete, json!({})).await;
    let free = async {
        while state(&world, &run).await != "READY" {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), free)
        .await
        .expect("the run is free once nobody asks for reviews");
}
