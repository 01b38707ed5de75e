//! Runs through the API: trigger, tail, decide; with the operations that clients send.

use gantry_protocol::{Attempt, RunType};
use gantry_server::domain::{GrantedPhase, RunEnd, RunEvent};
use serde_json::{Value, json};

use crate::world::{Client, World};

pub(crate) const TRIGGER: &str = "mutation($forceApply:ForceApplyMode$runtimeConfig:RuntimeConfigInput$sha:String$stack:ID!$type:RunType){runTrigger(stack: $stack, commitSha: $sha, runType: $type, runtimeConfig: $runtimeConfig, forceApply: $forceApply){id}}";
pub(crate) const CONFIRM: &str =
    "mutation($run:ID!$stack:ID!){runConfirm(stack: $stack, run: $run){id}}";
pub(crate) const DISCARD: &str =
    "mutation($run:ID!$stack:ID!){runDiscard(stack: $stack, run: $run){id}}";
pub(crate) const CANCEL: &str =
    "mutation($run:ID!$stack:ID!){runCancel(stack: $stack, run: $run){id}}";
pub(crate) const STOP: &str =
    "mutation($note:String!$run:ID!$stack:ID!){runStop(stack: $stack, run: $run, note: $note){id}}";
pub(crate) const TASK: &str = "mutation($command:String!$noinit:Boolean$stack:ID!){taskCreate(stack: $stack, command: $command, skipInitialization: $noinit){id}}";
const HISTORY: &str = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){history{hasLogs,note,state,stateVersion,terminal,timestamp,username}}}}";
pub(crate) const LOGS: &str = "query($run:ID!$stack:ID!$state:RunState!$stateVersion:Int!$token:String){stack(id: $stack){run(id: $run){logs(state: $state, token: $token, stateVersion: $stateVersion){exists,finished,hasMore,messages{message},nextToken}}}}";

pub(crate) fn trigger(run_type: RunType, sha: Option<&str>) -> Value {
    json!({ "forceApply": null, "runtimeConfig": null, "sha": sha, "stack": "net",
        "type": run_type.as_str() })
}

pub(crate) fn of(run: &str) -> Value {
    json!({ "stack": "net", "run": run })
}

pub(crate) async fn deploy(client: &Client) -> String {
    let made = client.ok(TRIGGER, trigger(RunType::Tracked, None)).await;
    made["runTrigger"]["id"].as_str().unwrap().to_owned()
}

async fn state(world: &World, run: &str) -> String {
    let text = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){state}}}";
    let found = world.reader.ok(text, of(run)).await;
    found["stack"]["run"]["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_deployment_from_trigger_to_finish() {
    let world = World::new().await;
    let head = world.stack().await;
    let run = deploy(&world.writer).await;
    let fields = "query($run:ID!$stack:ID!){stack(id: $stack){state,trackedCommit{hash},trackedCommitSetBy,blocker{id},run(id: $run){type,state,branch,triggeredBy,commit{hash},delta{addCount},finished,attempt}}}";
    let shown = world.reader.ok(fields, of(&run)).await["stack"].clone();
    assert_eq!(
        shown["run"],
        json!({ "type": "TRACKED", "state": "READY", "branch": "main",
        "triggeredBy": "writer", "commit": { "hash": head }, "delta": null, "finished": false,
        "attempt": 0 })
    );
    assert_eq!(shown["trackedCommit"]["hash"], json!(head));
    assert_eq!(
        (&shown["state"], &shown["blocker"]["id"]),
        (&json!("READY"), &json!(run))
    );

    world.plans_changes(&run).await;
    let confirmed = world.writer.ok(CONFIRM, of(&run)).await;
    assert_eq!(confirmed["runConfirm"]["id"], json!(run));
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Apply),
        RunEvent::Ended(two, RunEnd::Succeeded),
    ] {
        world.happens(&run, event).await;
    }
    let history = world.reader.ok(HISTORY, of(&run)).await;
    let lines = history["stack"]["run"]["history"]
        .as_array()
        .unwrap()
        .clone();
    let states: Vec<_> = lines
        .iter()
        .map(|line| line["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states.join(" "),
        "FINISHED APPLYING PREPARING_APPLY CONFIRMED UNCONFIRMED PLANNING INITIALIZING PREPARING READY QUEUED"
    );
    assert_eq!(lines[0]["terminal"], true);
    assert_eq!(lines[3]["username"], "writer");
    let with_logs: Vec<_> = lines
        .iter()
        .map(|line| line["hasLogs"].as_bool().unwrap())
        .collect();
    let expected = [
        false, true, true, false, false, true, true, true, false, false,
    ];
    assert_eq!(with_logs, expected);
    assert_eq!(lines[9]["stateVersion"], 1);
    let found = world
        .reader
        .ok(
            "query($runId:ID!){runStack(runId: $runId){id,name}}",
            json!({ "runId": run }),
        )
        .await;
    assert_eq!(found["runStack"]["id"], "net");
}

