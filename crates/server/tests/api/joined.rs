//! What the API shows of what launchers sent: logs page by page and as bytes, outputs; and that launchers
//! are served by the same process.

use std::process::Command;

use bytes::Bytes;
use gantry_protocol::control::manifest::{PRODUCT, WorkerManifest};
use gantry_protocol::control::session::{About, Nonce};
use gantry_protocol::crypto::{EdKey, jws};
use gantry_protocol::payload::Stage;
use gantry_protocol::version::{CONTROL, CONTROL_HEADER};
use gantry_protocol::{Attempt, Digest, LauncherId, RunId, RunState};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{GrantedPhase, RunEnd, RunEvent};
use gantry_server::store::launchers::{self, Launcher, Newcomer};
use gantry_server::store::logs::{self, SectionId};
use gantry_server::store::pools::{self, Pool};
use gantry_server::store::{leases, runs};
use serde_json::{Value, json};

use crate::runs::{LOGS, deploy};
use crate::world::World;

const TEXT: &str = "Initializing…\r\n\u{1b}[32mok\u{1b}[0m\n";

fn launcher(pool: &Pool) -> Launcher {
    let now = UnixMillis::now();
    let newcomer = Newcomer {
        id: LauncherId::from_ulid(ulid::Ulid::nil()),
        pool: pool.id,
        pool_key: pool.key.id,
        public_key: EdKey::generate().public(),
        machine: Digest::of(b"machine"),
        about: About {
            version: "0.1.0".to_owned(),
            arch: "x86_64".to_owned(),
            host: "dock-1".to_owned(),
            metadata: [("rack".to_owned(), "7".to_owned())].into(),
        },
        address: "192.0.2.7".to_owned(),
    };
    Launcher {
        epoch: 1,
        process: "p".to_owned(),
        taken_over_at: now,
        seen_at: now,
        ..newcomer.enrolled(now)
    }
}

/// Plays the launcher until the section of PREPARING is open.
pub(crate) async fn prepare(world: &World, run: RunId) -> SectionId {
    world.happens(&run.to_string(), RunEvent::Leased).await;
    let store = &world.app().store;
    let mut tx = store.begin().await.unwrap();
    let record = runs::get(&mut tx, run).await.unwrap();
    let pool = pools::get(&mut tx, record.pool).await.unwrap();
    let launcher = launcher(&pool);
    launchers::insert(&mut tx, &launcher).await.unwrap();
    let attempt = Attempt(1);
    let now = UnixMillis::now();
    leases::insert(&mut tx, run, attempt, launcher.id, Stage::Start, now)
        .await
        .unwrap();
    let id = SectionId {
        run,
        attempt,
        section: 0,
    };
    logs::open(&mut tx, id, RunState::Preparing, record.run.version)
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    id
}

#[tokio::test]
async fn logs_are_read_to_their_end_and_downloaded_as_they_are() {
    let world = World::new().await;
    world.stack().await;
    let run: RunId = deploy(&world.writer).await.parse().unwrap();
    let section = prepare(&world, run).await;
    let bytes = Bytes::from_static(TEXT.as_bytes());
    let end = bytes.len() as u64;
    world
        .app()
        .control
        .logs
        .append(section, 0..end, bytes)
        .await
        .unwrap();
    world
        .happens(
            &run.to_string(),
            RunEvent::Ended(Attempt(1), RunEnd::Failed),
        )
        .await;

    let mut tx = world.app().store.begin().await.unwrap();
    let ended = leases::LeaseStanding::Ended;
    leases::stand(&mut tx, run, Attempt(1), ended, UnixMillis::now())
        .await
        .unwrap();
    world.app().store.commit(tx).await.unwrap();

    let mut read = String::new();
    let mut token = json!(null);
    for left in (0..10).rev() {
        assert!(left > 0, "the log does not end");
        let variables = json!({ "stack": "net", "run": run, "state": "PREPARING",
            "stateVersion": 3, "token": token });
        let page = world.reader.ok(LOGS, variables).await["stack"]["run"]["logs"].clone();
        for message in page["messages"].as_array().unwrap() {
            read.push_str(message["message"].as_str().unwrap());
        }
        token = page["nextToken"].clone();
        assert!(token.is_string(), "{page}");
        if page["finished"] == true {
            break;
        }
    }
    assert_eq!(read, TEXT);

    let path = |version: u32| format!("/api/runs/{run}/logs?stateVersion={version}");
    assert_eq!(
        world.reader.get(&path(3)).await,
        (200, TEXT.as_bytes().to_vec())
    );
    assert_eq!(world.reader.get(&path(9)).await.0, 404);
    assert_eq!(
        world
            .reader
            .get("/api/runs/nope/logs?stateVersion=1")
            .await
            .0,
        404
    );
    assert_eq!(
        world.nobody().get(&path(3)).await,
        (401, b"unauthorized\n".to_vec())
    );
}

