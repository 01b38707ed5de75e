//! What people choose about runs and stacks beside deciding: promote, prioritise, plan again, the commit that comes
//! next, switched off, destroyed; with the operations that clients send.

use gantry_protocol::{Attempt, RunType};
use gantry_server::domain::{GrantedPhase, PlanOutcome, RunEnd, RunEvent};
use serde_json::{Value, json};

use crate::runs::{TRIGGER, deploy, of, trigger};
use crate::world::{World, git};

const PROMOTE: &str = "mutation($run:ID!$stack:ID!){runPromote(stack: $stack, run: $run){id}}";
const PRIORITISE: &str = "mutation($prioritize:Boolean!$runId:ID!$stackId:ID!){runPrioritizeSet(stack: $stackId, run: $runId, prioritize: $prioritize){id}}";
const REPLAN: &str = "mutation($run:ID!$stack:ID!$targets:[String!]!){runTargetedReplan(stack: $stack, run: $run, targets: $targets){id}}";
const SYNC: &str = "mutation($stack:ID!){stackSyncCommit(id: $stack){id}}";
const SET: &str = "mutation($sha:String!$stack:ID!){stackSetCurrentCommit(id: $stack, sha: $sha){trackedCommit{hash,message}}}";
const ENABLE: &str = "mutation($stack:ID!){stackEnable(id: $stack){id,isDisabled}}";
const DISABLE: &str = "mutation($stack:ID!){stackDisable(id: $stack){id,isDisabled}}";
const DELETE: &str = "mutation($destroyResources:Boolean!$id:ID!){stackDelete(id: $id, destroyResources: $destroyResources){id}}";
const DEPENDENCIES: &str = "query($id:ID!){stack(id: $id){id,labels,space,name,dependsOn{stack{id,name},dependsOnStack{id,name}},isDependedOnBy{stack{id,name},dependsOnStack{id,name}}}}";
const EXTERNAL: &str = "mutation($dependency:ID!$status:RunExternalDependencyStatus!){runExternalDependencyMarkAsCompleted(dependency: $dependency, status: $status){phantom}}";
const RUN_LIST: &str = "query($before:ID$stackId:ID!){stack(id: $stackId){runs(before: $before){id,branch,canRetry,comments{body,createdAt,username},commit{authorLogin,authorName,hash},createdAt,delta{addCount,changeCount,deleteCount,resources},driftDetection,expired,isMostRecent,needsApproval,state,title,triggeredBy}}}";

async fn shown(world: &World, run: &str, fields: &str) -> Value {
    let text =
        format!("query($run:ID!$stack:ID!){{stack(id: $stack){{run(id: $run){{{fields}}}}}}}");
    world.reader.ok(&text, of(run)).await["stack"]["run"].clone()
}

fn id(answer: &Value, field: &str) -> String {
    answer[field]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_preview_is_promoted_to_a_deployment_of_its_commit() {
    let world = World::new().await;
    let head = world.stack().await;
    let made = world
        .writer
        .ok(TRIGGER, trigger(RunType::Proposed, None))
        .await;
    let preview = id(&made, "runTrigger");
    git(
        &world.dir.path().join("code"),
        &["commit", "-q", "--allow-empty", "-m", "two"],
    );
    let made = world.writer.ok(PROMOTE, of(&preview)).await;
    let run = id(&made, "runPromote");
    let fields = "type,commit{hash},title";
    assert_eq!(
        shown(&world, &run, fields).await,
        json!({ "type": "TRACKED", "commit": { "hash": head },
            "title": format!("Deployment of main at {}", &head[..8]) })
    );
    let refused = world.writer.refused(PROMOTE, of(&run)).await;
    assert!(refused.contains("only a PROPOSED one"), "{refused}");
    world.reader.refused(PROMOTE, of(&preview)).await;
}

#[tokio::test]
async fn runs_are_moved_ahead_while_they_last() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let set = |to: bool| json!({ "stackId": "net", "runId": run, "prioritize": to });
    for to in [true, true, false] {
        let answer = world.writer.ok(PRIORITISE, set(to)).await;
        assert_eq!(id(&answer, "runPrioritizeSet"), run);
        assert_eq!(shown(&world, &run, "prioritized").await["prioritized"], to);
    }
    world.writer.ok(crate::runs::CANCEL, of(&run)).await;
    let over = world.writer.refused(PRIORITISE, set(true)).await;
    assert!(over.contains("already ended as CANCELED"), "{over}");
}

