//! Documents that people sign: what a run would be, and the apply of one that waits.

use gantry_protocol::signature::RunDocument;
use serde_json::{Value, json};

use crate::runs::deploy;
use crate::world::{Client, World};

const DOCUMENT: &str = "query($stack:ID!$runType:RunType$commitSha:String$command:String$skip:Boolean$by:String){runDocument(stack: $stack, runType: $runType, commitSha: $commitSha, command: $command, skipInitialization: $skip, triggeredBy: $by){json,phase,attestation}}";
const OF_RUN: &str =
    "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){document{json,phase,attestation}}}}";
const SET: &str =
    "mutation($config:ConfigInput!){stackConfigAdd(stack: \"net\", config: $config){id}}";

async fn document(client: &Client, more: Value) -> (RunDocument, String) {
    let mut variables = json!({ "stack": "net" });
    for (name, value) in more.as_object().unwrap() {
        variables[name] = value.clone();
    }
    let found = client.ok(DOCUMENT, variables).await["runDocument"].clone();
    assert_eq!(found["attestation"], Value::Null);
    let text = found["json"].as_str().unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let phase = found["phase"].as_str().unwrap().to_owned();
    (serde_json::from_str(text).unwrap(), phase)
}

async fn set(world: &World, name: &str, value: &str) {
    let config =
        json!({ "id": name, "type": "ENVIRONMENT_VARIABLE", "value": value, "writeOnly": true });
    world.admin.ok(SET, json!({ "config": config })).await;
}

#[tokio::test]
async fn a_document_says_what_a_trigger_would_make() {
    let world = World::new().await;
    let head = world.stack().await;
    set(&world, "TOKEN", "hunter2").await;
    let (first, phase) = document(&world.writer, json!({})).await;
    assert_eq!(phase, "plan");
    assert_eq!(
        (
            first.stack.as_str(),
            first.commit.as_str(),
            first.triggered_by.as_str()
        ),
        ("net", head.as_str(), "writer")
    );
    let value = |document: &RunDocument, name: &str| {
        let found = document
            .environment
            .iter()
            .find(|variable| variable.name == name);
        found.unwrap().value.clone()
    };
    assert!(value(&first, "TOKEN").starts_with("hmac-sha256:"));
    assert_eq!(value(&first, "TF_VAR_spacelift_run_id"), "the run's id");
    // It can be compared: the same again is the same, another value is another.
    assert_eq!(document(&world.writer, json!({})).await.0, first);
    set(&world, "TOKEN", "hunter22").await;
    let (second, _) = document(&world.writer, json!({})).await;
    assert_ne!(value(&second, "TOKEN"), value(&first, "TOKEN"));
    set(&world, "TOKEN", "hunter2").await;
    assert_eq!(document(&world.writer, json!({})).await.0, first);

    let (other, _) = document(&world.writer, json!({ "by": "ci", "runType": "PROPOSED" })).await;
    assert_eq!(
        (other.triggered_by.as_str(), other.run_type.as_str()),
        ("ci", "PROPOSED")
    );
    let (task, phase) = document(&world.writer, json!({ "command": "true", "skip": true })).await;
    assert_eq!(
        (phase.as_str(), task.command.as_deref()),
        ("task", Some("true"))
    );
    assert!(task.skip_init);
    // Nothing was made by asking.
    let runs = "{stack(id: \"net\"){runs{id}}}";
    assert_eq!(
        world.reader.ok(runs, json!({})).await["stack"]["runs"],
        json!([])
    );
}

#[tokio::test]
async fn who_may_not_trigger_gets_no_document_and_bad_wishes_are_refused() {
    let world = World::new().await;
    world.stack().await;
    let refused = world
        .reader
        .refused(DOCUMENT, json!({ "stack": "net" }))
        .await;
    assert!(refused.starts_with("unauthorized: "), "{refused}");
    for (wish, expected) in [
        (json!({ "stack": "none" }), "none"),
        (
            json!({ "stack": "net", "commitSha": "abc" }),
            "not a full commit hash",
        ),
        (
            json!({ "stack": "net", "command": " " }),
            "expected a command",
        ),
        (
            json!({ "stack": "net", "runType": "TESTING" }),
            "not supported",
        ),
    ] {
        let refused = world.writer.refused(DOCUMENT, wish).await;
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn only_a_run_that_waits_has_an_apply_to_sign_for() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let of = json!({ "stack": "net", "run": run });
    let early = world.writer.refused(OF_RUN, of.clone()).await;
    assert_eq!(
        early,
        format!("run `{run}` is READY: only an UNCONFIRMED run has an apply to sign for")
    );
    world.plans_changes(&run).await;
    // The world's launcher is played: it packed nothing.
    let late = world.writer.refused(OF_RUN, of).await;
    assert!(late.contains("the workspace that run"), "{late}");
}

#[tokio::test]
async fn a_replan_and_a_retry_have_documents_of_their_own() {
    let world = World::new().await;
    let head = world.stack().await;
    let of_run = async |run: &str, what: &str| {
        let text = format!(
            "query($run:ID!){{stack(id: \"net\"){{run(id: $run){{document: {what}{{json,phase,attestation}}}}}}}}"
        );
        let answer = world.writer.post(&text, json!({ "run": run })).await;
        match answer["errors"][0]["message"].as_str() {
            Some(refused) => Err(refused.to_owned()),
            None => Ok(answer["data"]["stack"]["run"]["document"].clone()),
        }
    };
    let read = |found: &Value| -> RunDocument {
        serde_json::from_str(found["json"].as_str().unwrap()).unwrap()
    };
    let run = deploy(&world.writer).await;
    let replan = "replanDocument(targets: [\"terraform_data.a\"])";
    let early = of_run(&run, replan).await.unwrap_err();
    assert!(early.contains("is READY"), "{early}");
    let early = of_run(&run, "retryDocument").await.unwrap_err();
    assert!(early.contains(&run), "{early}");

    world.plans_changes(&run).await;
    let bad = of_run(&run, "replanDocument(targets: [\"-destroy\"])").await;
    assert!(bad.unwrap_err().contains("expected an address"));
    // The world's launcher is played: it packed nothing that could be planned again.
    let unpacked = of_run(&run, replan).await.unwrap_err();
    assert!(unpacked.contains("the workspace that run"), "{unpacked}");

    world
        .writer
        .ok(crate::runs::DISCARD, crate::runs::of(&run))
        .await;
    let found = of_run(&run, "retryDocument(triggeredBy: \"ci\")")
        .await
        .unwrap();
    let document = read(&found);
    assert_eq!(
        (found["phase"].as_str(), document.triggered_by.as_str()),
        (Some("plan"), "ci")
    );
    assert_eq!((document.commit, document.targets), (head, Vec::new()));
}