#[tokio::test]
async fn a_worker_is_listed_drained_and_revoked() {
    let world = World::new().await;
    world.stack().await;
    let run: RunId = deploy(&world.writer).await.parse().unwrap();
    prepare(&world, run).await;
    let pools = world
        .reader
        .ok("{workerPools{id,busyWorkers,workers{id}}}", json!({}))
        .await;
    let pool = pools["workerPools"][0].clone();
    let worker = pool["workers"][0]["id"].clone();
    assert_eq!(pool["busyWorkers"], 1);
    let drain = "mutation($drain:Boolean!$worker:ID!$workerPool:ID!){workerDrainSet(workerPool: $workerPool, id: $worker, drain: $drain){id}}";
    let variables = json!({ "drain": true, "worker": worker, "workerPool": pool["id"] });
    world.admin.ok(drain, variables.clone()).await;
    let list =
        "query($workerPool:ID!){workerPool(id: $workerPool){workers{id,busy,drained,metadata}}}";
    let variables = json!({ "workerPool": pool["id"] });
    let shown = world.reader.ok(list, variables.clone()).await["workerPool"]["workers"][0].clone();
    assert_eq!(
        (&shown["busy"], &shown["drained"]),
        (&json!(true), &json!(true))
    );
    let metadata: Value = serde_json::from_str(shown["metadata"].as_str().unwrap()).unwrap();
    let expected = json!({ "rack": "7", "host": "dock-1", "arch": "x86_64", "version": "0.1.0" });
    assert_eq!(metadata, expected);
    let revoke = "mutation($worker:ID!$workerPool:ID!){workerRevoke(workerPool: $workerPool, id: $worker){id}}";
    let both = json!({ "worker": worker, "workerPool": pool["id"] });
    world.admin.ok(revoke, both).await;
    let shown = world.reader.ok(list, variables).await;
    assert_eq!(shown["workerPool"]["workers"], json!([]));
}

#[tokio::test]
async fn outputs_of_managed_state_are_shown_but_sensitive_ones() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    world.plans_changes(&run).await;
    let confirm = "mutation($run:ID!$stack:ID!){runConfirm(stack: $stack, run: $run){id}}";
    world
        .writer
        .ok(confirm, json!({ "stack": "net", "run": run }))
        .await;
    let two = Attempt(2);
    world.happens(&run, RunEvent::Leased).await;
    world
        .happens(&run, RunEvent::Granted(two, GrantedPhase::Apply))
        .await;
    let state = json!({ "version": 4, "lineage": "l", "serial": 1, "resources": [], "outputs": {
        "url": { "value": ["a", 1], "type": "dynamic" },
        "password": { "value": "hunter2", "type": "string", "sensitive": true } } });
    let (app, body) = (world.app(), Bytes::from(state.to_string()));
    let stack = "net".parse().unwrap();
    let prepared = app.control.state.prepare(&stack, &body).await.unwrap();
    let mut tx = app.store.begin().await.unwrap();
    let record = runs::get(&mut tx, run.parse().unwrap()).await.unwrap();
    app.control
        .state
        .write(&mut tx, &record, two, None, &prepared)
        .await
        .unwrap();
    app.store.commit(tx).await.unwrap();

    let text =
        "query($stackId:ID!){stack(id: $stackId){id,name,outputs{id,sensitive,description,value}}}";
    let shown = world.reader.ok(text, json!({ "stackId": "net" })).await;
    let expected =
        json!([{ "id": "url", "sensitive": false, "description": null, "value": "[\"a\",1]" }]);
    assert_eq!(shown["stack"]["outputs"], expected);
}

#[tokio::test]
async fn launchers_are_answered_and_a_worker_executable_is_taken_in_and_served() {
    let world = World::new().await;
    let base = &world.app().base_url;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = || http.post(format!("{base}/v1/nonce")).json(&json!(null));
    assert_eq!(request().send().await.unwrap().status(), 426);
    let spoken = request()
        .header(CONTROL_HEADER, CONTROL)
        .send()
        .await
        .unwrap();
    assert!(!spoken.json::<Nonce>().await.unwrap().nonce.is_empty());

    let executable = b"\x7fELF of this test".to_vec();
    let manifest = WorkerManifest {
        product: PRODUCT.to_owned(),
        version: "0.1.0".to_owned(),
        arch: "x86_64".to_owned(),
        sha256: Digest::of(&executable),
        size: executable.len() as u64,
    };
    let signed = jws::sign_ed(&manifest, &EdKey::generate()).unwrap();
    let (manifest, binary) = (world.dir.path().join("m"), world.dir.path().join("b"));
    std::fs::write(&manifest, &signed).unwrap();
    std::fs::write(&binary, &executable).unwrap();
    let add = || {
        let mut add = Command::new(env!("CARGO_BIN_EXE_gantry-server"));
        add.args(["worker", "add", "--manifest"])
            .arg(&manifest)
            .arg("--binary")
            .arg(&binary);
        add.arg("--data-dir")
            .arg(&world.app().data_dir)
            .output()
            .unwrap()
    };
    let added = add();
    assert!(added.status.success(), "{added:?}");
    let mut conn = world.app().store.read().await.unwrap();
    let newest = gantry_server::dist::newest(&mut conn, "x86_64")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(newest.digest, Digest::of(&executable));
    assert_eq!(
        world.app().blobs.get_bytes(&newest.blob).await.unwrap(),
        executable
    );
    std::fs::write(&binary, b"something else").unwrap();
    assert_eq!(add().status.code(), Some(1));
}