#[tokio::test]
async fn a_replan_names_addresses_and_only_of_a_plan_that_waits() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let replan = |targets: Value| json!({ "stack": "net", "run": run, "targets": targets });
    let early = world.writer.refused(REPLAN, replan(json!(["a.b"]))).await;
    assert!(early.contains("READY: cannot replan"), "{early}");
    world.plans_changes(&run).await;
    for (targets, expected) in [
        (json!([]), "1 to 100"),
        (json!(["a.b", "-destroy"]), "`-destroy`"),
        (json!(["a.b c"]), "`a.b c`"),
        (json!(vec!["a.b"; 101]), "1 to 100"),
    ] {
        let refused = world.writer.refused(REPLAN, replan(targets)).await;
        assert!(refused.contains(expected), "{refused}");
    }
    let targets = json!(["null_resource.a", "module.net[\"eu\"].null_resource.b[0]"]);
    let answer = world.writer.ok(REPLAN, replan(targets.clone())).await;
    assert_eq!(id(&answer, "runTargetedReplan"), run);
    let fields = "state,targets,history{state,username,note}";
    let after = shown(&world, &run, fields).await;
    assert_eq!(
        (&after["state"], &after["targets"]),
        (&json!("REPLAN_REQUESTED"), &targets)
    );
    assert_eq!(after["history"][0]["username"], "writer");
    assert!(
        after["history"][0]["note"]
            .as_str()
            .unwrap()
            .starts_with("only null_resource.a")
    );
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::PlanStarted(two),
        RunEvent::Planned(two, PlanOutcome::Changes),
    ] {
        world.happens(&run, event).await;
    }
    let after = shown(&world, &run, "state,targets").await;
    assert_eq!(after, json!({ "state": "UNCONFIRMED", "targets": targets }));
    world.reader.refused(REPLAN, replan(json!(["a.b"]))).await;
}

#[tokio::test]
async fn the_commit_that_comes_next_is_set_and_given_back() {
    let world = World::new().await;
    let first = world.stack().await;
    let code = world.dir.path().join("code");
    git(&code, &["commit", "-q", "--allow-empty", "-m", "two"]);
    let second = git(&code, &["rev-parse", "HEAD"]);
    let set = |sha: &str| json!({ "stack": "net", "sha": sha });
    let answer = world.writer.ok(SET, set(&first)).await;
    let expected = json!({ "hash": first, "message": "one" });
    assert_eq!(answer["stackSetCurrentCommit"]["trackedCommit"], expected);
    for _ in 0..2 {
        let run = deploy(&world.writer).await;
        assert_eq!(
            shown(&world, &run, "commit{hash}").await["commit"]["hash"],
            json!(first)
        );
        world.writer.ok(crate::runs::CANCEL, of(&run)).await;
    }
    let answer = world.writer.ok(SYNC, json!({ "stack": "net" })).await;
    assert_eq!(id(&answer, "stackSyncCommit"), "net");
    let run = deploy(&world.writer).await;
    assert_eq!(
        shown(&world, &run, "commit{hash}").await["commit"]["hash"],
        json!(second)
    );
    let short = world.writer.refused(SET, set("abc")).await;
    assert!(short.contains("not a full commit hash"), "{short}");
    world.writer.refused(SET, set(&"0".repeat(40))).await;
    world.reader.refused(SET, set(&first)).await;
}

#[tokio::test]
async fn a_stack_that_is_off_takes_no_runs() {
    let world = World::new().await;
    world.stack().await;
    let stack = json!({ "stack": "net" });
    let answer = world.writer.ok(DISABLE, stack.clone()).await;
    assert_eq!(
        answer["stackDisable"],
        json!({ "id": "net", "isDisabled": true })
    );
    for run_type in [RunType::Tracked, RunType::Proposed, RunType::Destroy] {
        let refused = world.writer.refused(TRIGGER, trigger(run_type, None)).await;
        assert!(refused.contains("`net` is disabled"), "{refused}");
    }
    let answer = world.writer.ok(ENABLE, stack.clone()).await;
    assert_eq!(
        answer["stackEnable"],
        json!({ "id": "net", "isDisabled": false })
    );
    deploy(&world.writer).await;
    world.reader.refused(DISABLE, stack).await;
}

