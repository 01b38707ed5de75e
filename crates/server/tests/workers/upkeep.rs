//! What is left behind, and for how long.

use gantry_protocol::control::run::Outcome;
use gantry_protocol::{RunState, RunType};
use gantry_server::domain::RunEvent;
use gantry_server::store::{artifacts, logs};

use crate::client::ended;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_lives_as_long_as_its_run() {
    let world = World::new().await;
    let client = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    client.plan(lease).await;
    client.park(&world, lease).await;
    world.control.upkeep().await.unwrap();
    let kept = {
        let mut conn = world.control.store.read().await.unwrap();
        artifacts::workspace(&mut conn, run, lease.attempt)
            .await
            .unwrap()
            .unwrap()
    };
    assert!(world.control.blobs.exists(&kept.blob).await.unwrap());
    world.decide(run, RunEvent::Discard, None).await;
    world.control.upkeep().await.unwrap();
    assert!(!world.control.blobs.exists(&kept.blob).await.unwrap());
    let mut conn = world.control.store.read().await.unwrap();
    assert_eq!(
        artifacts::workspace(&mut conn, run, lease.attempt)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_log_pieces_of_an_ended_attempt_become_objects() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    client
        .enter(lease, 1, RunState::Initializing)
        .await
        .unwrap();
    client.log(lease, 1, (0, 5), b"init\n").await.unwrap();
    client
        .result(
            lease,
            &ended(Outcome::Stopped {
                message: "m".into(),
            }),
        )
        .await
        .unwrap();
    // Said after the result, so the result's own gathering can't have seen it.
    client.log(lease, 0, (0, 4), b"bye\n").await.unwrap();
    world.control.upkeep().await.unwrap();
    let sections = {
        let mut conn = world.control.store.read().await.unwrap();
        assert_eq!(logs::scattered(&mut conn).await.unwrap(), []);
        logs::of_attempt(&mut conn, lease.run, lease.attempt)
            .await
            .unwrap()
    };
    assert!(
        sections.iter().all(|section| section.inline == 0),
        "{sections:?}"
    );
    for (section, text) in sections.iter().zip(["bye\n", "init\n"]) {
        let page = world
            .control
            .logs
            .read(lease.run, section.version, None)
            .await
            .unwrap();
        assert_eq!(page.messages, [text]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_answers_its_long_polls() {
    let world = World::new().await;
    let client = world.launcher().await;
    let waiting = tokio::spawn(async move { client.poll(&[], 1, 55).await });
    world.control.stopping.cancel();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
    assert_eq!(answer.unwrap().unwrap().unwrap().messages, []);
}