#[tokio::test]
async fn decisions_are_taken_once_and_refusals_say_where_the_run_stands() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let early = world.writer.refused(CONFIRM, of(&run)).await;
    assert_eq!(
        early,
        format!("TRACKED run `{run}` is READY: cannot confirm")
    );
    world.plans_changes(&run).await;
    let late = world.writer.refused(CANCEL, of(&run)).await;
    assert!(late.ends_with("is UNCONFIRMED: cannot cancel"), "{late}");
    let stop = json!({ "stack": "net", "run": run, "note": "Stopped by spacectl" });
    assert!(
        world
            .writer
            .refused(STOP, stop)
            .await
            .ends_with("cannot stop")
    );
    world.writer.ok(DISCARD, of(&run)).await;
    assert_eq!(state(&world, &run).await, "DISCARDED");
    let again = world.writer.refused(DISCARD, of(&run)).await;
    assert_eq!(
        again,
        format!("run `{run}` has already ended as DISCARDED: cannot discard")
    );
    let elsewhere = json!({ "stack": "other", "run": run });
    let refused = world.writer.refused(DISCARD, elsewhere).await;
    assert_eq!(refused, "stack `other` does not exist");
    let missing = world
        .reader
        .refused(
            "query($runId:ID!){runStack(runId: $runId){id,name}}",
            json!({ "runId": "nope" }),
        )
        .await;
    assert_eq!(missing, "not found");
}

#[tokio::test]
async fn of_two_confirms_at_one_instant_one_wins() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    world.plans_changes(&run).await;
    let confirm = || world.writer.post(CONFIRM, of(&run));
    let answers = tokio::join!(confirm(), confirm(), confirm(), confirm());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.get("errors").is_none());
    assert_eq!((won.len(), lost.len()), (1, 3), "{answers:?}");
    for answer in lost {
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.ends_with("is CONFIRMED: cannot confirm"),
            "{message}"
        );
    }
    let history = world.reader.ok(HISTORY, of(&run)).await;
    let lines = history["stack"]["run"]["history"].as_array().unwrap();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["state"] == "CONFIRMED")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_stop_waits_for_the_launcher_and_the_next_run_gets_the_lock() {
    let world = World::new().await;
    world.stack().await;
    let first = deploy(&world.writer).await;
    let task = json!({ "stack": "net", "command": "tofu state list", "noinit": false });
    let task = world.writer.ok(TASK, task).await["taskCreate"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let preview = world
        .writer
        .ok(TRIGGER, trigger(RunType::Proposed, None))
        .await;
    let preview = preview["runTrigger"]["id"].as_str().unwrap().to_owned();
    assert_eq!(state(&world, &task).await, "QUEUED");
    assert_eq!(state(&world, &preview).await, "READY");

    world.happens(&first, RunEvent::Leased).await;
    let stop = json!({ "stack": "net", "run": first, "note": "Stopped by spacectl" });
    world.writer.ok(STOP, stop).await;
    assert_eq!(state(&world, &first).await, "PREPARING");
    world
        .happens(&first, RunEvent::Ended(Attempt(1), RunEnd::Stopped))
        .await;
    assert_eq!(state(&world, &first).await, "STOPPED");
    assert_eq!(state(&world, &task).await, "READY");
    world.writer.ok(CANCEL, of(&task)).await;
    assert_eq!(state(&world, &task).await, "CANCELED");

    let list = "query($before:ID$stackId:ID!){stack(id: $stackId){runs(before: $before){id}}}";
    let page = world
        .reader
        .ok(list, json!({ "stackId": "net", "before": null }))
        .await;
    let expected = json!([{ "id": preview }, { "id": task }, { "id": first }]);
    assert_eq!(page["stack"]["runs"], expected);
    let end = world
        .reader
        .ok(list, json!({ "stackId": "net", "before": first }))
        .await;
    assert_eq!(end["stack"]["runs"], json!([]));
    let delete = world
        .admin
        .refused("mutation{stackDelete(id: \"net\"){id}}", json!({}))
        .await;
    assert!(
        delete.contains(&format!("run `{preview}` is READY")),
        "{delete}"
    );
}

#[tokio::test]
async fn metadata_comes_in_a_header_and_commits_are_named_in_full() {
    let world = World::new().await;
    let head = world.stack().await;
    let header = |text: &'static str| [("Spacelift-User-Provided-Run-Metadata", text.as_bytes())];
    let made = world
        .writer
        .post_with(
            TRIGGER,
            trigger(RunType::Tracked, Some(&head)),
            &header("ticket-1 ü"),
        )
        .await;
    let run = made["data"]["runTrigger"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.plans_changes(&run).await;
    world
        .writer
        .post_with(CONFIRM, of(&run), &header("ticket-2"))
        .await;
    let text = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){userProvidedMetadata}}}";
    let shown = world.reader.ok(text, of(&run)).await;
    assert_eq!(
        shown["stack"]["run"]["userProvidedMetadata"],
        json!(["ticket-1 ü", "ticket-2"])
    );
    let refused = world
        .writer
        .refused(TRIGGER, trigger(RunType::Tracked, Some("abc123")))
        .await;
    assert!(
        refused.starts_with("`abc123` is not a full commit hash"),
        "{refused}"
    );
    let refused = world
        .writer
        .refused(TRIGGER, trigger(RunType::Task, None))
        .await;
    assert!(refused.contains("taskCreate"), "{refused}");
    let mut configured = trigger(RunType::Tracked, None);
    configured["runtimeConfig"] = json!({ "yaml": "version: 3" });
    let refused = world.writer.refused(TRIGGER, configured).await;
    assert!(refused.contains("expected 1 or 2"), "{refused}");
}

