//! Messages: in order, at least once, and never behind something else.

use gantry_protocol::control::inbox::Content;
use gantry_protocol::control::run::Outcome;
use gantry_protocol::{RunState, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{Approval, RunEvent};
use gantry_server::store::inbox;
use gantry_server::store::launchers::{self, Intake};

use crate::client::ended;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_until_it_is_acknowledged() {
    let world = World::new().await;
    let client = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let first = client.next(1).await;
    let again = client.poll(&[], 1, 0).await.unwrap().messages;
    assert_eq!(again, std::slice::from_ref(&first));
    assert!(
        client
            .poll(&[first.id], 1, 0)
            .await
            .unwrap()
            .messages
            .is_empty()
    );
    world
        .decide(run, RunEvent::Stop, Some("wrong branch"))
        .await;
    let stop = client.next(0).await;
    assert!(stop.id > first.id);
    let Content::Stop {
        run: stopped, note, ..
    } = stop.content
    else {
        panic!("{stop:?}")
    };
    assert_eq!((stopped, note.as_str()), (run, "wrong branch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_poll_hears_of_a_run_a_stop_and_a_drain() {
    let world = World::new().await;
    let client = world.launcher().await;
    let wait = |free| {
        let client = client.clone();
        tokio::spawn(async move { client.next(free).await })
    };
    let waiting = wait(1);
    let run = world.trigger(RunType::Tracked).await;
    let message = waiting.await.unwrap();
    assert!(matches!(message.content, Content::Run(_)));
    client.poll(&[message.id], 0, 0).await.unwrap();

    // Full, and still told to stop.
    let waiting = wait(0);
    world.decide(run, RunEvent::Stop, None).await;
    let message = waiting.await.unwrap();
    assert!(matches!(message.content, Content::Stop { .. }));
    client.poll(&[message.id], 0, 0).await.unwrap();

    let waiting = wait(0);
    let store = &world.control.store;
    let mut tx = store.begin().await.unwrap();
    launchers::set_intake(&mut tx, client.id, Intake::Drained)
        .await
        .unwrap();
    let drain = Content::Drain { on: true };
    inbox::push(&mut tx, client.id, &drain, None, UnixMillis::now())
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    let message = waiting.await.unwrap();
    assert_eq!(message.content, drain);
    client.poll(&[message.id], 0, 0).await.unwrap();

    // Drained: the next run of another stack waits for somebody else.
    client
        .result(lease_of(&world, run).await, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    let next = world.trigger(RunType::Tracked).await;
    assert!(client.poll(&[], 5, 0).await.unwrap().messages.is_empty());
    assert_eq!(world.state(next).await, RunState::Ready);
    let other = world.launcher().await;
    assert_eq!(other.lease(&world).await.run, next);
}

async fn lease_of(
    world: &World,
    run: gantry_protocol::RunId,
) -> gantry_protocol::control::run::Lease {
    let attempt = world.run(run).await.run.attempt;
    gantry_protocol::control::run::Lease { run, attempt }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_runs_than_it_has_room_for() {
    let world = World::new().await;
    let client = world.launcher().await;
    let mut runs = Vec::new();
    for name in ["a", "b", "c"] {
        let stack = name.parse().unwrap();
        world.add_stack(&stack, Approval::Person).await;
        runs.push(
            world
                .trigger_on(&stack, RunType::Tracked, Approval::Person)
                .await,
        );
    }
    let first = client.next(2).await;
    // Asking again before anything was journaled earns nothing more.
    let messages = client.poll(&[], 2, 0).await.unwrap().messages;
    assert_eq!((messages.len(), messages[0].id), (2, first.id));
    let ids: Vec<u64> = messages.iter().map(|m| m.id).collect();
    assert!(client.poll(&ids, 0, 0).await.unwrap().messages.is_empty());
    assert_eq!(world.state(runs[2]).await, RunState::Ready);
    assert_eq!(client.lease(&world).await.run, runs[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_go_before_previews_and_one_stack_has_one() {
    let world = World::new().await;
    let preview = world.trigger(RunType::Proposed).await;
    let first = world.trigger(RunType::Tracked).await;
    let second = world.trigger(RunType::Task).await;
    let client = world.launcher().await;
    let lease = client.lease(&world).await;
    assert_eq!(lease.run, first);
    assert_eq!(client.lease(&world).await.run, preview);
    assert_eq!(world.state(second).await, RunState::Queued);
    client
        .result(lease, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    assert_eq!(client.lease(&world).await.run, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_that_breaks_off_its_poll_gets_nothing() {
    let world = World::new().await;
    let other = world.launcher().await;
    let killed = world.launcher().await;
    let waiting = {
        let killed = killed.clone();
        tokio::spawn(async move { killed.poll(&[], 1, 50).await })
    };
    wait_for_slots(&world, &killed, 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    wait_for_slots(&world, &killed, 0).await;
    // The newest launcher would have been first.
    let run = world.trigger(RunType::Tracked).await;
    assert_eq!(other.lease(&world).await.run, run);
}

async fn wait_for_slots(world: &World, client: &crate::client::Client, slots: u32) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let known = {
            let mut conn = world.control.store.read().await.unwrap();
            launchers::find(&mut conn, client.id)
                .await
                .unwrap()
                .unwrap()
        };
        if known.free_slots == slots {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "never {slots}: {known:?}"
        );
        tokio::task::yield_now().await;
    }
}