/// Plays the launcher of a destroy run from its lease to its end.
async fn destroys(world: &World, run: &str, end: RunEnd) {
    world.plans_changes(run).await;
    world.writer.ok(crate::runs::CONFIRM, of(run)).await;
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Destroy),
        RunEvent::Ended(two, end),
    ] {
        world.happens(run, event).await;
    }
}

#[tokio::test]
async fn a_stack_goes_when_what_it_manages_is_gone() {
    let world = World::new().await;
    world.stack().await;
    let delete = |destroy: bool| json!({ "id": "net", "destroyResources": destroy });
    let run = deploy(&world.writer).await;
    for destroy in [true, false] {
        let held = world.admin.refused(DELETE, delete(destroy)).await;
        assert!(held.contains(&run) && held.contains("in use"), "{held}");
    }
    world.writer.ok(crate::runs::CANCEL, of(&run)).await;
    world.writer.refused(DELETE, delete(true)).await;

    let text = "query{stack(id: \"net\"){deleting,blocker{id,type}}}";
    for (end, remains) in [(RunEnd::Failed, true), (RunEnd::Succeeded, false)] {
        assert_eq!(
            id(&world.admin.ok(DELETE, delete(true)).await, "stackDelete"),
            "net"
        );
        let found = world.reader.ok(text, json!({})).await["stack"].clone();
        assert_eq!(
            (&found["deleting"], &found["blocker"]["type"]),
            (&json!(true), &json!("DESTROY"))
        );
        let run = id(&found, "blocker");
        let busy = world
            .writer
            .refused(TRIGGER, trigger(RunType::Proposed, None))
            .await;
        assert!(
            busy.contains("is being deleted") && busy.contains(&run),
            "{busy}"
        );
        destroys(&world, &run, end).await;
        let found = world.reader.ok(text, json!({})).await["stack"].clone();
        assert_eq!(found.is_null(), !remains);
        if remains {
            assert_eq!(found["deleting"], false);
        }
    }
}

#[tokio::test]
async fn a_destroy_run_is_triggered_like_any_other() {
    let world = World::new().await;
    let head = world.stack().await;
    let made = world
        .writer
        .ok(TRIGGER, trigger(RunType::Destroy, None))
        .await;
    let run = id(&made, "runTrigger");
    destroys(&world, &run, RunEnd::Succeeded).await;
    let fields = "type,state,title,contactLost,history{state}";
    let after = shown(&world, &run, fields).await;
    let title = format!("Destruction of main at {}", &head[..8]);
    assert_eq!(
        (
            &after["type"],
            &after["state"],
            &after["title"],
            &after["contactLost"]
        ),
        (
            &json!("DESTROY"),
            &json!("FINISHED"),
            &json!(title),
            &json!(false)
        )
    );
    assert_eq!(after["history"][1]["state"], "DESTROYING");
}

#[tokio::test]
async fn lists_and_what_is_empty_are_answered() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let second = deploy(&world.writer).await;
    let runs = world
        .reader
        .ok(RUN_LIST, json!({ "stackId": "net", "before": null }))
        .await;
    let runs = runs["stack"]["runs"].as_array().unwrap().clone();
    let recent = |run: &Value| {
        (
            run["id"].as_str().unwrap().to_owned(),
            run["isMostRecent"] == true,
        )
    };
    let found: Vec<_> = runs.iter().map(recent).collect();
    assert_eq!(found, [(second, true), (run.clone(), false)]);
    let found = world.reader.ok(DEPENDENCIES, json!({ "id": "net" })).await["stack"].clone();
    assert_eq!(
        (&found["dependsOn"], &found["isDependedOnBy"]),
        (&json!([]), &json!([]))
    );
    let variables = json!({ "dependency": "ci-7", "status": "FINISHED" });
    let missing = world.writer.refused(EXTERNAL, variables).await;
    assert_eq!(missing, "external dependency `ci-7` does not exist");

    // A silent launcher after a grant is seen.
    world.plans_changes(&run).await;
    world.writer.ok(crate::runs::CONFIRM, of(&run)).await;
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Apply),
        RunEvent::LeaseLost(two),
    ] {
        world.happens(&run, event).await;
    }
    let fields = "state,contactLost";
    let lost = shown(&world, &run, fields).await;
    assert_eq!(lost, json!({ "state": "APPLYING", "contactLost": true }));
}
