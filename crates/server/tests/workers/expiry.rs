//! Launchers that fall silent. The time is given to the dispatcher, so nothing here waits for it.

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{GrantAnswer, Lease, Outcome};
use gantry_protocol::{Attempt, RunState, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::dispatch::{Expired, Terms};
use gantry_server::domain::Contact;

use crate::client::{Client, code, ended};
use crate::world::World;

const LEASE: i64 = 60_000;

fn later(millis: i64) -> UnixMillis {
    UnixMillis::now().plus(millis)
}

async fn applying(world: &World, client: &Client) -> Lease {
    world.trigger(RunType::Task).await;
    let lease = client.lease(world).await;
    client
        .enter(lease, 1, RunState::Initializing)
        .await
        .unwrap();
    let granted = client.grant(lease, 2, RunState::Performing).await.unwrap();
    assert!(matches!(granted, GrantAnswer::Granted { .. }));
    lease
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_grant_the_run_goes_to_somebody_else() {
    let world = World::new().await;
    let silent = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = silent.lease(&world).await;
    silent.plan(lease).await;
    assert_eq!(
        world
            .control
            .dispatcher
            .expire(later(LEASE - 1000))
            .await
            .unwrap(),
        []
    );
    let expired = world
        .control
        .dispatcher
        .expire(later(LEASE + 1000))
        .await
        .unwrap();
    assert_eq!(
        expired,
        [Expired::TakenBack(run, Attempt(1), RunState::Ready)]
    );

    // The old holder comes back before and after somebody else has it.
    assert_eq!(silent.renew(&[lease]).await.unwrap().lost, [lease]);
    let stale = ProblemCode::StaleAttempt;
    assert_eq!(
        code(silent.grant(lease, 3, RunState::Applying).await),
        stale
    );
    let other = world.launcher().await;
    let second = other.lease(&world).await;
    assert_eq!(
        second,
        Lease {
            run,
            attempt: Attempt(2)
        }
    );
    assert_eq!(
        code(silent.result(lease, &ended(Outcome::Succeeded)).await),
        stale
    );
    other.plan(second).await;
    assert_eq!(world.state(run).await, RunState::Planning);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_never_fetched_is_taken_back_with_its_message() {
    let world = World::new().await;
    let silent = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let message = silent.next(1).await;
    world
        .control
        .dispatcher
        .expire(later(LEASE + 1000))
        .await
        .unwrap();
    let other = world.launcher().await;
    assert_eq!(other.lease(&world).await.run, run);
    let left = silent.poll(&[], 0, 0).await.unwrap().messages;
    assert!(left.iter().all(|m| m.id != message.id), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_grant_the_late_result_counts() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = applying(&world, &client).await;
    let expired = world
        .control
        .dispatcher
        .expire(later(LEASE + 1000))
        .await
        .unwrap();
    assert_eq!(expired, [Expired::ContactLost(lease.run, lease.attempt)]);
    let run = world.run(lease.run).await.run;
    assert_eq!(
        (run.state, run.contact),
        (RunState::Performing, Contact::Lost)
    );
    // Nobody else gets it, and the stack waits.
    let next = world.trigger(RunType::Tracked).await;
    let other = world.launcher().await;
    assert!(other.poll(&[], 1, 0).await.unwrap().messages.is_empty());
    assert_eq!(world.state(next).await, RunState::Queued);

    let taken = client
        .result(lease, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    assert_eq!((taken.state, taken.counted), (RunState::Finished, true));
    assert_eq!(other.lease(&world).await.run, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_that_is_heard_again_has_its_lease_back() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = applying(&world, &client).await;
    world
        .control
        .dispatcher
        .expire(later(LEASE + 1000))
        .await
        .unwrap();
    assert_eq!(client.renew(&[lease]).await.unwrap().lost, []);
    assert_eq!(world.run(lease.run).await.run.contact, Contact::Live);
    assert_eq!(
        world
            .control
            .dispatcher
            .expire(later(LEASE - 1000))
            .await
            .unwrap(),
        []
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_grace_the_run_fails_and_a_later_result_is_a_note() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = applying(&world, &client).await;
    let lock = r#"{"ID":"abc","Operation":"OperationTypeApply"}"#;
    assert_eq!(client.state(lease, "lock", lock).await.0, 200);
    let dispatcher = &world.control.dispatcher;
    let lost_at = later(LEASE + 1000);
    dispatcher.expire(lost_at).await.unwrap();
    let grace = Terms::default().grace;
    assert_eq!(
        dispatcher.expire(lost_at.plus(grace - 1000)).await.unwrap(),
        []
    );
    let given_up = dispatcher.expire(lost_at.plus(grace + 1000)).await.unwrap();
    assert_eq!(given_up, [Expired::GivenUp(lease.run, lease.attempt)]);
    let record = world.run(lease.run).await;
    assert_eq!(record.run.state, RunState::Failed);
    let note = record.note.unwrap();
    assert!(
        note.contains("what was changed is not known") && note.contains("lock abc"),
        "{note}"
    );

    let late = ended(Outcome::Succeeded);
    for _ in 0..2 {
        let taken = client.result(lease, &late).await.unwrap();
        assert_eq!((taken.state, taken.counted), (RunState::Failed, false));
    }
    let note = world.run(lease.run).await.note.unwrap();
    assert_eq!(
        note.matches("too late to count, attempt 1 reported: success")
            .count(),
        1,
        "{note}"
    );
    // Its tool may still live: it writes nothing any more.
    let state = r#"{"version":4,"serial":1,"lineage":"l"}"#;
    assert_eq!(client.state(lease, "write", state).await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_absence_never_counts() {
    let world = World::new().await;
    let client = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    client.lease(&world).await;
    let dispatcher = &world.control.dispatcher;
    // As after a restart, or a suspended machine: three hours passed, and the server is back since now.
    let back = later(3 * 3_600_000);
    dispatcher.slept_until(back);
    assert_eq!(dispatcher.expire(back).await.unwrap(), []);
    assert_eq!(dispatcher.expire(back.plus(LEASE - 1)).await.unwrap(), []);
    let expired = dispatcher.expire(back.plus(LEASE)).await.unwrap();
    assert_eq!(
        expired,
        [Expired::TakenBack(run, Attempt(1), RunState::Ready)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_does_not_run_while_the_server_is_away() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = applying(&world, &client).await;
    let dispatcher = &world.control.dispatcher;
    let lost_at = later(LEASE + 1000);
    dispatcher.expire(lost_at).await.unwrap();
    let grace = Terms::default().grace;
    let back = lost_at.plus(10 * grace);
    dispatcher.slept_until(back);
    assert_eq!(dispatcher.expire(back.plus(grace - 1)).await.unwrap(), []);
    let given_up = dispatcher.expire(back.plus(grace)).await.unwrap();
    assert_eq!(given_up, [Expired::GivenUp(lease.run, lease.attempt)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_outlives_the_launcher_that_was_told() {
    let world = World::new().await;
    let client = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    client.lease(&world).await;
    world
        .decide(run, gantry_server::domain::RunEvent::Stop, None)
        .await;
    world
        .control
        .dispatcher
        .expire(later(LEASE + 1000))
        .await
        .unwrap();
    assert_eq!(world.state(run).await, RunState::Stopped);
}
