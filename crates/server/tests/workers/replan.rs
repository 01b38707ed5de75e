//! Plans of chosen addresses and destroys, as launchers see them.

use gantry_protocol::control::run::{GrantAnswer, Outcome};
use gantry_protocol::payload::Stage;
use gantry_protocol::{RunState, RunType};
use gantry_server::domain::{Approval, RunEvent};
use gantry_server::store::runs;

use crate::client::ended;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_replan_brings_the_packed_workspace_and_parks_again() {
    let world = World::new().await;
    world.set_approval(Approval::Automatic).await;
    let client = world.launcher().await;
    let run = world
        .trigger_on(&world.stack, RunType::Tracked, Approval::Automatic)
        .await;
    let first = client.lease(&world).await;
    client.plan(first).await;
    client.park(&world, first).await;

    world.decide(run, RunEvent::Replan, None).await;
    let targets = vec!["null_resource.a".to_owned()];
    let mut tx = world.control.store.begin().await.unwrap();
    runs::set_targets(&mut tx, run, &targets).await.unwrap();
    world.control.store.commit(tx).await.unwrap();

    let sealed = client.next_run().await;
    let payload = world.open(&client, &sealed).await;
    assert_eq!((payload.stage, &payload.targets), (Stage::Replan, &targets));
    assert!(
        !payload.autodeploy,
        "a person decides about chosen addresses"
    );
    assert_eq!(payload.workspace.unwrap().attempt, first.attempt);
    let second = crate::client::attempt(first, 2);
    assert_eq!(world.state(run).await, RunState::PreparingReplan);
    client.enter(second, 1, RunState::Planning).await.unwrap();
    // A launcher that asks all the same is told to wait.
    let asked = client.grant(second, 2, RunState::Applying).await.unwrap();
    assert_eq!(asked, GrantAnswer::Park);
    let taken = client.park(&world, second).await;
    assert_eq!(taken.state, RunState::Unconfirmed);

    world.decide(run, RunEvent::Confirm, None).await;
    let sealed = client.next_run().await;
    let payload = world.open(&client, &sealed).await;
    assert_eq!((payload.stage, &payload.targets), (Stage::Apply, &targets));
    assert_eq!(payload.workspace.unwrap().attempt, second.attempt);
    let third = crate::client::attempt(first, 3);
    let granted = client.grant(third, 1, RunState::Applying).await.unwrap();
    assert!(
        matches!(granted, GrantAnswer::Granted { .. }),
        "{granted:?}"
    );
    let taken = client.result(third, &ended(Outcome::Succeeded)).await;
    assert_eq!(taken.unwrap().state, RunState::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_is_granted_after_its_confirm_or_with_autodeploy() {
    for approval in [Approval::Person, Approval::Automatic] {
        let world = World::new().await;
        world.set_approval(approval).await;
        let client = world.launcher().await;
        let run = world
            .trigger_on(&world.stack, RunType::Destroy, approval)
            .await;
        let mut lease = client.lease(&world).await;
        client.plan(lease).await;
        let asked = client.grant(lease, 3, RunState::Destroying).await.unwrap();
        let mut section = 3;
        if approval == Approval::Person {
            assert_eq!(asked, GrantAnswer::Park);
            client.park(&world, lease).await;
            assert_eq!(world.state(run).await, RunState::Unconfirmed);
            world.decide(run, RunEvent::Confirm, None).await;
            lease = client.lease(&world).await;
            section = 1;
        }
        let asked = client.grant(lease, section, RunState::Destroying).await;
        assert!(
            matches!(asked, Ok(GrantAnswer::Granted { .. })),
            "{asked:?}"
        );
        let (status, _) = client.state(lease, "read", "").await;
        assert_eq!(status, 204);
        let taken = client.result(lease, &ended(Outcome::Succeeded)).await;
        assert_eq!(taken.unwrap().state, RunState::Finished);
    }
}
