//! Managed state: locks, versions, and who may write.

use gantry_protocol::control::run::{Lease, Outcome};
use gantry_protocol::{RunState, RunType};
use gantry_server::store::tfstate;
use reqwest::Method;

use crate::client::{Client, bytes, ended, path};
use crate::world::World;

const LOCK: &str = r#"{"ID":"one","Operation":"OperationTypePlan","Who":"ann@host"}"#;
const OTHER: &str = r#"{"ID":"two","Operation":"OperationTypeApply","Who":"bob@host"}"#;

fn document(serial: u64, output: &str) -> String {
    format!(
        r#"{{"version":4,"serial":{serial},"lineage":"line","outputs":{{"url":{{"value":"{output}","type":"string"}},"password":{{"value":"hunter2","type":"string","sensitive":true}}}}}}"#
    )
}

async fn performing(world: &World, client: &Client) -> Lease {
    world.trigger(RunType::Task).await;
    let lease = client.lease(world).await;
    client
        .enter(lease, 1, RunState::Initializing)
        .await
        .unwrap();
    client.grant(lease, 2, RunState::Performing).await.unwrap();
    lease
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_needs_a_grant() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Proposed).await;
    let preview = client.lease(&world).await;
    assert_eq!(
        client.state(preview, "read", "").await,
        (204, String::new())
    );
    assert_eq!(client.state(preview, "lock", LOCK).await.0, 200);
    client.plan(preview).await;
    let (status, body) = client
        .state(preview, "write?ID=one", &document(1, "a"))
        .await;
    assert_eq!(status, 403);
    assert!(body.contains("PLANNING"), "{body}");
    assert_eq!(client.state(preview, "unlock", LOCK).await.0, 200);
    assert_eq!(client.state(preview, "read", "").await.0, 204);
    assert_eq!(client.state(preview, "burn", "").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_holds_the_lock() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Proposed).await;
    let preview = client.lease(&world).await;
    let task = performing(&world, &client).await;
    for _ in 0..2 {
        assert_eq!(client.state(task, "lock", OTHER).await.0, 200);
    }
    // The tool shows its user who holds it.
    assert_eq!(
        client.state(preview, "lock", LOCK).await,
        (423, OTHER.to_owned())
    );
    assert_eq!(
        client.state(preview, "unlock", OTHER).await,
        (423, OTHER.to_owned())
    );
    assert_eq!(client.state(preview, "unlock", "").await.0, 423);
    for bad in ["", "x", "{}", r#"{"ID":""}"#] {
        assert_eq!(client.state(preview, "lock", bad).await.0, 400, "{bad}");
    }
    let (status, body) = client
        .state(task, "write?ID=other", &document(1, "a"))
        .await;
    assert_eq!((status, body.as_str()), (423, OTHER));
    assert_eq!(
        client
            .state(task, "write?ID=two", &document(1, "a"))
            .await
            .0,
        200
    );
    for _ in 0..2 {
        assert_eq!(client.state(task, "unlock", OTHER).await.0, 200);
    }
    assert_eq!(client.state(preview, "lock", LOCK).await.0, 200);
    assert_eq!(
        client
            .state(task, "write?ID=two", &document(2, "b"))
            .await
            .0,
        423
    );
    client.state(preview, "unlock", LOCK).await;
    assert_eq!(
        client
            .state(task, "write?ID=two", &document(2, "b"))
            .await
            .0,
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_happens_once_and_never_backwards() {
    let world = World::new().await;
    let client = world.launcher().await;
    let task = performing(&world, &client).await;
    let (first, second) = (document(1, "a"), document(2, "b"));
    for _ in 0..3 {
        assert_eq!(client.state(task, "write", &first).await.0, 200);
    }
    assert_eq!(client.state(task, "read", "").await, (200, first.clone()));
    assert_eq!(client.state(task, "write", &second).await.0, 200);
    let (status, body) = client.state(task, "write", &first).await;
    assert_eq!(status, 409);
    assert!(body.contains("serial 2"), "{body}");
    assert_eq!(client.state(task, "write", &document(2, "c")).await.0, 409);
    for bad in ["", "{}", "not json", r#"{"serial":-1,"lineage":"l"}"#] {
        assert_eq!(client.state(task, "write", bad).await.0, 400, "{bad}");
    }
    assert_eq!(client.state(task, "read", "").await, (200, second));
    let versions = world
        .control
        .state
        .versions(&world.stack, 10)
        .await
        .unwrap();
    let numbers: Vec<_> = versions
        .iter()
        .map(|v| (v.version, v.serial, v.run))
        .collect();
    assert_eq!(numbers, [(2, 2, task.run), (1, 1, task.run)]);
    let outputs = world.control.state.outputs(&world.stack).await.unwrap();
    let outputs: Vec<_> = outputs
        .iter()
        .map(|o| (o.name.as_str(), o.value.as_str()))
        .collect();
    assert_eq!(outputs, [("url", Some("b"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_sealed_where_it_lies() {
    let world = World::new().await;
    let client = world.launcher().await;
    let task = performing(&world, &client).await;
    client
        .state(task, "write", &document(1, "plain to see"))
        .await;
    let row = {
        let mut conn = world.control.store.read().await.unwrap();
        tfstate::newest(&mut conn, &world.stack)
            .await
            .unwrap()
            .unwrap()
    };
    let stored = world.control.blobs.get_bytes(&row.blob).await.unwrap();
    let holds = |text: &str| {
        stored
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(!holds("hunter2") && !holds("plain to see") && !holds("lineage"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_left_is_given_back_and_named() {
    let world = World::new().await;
    let client = world.launcher().await;
    let task = performing(&world, &client).await;
    client.state(task, "lock", OTHER).await;
    client
        .result(task, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    let note = world.run(task.run).await.note.unwrap();
    assert!(note.contains("left locked (lock two)"), "{note}");
    let next = performing(&world, &client).await;
    assert_eq!(client.state(next, "lock", LOCK).await.0, 200);
    // The run before has nothing to say any more.
    assert_eq!(client.state(task, "unlock", OTHER).await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_takes_the_lock_of_the_first() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Tracked).await;
    let first = client.lease(&world).await;
    client.plan(first).await;
    client.state(first, "lock", LOCK).await;
    let late = gantry_server::clock::UnixMillis::now().plus(61_000);
    world.control.dispatcher.expire(late).await.unwrap();
    let second = client.lease(&world).await;
    assert_eq!(second.attempt.0, 2);
    assert_eq!(client.state(second, "lock", OTHER).await.0, 200);
    assert_eq!(client.state(first, "unlock", LOCK).await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescued_state_is_kept_and_named_once() {
    let world = World::new().await;
    let client = world.launcher().await;
    let task = performing(&world, &client).await;
    client
        .result(task, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    for _ in 0..2 {
        let put = client
            .request(Method::PUT, &path(task, "errored-state"))
            .body("sealed");
        assert_eq!(bytes(put).await.0, 204);
    }
    let note = world.run(task.run).await.note.unwrap();
    assert_eq!(note.matches("rescued").count(), 1, "{note}");
}
