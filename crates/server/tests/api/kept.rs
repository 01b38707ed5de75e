//! What retention takes, and what it leaves: whole runs, and the documents of plans.

use bytes::Bytes;
use gantry_protocol::{Attempt, RunId, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{RunEnd, RunEvent};
use gantry_server::store::leases::{self, LeaseStanding};
use gantry_server::store::spent;
use gantry_server::tasks::retention::{Retention, turn};
use serde_json::{Value, json};

use crate::managed::{applied, keep_plan};
use crate::runs::{CANCEL, TRIGGER, deploy, of, trigger};
use crate::states::write;
use crate::world::World;

const DAY: i64 = 24 * 3_600_000;

/// Whether each run is still there.
async fn there(world: &World, runs: &[&str]) -> Vec<bool> {
    let text = "query($run:ID!){stack(id: \"net\"){run(id: $run){id,history{state}}}}";
    let mut found = Vec::new();
    for run in runs {
        let answer = world.reader.ok(text, json!({ "run": run })).await;
        let run = &answer["stack"]["run"];
        assert!(
            run.is_null() || run["history"][0]["state"].is_string(),
            "{run}"
        );
        found.push(!run.is_null());
    }
    found
}

/// Lines of the audit trail about a run.
async fn lines(world: &World, run: &str) -> i64 {
    let mut conn = world.app().store.read().await.unwrap();
    let sql = "SELECT COUNT(*) FROM audit WHERE subject = $1";
    let (count,): (i64,) = sqlx::query_as(sql)
        .bind(format!("run:{run}"))
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    count
}

#[tokio::test]
async fn runs_go_by_age_unless_something_needs_them() {
    let world = World::new().await;
    world.stack().await;
    let failed = deploy(&world.writer).await;
    let id: RunId = failed.parse().unwrap();
    let section = crate::joined::prepare(&world, id).await;
    let logs = &world.app().control.logs;
    logs.append(section, 0..7, Bytes::from_static(b"a line\n"))
        .await
        .unwrap();
    keep_plan(&world, id).await;
    world
        .happens(&failed, RunEvent::Ended(Attempt(1), RunEnd::Failed))
        .await;
    let mut tx = world.app().store.begin().await.unwrap();
    leases::stand(
        &mut tx,
        id,
        Attempt(1),
        LeaseStanding::Ended,
        UnixMillis::now(),
    )
    .await
    .unwrap();
    world.app().store.commit(tx).await.unwrap();
    let wrote = deploy(&world.writer).await;
    write(&world, wrote.parse().unwrap(), 1).await;
    world.writer.ok(CANCEL, of(&wrote)).await;
    let newest = deploy(&world.writer).await;
    let preview = world
        .writer
        .ok(TRIGGER, trigger(RunType::Proposed, None))
        .await;
    let preview = preview["runTrigger"]["id"].as_str().unwrap().to_owned();
    world.writer.ok(CANCEL, of(&preview)).await;
    let all = [&*failed, &wrote, &newest, &preview];

    let app = world.app();
    let objects = spent::objects(&mut app.store.read().await.unwrap(), id)
        .await
        .unwrap();
    assert!(!objects.is_empty(), "the plan is an object");
    let said = lines(&world, &failed).await;
    assert!(said > 0);
    let bounds = Retention {
        run_days: Some(30),
        ..Retention::default()
    };
    let now = UnixMillis::now();
    turn(app, bounds, now.plus(29 * DAY)).await.unwrap();
    turn(app, Retention::default(), now.plus(400 * DAY))
        .await
        .unwrap();
    assert_eq!(
        there(&world, &all).await,
        [true; 4],
        "none is that old, or nobody asked for it"
    );

    for _ in 0..2 {
        turn(app, bounds, now.plus(31 * DAY)).await.unwrap();
        // The second wrote the state, the third has not ended, the last is the newest.
        assert_eq!(there(&world, &all).await, [false, true, true, true]);
    }
    assert_eq!(
        lines(&world, &failed).await,
        said,
        "the audit trail keeps what it says"
    );
    for object in &objects {
        assert!(!app.blobs.exists(object).await.unwrap(), "{object}");
    }

    write(&world, newest.parse().unwrap(), 2).await;
    world.writer.ok(CANCEL, of(&newest)).await;
    let bounds = Retention {
        state_versions: Some(1),
        ..bounds
    };
    for _ in 0..2 {
        turn(app, bounds, UnixMillis::now().plus(31 * DAY))
            .await
            .unwrap();
    }
    // What the second wrote is gone, and so it may go; the third says where the stack stands.
    assert_eq!(there(&world, &all).await, [false, false, true, true]);
}

#[tokio::test]
async fn a_plan_goes_by_age_unless_it_tells_of_the_newest_state() {
    let world = World::new().await;
    let run = applied(&world).await;
    world
        .happens(&run, RunEvent::Ended(Attempt(2), RunEnd::Succeeded))
        .await;
    let changes = async || -> Value {
        let text = "query($run:ID!){stack(id: \"net\"){run(id: $run){state changesV3(input: {}){resources{address}}}}}";
        let answer = world.reader.ok(text, json!({ "run": run })).await;
        answer["stack"]["run"].clone()
    };
    let bounds = Retention {
        plan_days: Some(3),
        ..Retention::default()
    };
    let later = UnixMillis::now().plus(4 * DAY);
    turn(world.app(), bounds, later).await.unwrap();
    let kept = changes().await;
    assert_ne!(kept["changesV3"], json!([]), "it tells of the newest state");

    let next = deploy(&world.writer).await;
    write(&world, next.parse().unwrap(), 2).await;
    turn(world.app(), bounds, UnixMillis::now()).await.unwrap();
    assert_eq!(changes().await, kept, "it is not that old");
    for _ in 0..2 {
        turn(world.app(), bounds, UnixMillis::now().plus(4 * DAY))
            .await
            .unwrap();
        let gone = changes().await;
        assert_eq!(
            (&gone["changesV3"], &gone["state"]),
            (&json!([]), &json!("FINISHED"))
        );
    }
}