#[tokio::test]
async fn logs_that_are_not_there_yet_keep_the_reader_waiting() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    world.happens(&run, RunEvent::Leased).await;
    let ask = |state: &str, version: u32, token: Value| {
        let mut variables = of(&run);
        variables["state"] = json!(state);
        variables["stateVersion"] = json!(version);
        variables["token"] = token;
        let reader = world.reader.clone();
        async move { reader.ok(LOGS, variables).await["stack"]["run"]["logs"].clone() }
    };
    let page = ask("PREPARING", 3, json!(null)).await;
    assert_eq!(
        (&page["exists"], &page["finished"]),
        (&json!(false), &json!(false))
    );
    assert!(page["nextToken"].is_string(), "{page}");
    world
        .happens(&run, RunEvent::Ended(Attempt(1), RunEnd::Failed))
        .await;
    let page = ask("PREPARING", 3, page["nextToken"].clone()).await;
    assert_eq!(
        (&page["finished"], &page["hasMore"]),
        (&json!(true), &json!(false))
    );
    let page = ask("FAILED", 4, json!(null)).await;
    assert_eq!(page["finished"], true);
}

#[tokio::test]
async fn a_missing_branch_or_pool_is_named() {
    let world = World::new().await;
    world.stack().await;
    let (name, url) = ("other", world.app().data_dir.parent().unwrap().join("code"));
    let make = "mutation($input:StackInput!){stackCreate(input: $input, manageState: false){id}}";
    let input = json!({ "name": name, "repository": format!("file://{}", url.display()), "branch": "nope" });
    world.admin.ok(make, json!({ "input": input })).await;
    let text = "mutation{runTrigger(stack: \"other\"){id}}";
    let refused = world.writer.refused(text, json!({})).await;
    assert!(
        refused.starts_with("stack `other` has no worker pool"),
        "{refused}"
    );
    let pools = world.reader.ok("{workerPools{id}}", json!({})).await;
    let mut input = input;
    input["workerPool"] = pools["workerPools"][0]["id"].clone();
    let update = "mutation($input:StackInput!){stackUpdate(id: \"other\", input: $input){id}}";
    world.admin.ok(update, json!({ "input": input })).await;
    let refused = world.writer.refused(text, json!({})).await;
    assert!(refused.contains("has no branch `nope`"), "{refused}");
}

#[tokio::test]
async fn a_person_takes_a_stack_for_themselves() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    world.plans_changes(&run).await;
    let lock = "mutation($note:String!$stack:ID!){stackLock(id: $stack, note: $note){id,lockedBy}}";
    let locked = world
        .admin
        .ok(lock, json!({ "stack": "net", "note": "incident" }))
        .await;
    assert_eq!(locked["stackLock"]["lockedBy"], "admin");
    let held = "stack `net` is locked by `admin`: ask them, or an admin, to unlock it";
    let unlock = "mutation($stack:ID!){stackUnlock(id: $stack){id,lockedBy}}";
    for (text, variables) in [
        (CONFIRM, of(&run)),
        (TRIGGER, trigger(RunType::Tracked, None)),
        (
            TASK,
            json!({ "stack": "net", "command": "ls", "noinit": true }),
        ),
        (lock, json!({ "stack": "net", "note": "" })),
        (unlock, json!({ "stack": "net" })),
    ] {
        assert_eq!(world.writer.refused(text, variables).await, held, "{text}");
    }
    world
        .writer
        .ok(TRIGGER, trigger(RunType::Proposed, None))
        .await;
    world.admin.ok(CONFIRM, of(&run)).await;
    let freed = world.admin.ok(unlock, json!({ "stack": "net" })).await;
    assert_eq!(freed["stackUnlock"]["lockedBy"], json!(null));
    world
        .writer
        .ok(
            TASK,
            json!({ "stack": "net", "command": "ls", "noinit": true }),
        )
        .await;
}
