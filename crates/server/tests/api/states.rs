//! Versions of managed states: listed, gone back to; and what retention leaves.

use bytes::Bytes;
use gantry_protocol::{Attempt, RunId};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{RunEnd, RunEvent};
use gantry_server::store::runs;
use gantry_server::tasks::retention::{Retention, turn};
use gantry_server::tfstate::WriteAnswer;
use serde_json::{Value, json};

use crate::runs::{CANCEL, deploy, of};
use crate::world::World;

const LIST: &str = "query($before:Int){stack(id: \"net\"){stateVersions(before: $before){version,serial,size,runId}}}";
const BACK: &str = "mutation($version:Int!){stackStateRollback(stack: \"net\", version: $version){version,serial,runId}}";

fn state(serial: u64) -> String {
    format!(
        "{{\"version\": 4, \"serial\": {serial}, \"lineage\": \"l\", \"outputs\": {{\"n\": {{\"value\": {serial}}}}}, \"big\": 1.00000000000000000001}}"
    )
}

/// Writes a state as an attempt of the run would.
pub(crate) async fn write(world: &World, run: RunId, serial: u64) {
    let keeper = &world.app().control.state;
    let stack = "net".parse().unwrap();
    let body = Bytes::from(state(serial));
    let prepared = keeper.prepare(&stack, &body).await.unwrap();
    let mut tx = world.app().store.begin().await.unwrap();
    let record = runs::get(&mut tx, run).await.unwrap();
    let written = keeper
        .write(&mut tx, &record, Attempt(1), None, &prepared)
        .await;
    assert!(
        matches!(written, Ok(WriteAnswer::Written { fresh: true, .. })),
        "{written:?}"
    );
    world.app().store.commit(tx).await.unwrap();
}

async fn versions(world: &World) -> Vec<(u64, u64)> {
    let found = world.reader.ok(LIST, json!({ "before": null })).await;
    let list = found["stack"]["stateVersions"].as_array().unwrap().clone();
    let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
    list.iter()
        .map(|one| (number(one, "version"), number(one, "serial")))
        .collect()
}

#[tokio::test]
async fn an_older_state_becomes_the_newest_again() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let id: RunId = run.parse().unwrap();
    for serial in [1, 2, 5] {
        write(&world, id, serial).await;
    }
    assert_eq!(versions(&world).await, [(3, 5), (2, 2), (1, 1)]);
    let older = world.reader.ok(LIST, json!({ "before": 2 })).await;
    assert_eq!(older["stack"]["stateVersions"][0]["version"], 1);
    let back = json!({ "version": 1 });
    let busy = world.admin.refused(BACK, back.clone()).await;
    assert!(busy.contains(&run), "{busy}");
    world.writer.ok(CANCEL, of(&run)).await;
    world.writer.refused(BACK, back.clone()).await;

    let made = world.admin.ok(BACK, back).await["stackStateRollback"].clone();
    assert_eq!(made, json!({ "version": 4, "serial": 6, "runId": run }));
    let keeper = &world.app().control.state;
    let now = keeper.read(&"net".parse().unwrap()).await.unwrap().unwrap();
    let expected = state(1).replace("\"serial\": 1", "\"serial\": 6");
    assert_eq!(std::str::from_utf8(&now).unwrap(), expected);
    let missing = world.admin.refused(BACK, json!({ "version": 9 })).await;
    assert!(missing.contains("`9` does not exist"), "{missing}");

    // The newest ones stay, whatever their number is.
    let bounds = Retention {
        state_versions: Some(2),
        ..Retention::default()
    };
    turn(world.app(), bounds, UnixMillis::now()).await.unwrap();
    assert_eq!(versions(&world).await, [(4, 6), (3, 5)]);
    assert!(
        keeper
            .read(&"net".parse().unwrap())
            .await
            .unwrap()
            .is_some()
    );
    turn(world.app(), Retention::default(), UnixMillis::now())
        .await
        .unwrap();
    assert_eq!(versions(&world).await.len(), 2);
}

#[tokio::test]
async fn logs_go_by_the_age_of_runs_that_have_ended() {
    let world = World::new().await;
    world.stack().await;
    let run = deploy(&world.writer).await;
    let id: RunId = run.parse().unwrap();
    let section = crate::joined::prepare(&world, id).await;
    let bytes = Bytes::from_static(b"a line\n");
    let logs = &world.app().control.logs;
    logs.append(section, 0..7, bytes).await.unwrap();
    let bounds = Retention {
        log_days: Some(3),
        ..Retention::default()
    };
    let day = 24 * 3_600_000;
    let later = UnixMillis::now().plus(4 * day);
    let page = async || {
        let variables = json!({ "stack": "net", "run": run, "state": "PREPARING",
            "stateVersion": 3, "token": null });
        let found = world.reader.ok(crate::runs::LOGS, variables).await;
        found["stack"]["run"]["logs"].clone()
    };
    turn(world.app(), bounds, later).await.unwrap();
    assert_eq!(page().await["exists"], true, "it has not ended");
    let ended = RunEvent::Ended(Attempt(1), RunEnd::Failed);
    world.happens(&run, ended).await;
    let soon = UnixMillis::now().plus(2 * day);
    turn(world.app(), bounds, soon).await.unwrap();
    turn(world.app(), Retention::default(), later)
        .await
        .unwrap();
    assert_eq!(page().await["exists"], true, "it is not that old");
    for _ in 0..2 {
        turn(world.app(), bounds, later).await.unwrap();
        let gone = page().await;
        assert_eq!(
            (&gone["exists"], &gone["finished"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(gone["messages"], json!([]));
    }
    let text = "query($run:ID!){stack(id: \"net\"){run(id: $run){state,history{state}}}}";
    let kept = world.reader.ok(text, json!({ "run": run })).await["stack"]["run"].clone();
    assert_eq!(
        (&kept["state"], &kept["history"][3]["state"]),
        (&json!("FAILED"), &json!("QUEUED"))
    );
}
