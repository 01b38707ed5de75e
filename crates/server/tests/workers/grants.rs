//! The permission to change the world: once, durable, and only while people agree.

use gantry_policy::PolicyKind;
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{GrantAnswer, Lease, Outcome};
use gantry_protocol::{RunState, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{Approval, RunEvent};
use gantry_server::store::policies::{self, Policy};

use crate::client::{Client, code, ended};
use crate::world::World;

async fn planned(world: &World, client: &Client, approval: Approval) -> Lease {
    world
        .trigger_on(&world.stack, RunType::Tracked, approval)
        .await;
    let lease = client.lease(world).await;
    client.plan(lease).await;
    lease
}

#[tokio::test(flavor = "multi_thread")]
async fn autodeploy_applies_without_a_person() {
    let world = World::new().await;
    world.set_approval(Approval::Automatic).await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, Approval::Automatic).await;
    let granted = client.grant(lease, 3, RunState::Applying).await.unwrap();
    // The answer got lost, or the launcher restarted: the same grant, not another one.
    assert_eq!(
        client.grant(lease, 3, RunState::Applying).await.unwrap(),
        granted
    );
    assert_eq!(
        world
            .history(lease.run)
            .await
            .iter()
            .filter(|s| **s == RunState::Applying)
            .count(),
        1
    );
    // Under another section it would be a second one.
    let second = client.grant(lease, 4, RunState::Applying).await.unwrap();
    assert!(matches!(second, GrantAnswer::Denied { .. }), "{second:?}");
    let taken = client
        .result(lease, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    assert_eq!(taken.state, RunState::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_at_once_make_one_grant() {
    let world = World::new().await;
    world.set_approval(Approval::Automatic).await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, Approval::Automatic).await;
    let asks = (0..6).map(|_| client.grant(lease, 3, RunState::Applying));
    let answers = futures_util::future::join_all(asks).await;
    assert!(
        answers.iter().all(|answer| answer == &answers[0]),
        "{answers:?}"
    );
    assert!(matches!(answers[0], Ok(GrantAnswer::Granted { .. })));
    assert_eq!(
        world
            .history(lease.run)
            .await
            .iter()
            .filter(|s| **s == RunState::Applying)
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn autodeploy_switched_off_meanwhile_parks() {
    let world = World::new().await;
    world.set_approval(Approval::Automatic).await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, Approval::Automatic).await;
    world.set_approval(Approval::Person).await;
    assert_eq!(
        client.grant(lease, 3, RunState::Applying).await.unwrap(),
        GrantAnswer::Park
    );
    assert_eq!(world.state(lease.run).await, RunState::Planning);
    assert_eq!(
        client.park(&world, lease).await.state,
        RunState::Unconfirmed
    );
    world.decide(lease.run, RunEvent::Confirm, None).await;
    let lease = client.lease(&world).await;
    let granted = client.grant(lease, 1, RunState::Applying).await.unwrap();
    assert!(matches!(granted, GrantAnswer::Granted { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn autodeploy_parks_where_an_approval_policy_has_a_say() {
    let world = World::new().await;
    world.set_approval(Approval::Automatic).await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, Approval::Automatic).await;
    let policy = Policy {
        id: "two-eyes".parse().unwrap(),
        name: "two eyes".to_owned(),
        description: None,
        kind: PolicyKind::Approval,
        body: "package spacelift\napprove := true\n".to_owned(),
        labels: vec!["autoattach:eu".to_owned()],
        space: "root".to_owned(),
        created_at: UnixMillis::now(),
        updated_at: UnixMillis::now(),
    };
    let store = &world.control.store;
    let mut tx = store.begin().await.unwrap();
    policies::insert(&mut tx, &policy).await.unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(
        client.grant(lease, 3, RunState::Applying).await.unwrap(),
        GrantAnswer::Park
    );
    assert_eq!(
        client.park(&world, lease).await.state,
        RunState::Unconfirmed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_autodeploy_a_plan_is_parked() {
    let world = World::new().await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, Approval::Person).await;
    assert_eq!(
        client.grant(lease, 3, RunState::Applying).await.unwrap(),
        GrantAnswer::Park
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_nothing_is_granted() {
    let world = World::new().await;
    world.set_approval(Approval::Automatic).await;
    let client = world.launcher().await;
    let lease = planned(&world, &client, Approval::Automatic).await;
    world.decide(lease.run, RunEvent::Stop, Some("no")).await;
    let answer = client.grant(lease, 3, RunState::Applying).await.unwrap();
    let GrantAnswer::Denied { reason } = answer else {
        panic!("{answer:?}")
    };
    assert!(reason.contains("stop"), "{reason}");
    let stopped = Outcome::Stopped {
        message: "before the apply".into(),
    };
    let taken = client.result(lease, &ended(stopped)).await.unwrap();
    assert_eq!(taken.state, RunState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_for_the_phase_that_is_due() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Task).await;
    let lease = client.lease(&world).await;
    let early = client.grant(lease, 1, RunState::Performing).await.unwrap();
    assert!(matches!(early, GrantAnswer::Denied { .. }));
    client
        .enter(lease, 1, RunState::Initializing)
        .await
        .unwrap();
    let wrong = client.grant(lease, 2, RunState::Applying).await.unwrap();
    assert!(matches!(wrong, GrantAnswer::Denied { .. }));
    assert_eq!(
        code(client.grant(lease, 2, RunState::Planning).await),
        ProblemCode::Malformed
    );
    let due = client.grant(lease, 2, RunState::Performing).await.unwrap();
    assert!(matches!(due, GrantAnswer::Granted { .. }));
    let taken = client
        .result(lease, &ended(Outcome::Succeeded))
        .await
        .unwrap();
    assert_eq!(taken.state, RunState::Finished);
    let late = code(client.grant(lease, 3, RunState::Performing).await);
    assert_eq!(late, ProblemCode::Conflict);
}
