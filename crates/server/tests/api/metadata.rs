//! What users attach to runs, and runs that are made again: with the operations that clients send.

use gantry_protocol::{Attempt, RunId, RunType};
use gantry_server::domain::{RunEnd, RunEvent, TaskInit};
use gantry_server::store::runs;
use serde_json::{Value, json};

use crate::runs::{CANCEL, CONFIRM, DISCARD, STOP, TASK, TRIGGER, of, trigger};
use crate::world::{Client, World};

const RETRY: &str = "mutation($run:ID!$stack:ID!){runRetry(stack: $stack, run: $run){id}}";
const SHOWN: &str = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){userProvidedMetadata,canRetry,state,type,command,triggeredBy,commit{authorName,hash,message,timestamp}}}}";

/// Sends an operation with an entry in the header.
async fn with(client: &Client, text: &str, variables: Value, entry: &str) -> Value {
    let header = [("Spacelift-User-Provided-Run-Metadata", entry.as_bytes())];
    client.post_with(text, variables, &header).await
}

fn made(answer: &Value, field: &str) -> String {
    let id = answer["data"][field]["id"].as_str();
    id.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn shown(world: &World, run: &str) -> Value {
    let found = world.reader.ok(SHOWN, of(run)).await;
    found["stack"]["run"].clone()
}

#[tokio::test]
async fn every_interaction_adds_its_entry_in_order() {
    let world = World::new().await;
    world.stack().await;
    let writer = &world.writer;
    let entries = |run: Value| run["userProvidedMetadata"].clone();

    let answer = with(writer, TRIGGER, trigger(RunType::Tracked, None), "deploy ü").await;
    let run = made(&answer, "runTrigger");
    world.plans_changes(&run).await;
    // A refused decision leaves nothing behind.
    let refused = with(writer, CANCEL, of(&run), "no").await;
    assert!(refused["errors"][0]["message"].is_string(), "{refused}");
    assert_eq!(entries(shown(&world, &run).await), json!(["deploy ü"]));
    with(writer, CONFIRM, of(&run), "confirm").await;
    let both = json!(["deploy ü", "confirm"]);
    assert_eq!(entries(shown(&world, &run).await), both);
    for event in [
        RunEvent::Leased,
        RunEvent::Ended(Attempt(2), RunEnd::Failed),
    ] {
        world.happens(&run, event).await;
    }

    // A run that is made again starts its own list.
    let again = made(&with(writer, RETRY, of(&run), "again").await, "runRetry");
    assert_eq!(entries(shown(&world, &again).await), json!(["again"]));
    assert_eq!(entries(shown(&world, &run).await), both);
    world.plans_changes(&again).await;
    with(writer, DISCARD, of(&again), "dropped").await;
    let dropped = json!(["again", "dropped"]);
    assert_eq!(entries(shown(&world, &again).await), dropped);

    let preview = with(writer, TRIGGER, trigger(RunType::Proposed, None), "look").await;
    let preview = made(&preview, "runTrigger");
    world.happens(&preview, RunEvent::Leased).await;
    let stop = json!({ "stack": "net", "run": preview, "note": "" });
    with(writer, STOP, stop, "enough").await;
    let looked = json!(["look", "enough"]);
    assert_eq!(entries(shown(&world, &preview).await), looked);

    let task = json!({ "stack": "net", "command": "ls", "noinit": false });
    let task = made(&with(writer, TASK, task, "task").await, "taskCreate");
    with(writer, CANCEL, of(&task), "never mind").await;
    let canceled = json!(["task", "never mind"]);
    assert_eq!(entries(shown(&world, &task).await), canceled);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_headers_name() {
    let world = World::new().await;
    world.stack().await;
    let name = "Spacelift-User-Provided-Run-Metadata";
    let refused = async |values: &[&[u8]]| {
        let headers: Vec<_> = values.iter().map(|value| (name, *value)).collect();
        let wish = trigger(RunType::Tracked, None);
        let answer = world.writer.post_with(TRIGGER, wish, &headers).await;
        let message = answer["errors"][0]["message"].as_str();
        message.unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let long = vec![b'x'; 64 * 1024 + 1];
    for (values, expected) in [
        (
            &[&long[..]][..],
            "is 65537 bytes long: at most 65536 are taken",
        ),
        (&[b"\xff"], "is not UTF-8"),
        (&["a\u{9b}1m".as_bytes()], "control character U+009B"),
        (&[b"a", b"b"], "was sent 2 times"),
    ] {
        let message = refused(values).await;
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(name), "{message}");
    }
    let runs = "{stack(id: \"net\"){runs{id}}}";
    let none = world.reader.ok(runs, json!({})).await;
    assert_eq!(none["stack"]["runs"], json!([]));

    let most = "x".repeat(64 * 1024);
    let answer = with(
        &world.writer,
        TRIGGER,
        trigger(RunType::Tracked, None),
        &most,
    )
    .await;
    let run = made(&answer, "runTrigger");
    world.happens(&run, RunEvent::Leased).await;
    let stop = json!({ "stack": "net", "run": run, "note": "" });
    for n in 2..=64 {
        let answer = with(&world.writer, STOP, stop.clone(), &n.to_string()).await;
        assert!(answer.get("errors").is_none(), "{answer}");
    }
    let full = with(&world.writer, STOP, stop, "65").await;
    let message = full["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("run `{run}` already has 64 entries of metadata")),
        "{message}"
    );
    let list = shown(&world, &run).await["userProvidedMetadata"].clone();
    assert_eq!(list.as_array().unwrap().len(), 64);
    assert_eq!((&list[1], &list[63]), (&json!("2"), &json!("64")));
}

#[tokio::test]
async fn the_database_itself_keeps_what_was_attached() {
    let world = World::new().await;
    world.stack().await;
    let answer = with(
        &world.writer,
        TRIGGER,
        trigger(RunType::Tracked, None),
        "a \"b\"",
    )
    .await;
    let run: RunId = made(&answer, "runTrigger").parse().unwrap();
    let store = &world.app().store;
    for (list, allowed) in [
        (r#"["a \"b\"","c"]"#, true),
        (r#"["a \"b\""]"#, false),
        (r#"["a \"c\"","c"]"#, false),
        (r#"["c","a \"b\""]"#, false),
        ("[]", false),
        (r#"["a \"b\"","c","d"]"#, true),
    ] {
        let mut tx = store.begin().await.unwrap();
        let done = sqlx::query("UPDATE runs SET metadata = $2 WHERE id = $1")
            .bind(run.to_string())
            .bind(list)
            .execute(&mut *tx)
            .await;
        assert_eq!(done.is_ok(), allowed, "{list}: {done:?}");
        if allowed {
            store.commit(tx).await.unwrap();
        }
    }
}

#[tokio::test]
async fn only_what_did_not_work_is_made_again() {
    let world = World::new().await;
    let head = world.stack().await;
    let task = json!({ "stack": "net", "command": "tofu state list", "noinit": true });
    let first = made(&world.writer.post(TASK, task).await, "taskCreate");
    let early = world.writer.refused(RETRY, of(&first)).await;
    let rule = "only a run that failed, was stopped, canceled, discarded or skipped can be retried";
    assert_eq!(early, format!("run `{first}` is READY: {rule}"));
    assert_eq!(shown(&world, &first).await["canRetry"], false);
    world.writer.ok(CANCEL, of(&first)).await;
    assert_eq!(shown(&world, &first).await["canRetry"], true);
    let denied = world.reader.refused(RETRY, of(&first)).await;
    assert!(denied.starts_with("unauthorized"), "{denied}");
    let elsewhere = json!({ "stack": "other", "run": first });
    assert!(
        world
            .writer
            .refused(RETRY, elsewhere)
            .await
            .contains("other")
    );

    let again = world.writer.ok(RETRY, of(&first)).await;
    let again = again["runRetry"]["id"].as_str().unwrap();
    let found = shown(&world, again).await;
    assert_eq!(found["command"], "tofu state list");
    assert_eq!(
        (&found["type"], &found["state"], &found["commit"]["hash"]),
        (&json!("TASK"), &json!("READY"), &json!(head))
    );
    let mut conn = world.app().store.read().await.unwrap();
    let record = runs::get(&mut conn, again.parse().unwrap()).await.unwrap();
    assert_eq!(record.run.task_init, TaskInit::Skip);
}

#[tokio::test]
async fn a_run_knows_who_made_its_commit() {
    let world = World::new().await;
    let head = world.stack().await;
    let answer = world
        .writer
        .ok(TRIGGER, trigger(RunType::Tracked, None))
        .await;
    let run = answer["runTrigger"]["id"].as_str().unwrap();
    let commit = shown(&world, run).await["commit"].clone();
    assert_eq!(commit["hash"], json!(head));
    assert_eq!(
        (&commit["authorName"], &commit["message"]),
        (&json!("t"), &json!("one"))
    );
    assert!(commit["timestamp"].as_i64().unwrap() > 1_500_000_000);
    let tracked = "{stack(id: \"net\"){trackedCommit{authorName,message}}}";
    let tracked = world.reader.ok(tracked, json!({})).await;
    assert_eq!(tracked["stack"]["trackedCommit"]["message"], "one");

    // A commit that the host does not serve is not ours to refuse: the launcher will say so, with a log.
    let unknown = trigger(RunType::Proposed, Some(&"a".repeat(40)));
    let answer = world.writer.ok(TRIGGER, unknown).await;
    let run = answer["runTrigger"]["id"].as_str().unwrap();
    let commit = shown(&world, run).await["commit"].clone();
    assert_eq!(
        (&commit["authorName"], &commit["timestamp"]),
        (&json!(""), &json!(0))
    );
}
