//! A pool's limit of looks for drift: how many its launchers do at once.

use gantry_protocol::control::run::Outcome;
use gantry_protocol::{RunId, RunType};
use gantry_server::domain::Approval;
use gantry_server::store::pools;

use crate::client::ended;
use crate::world::World;

/// A preview that looks for drift, made before any launcher has room.
async fn look(world: &World) -> RunId {
    let run = world.trigger(RunType::Proposed).await;
    let mut tx = world.control.store.begin().await.unwrap();
    sqlx::query("UPDATE runs SET cause = 'DRIFT' WHERE id = $1")
        .bind(run.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    world.control.store.commit(tx).await.unwrap();
    run
}

async fn limit(world: &World, limit: Option<u32>) {
    let mut tx = world.control.store.begin().await.unwrap();
    let mut pool = pools::get(&mut tx, world.pool).await.unwrap();
    pool.drift_limit = limit;
    pools::update(&mut tx, &pool).await.unwrap();
    world.control.store.commit(tx).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_beyond_the_limit_wait_and_nothing_else_does() {
    let world = World::new().await;
    limit(&world, Some(1)).await;
    let looks = [look(&world).await, look(&world).await];
    let other = "other".parse().unwrap();
    world.add_stack(&other, Approval::Person).await;
    let asks = async || {
        let (kind, approval) = (RunType::Proposed, Approval::Person);
        world.trigger_on(&other, kind, approval).await
    };
    let asked = asks().await;
    let client = world.launcher().await;
    assert_eq!(client.lease(&world).await.run, asked, "looks come last");
    let first = client.lease(&world).await;
    assert_eq!(first.run, looks[0]);
    let asked = asks().await;
    assert_eq!(client.lease(&world).await.run, asked);
    let none = client.poll(&[], 1, 1).await.unwrap();
    assert_eq!(none.messages, [], "one look at a time");

    let stopped = Outcome::Stopped {
        message: "stopped".to_owned(),
    };
    client.result(first, &ended(stopped)).await.unwrap();
    assert_eq!(client.lease(&world).await.run, looks[1]);
    // Without a limit they go side by side.
    let third = look(&world).await;
    let none = client.poll(&[], 1, 1).await.unwrap();
    assert_eq!(none.messages, []);
    limit(&world, None).await;
    assert_eq!(client.lease(&world).await.run, third);
}
