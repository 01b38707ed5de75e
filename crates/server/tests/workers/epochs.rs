//! Restarts, copies of a data directory, and the process that was left behind.

use std::time::Duration;

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::session::Claim;
use gantry_server::store::audit;
use gantry_server::store::launchers::{self, Standing};

use crate::client::{Client, code};
use crate::world::World;

async fn standing(world: &World, client: &Client) -> Standing {
    let mut conn = world.control.store.read().await.unwrap();
    launchers::find(&mut conn, client.id)
        .await
        .unwrap()
        .unwrap()
        .standing
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_and_restarts_quarantine_nobody() {
    let world = World::new().await;
    let mut client = Client::enrolled(&world).await;
    for n in 1..=5 {
        let session = client.take_over(&format!("process {n}")).await.unwrap();
        assert_eq!(session.epoch, n);
        client.poll(&[], 1, 0).await.unwrap();
    }
    // Killed after asking, before the answer was written: the directory still holds epoch 5 and the
    // process id; the next process finds both.
    let before = client.clone();
    assert_eq!(client.take_over("process 6").await.unwrap().epoch, 6);
    let mut next = before.clone();
    assert_eq!(next.take_over("process 6").await.unwrap().epoch, 6);
    next.poll(&[], 1, 0).await.unwrap();
    assert_eq!(next.take_over("process 7").await.unwrap().epoch, 7);
    assert_eq!(standing(&world, &client).await, Standing::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_process_hears_it_at_once() {
    let world = World::new().await;
    let old = world.launcher().await;
    let mut new = old.clone();
    // The old process waits in a long poll while the new one takes over.
    let waiting = {
        let old = old.clone();
        tokio::spawn(async move { old.poll(&[], 1, 50).await })
    };
    new.take_over("second").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(code(answer), ProblemCode::Fenced);
    // A request that was under way is no crime.
    assert_eq!(code(old.poll(&[], 1, 0).await), ProblemCode::Fenced);
    new.poll(&[], 1, 0).await.unwrap();
    assert_eq!(standing(&world, &new).await, Standing::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_data_directory_is_noticed_and_both_are_shut_out() {
    let world = World::new().await;
    let mut original = world.launcher().await;
    original.poll(&[], 1, 0).await.unwrap();
    // The copy starts with what the original's directory holds, and fences it.
    let mut copy = original.clone();
    copy.take_over("copy").await.unwrap();
    copy.poll(&[], 1, 0).await.unwrap();
    assert_eq!(code(original.poll(&[], 1, 0).await), ProblemCode::Fenced);
    // The original's supervisor starts it again, with its own directory.
    let refused = original.take_over("original again").await;
    assert_eq!(code(refused), ProblemCode::Quarantined);
    for client in [&original, &copy] {
        assert_eq!(code(client.poll(&[], 1, 0).await), ProblemCode::Quarantined);
    }
    let renewal = Claim::Renew { epoch: copy.epoch };
    assert_eq!(code(copy.claim(renewal).await), ProblemCode::Quarantined);
    let Standing::Quarantined { note, .. } = standing(&world, &copy).await else {
        panic!()
    };
    assert!(
        note.contains("epoch 1") && note.contains("epoch 2"),
        "{note}"
    );
    let mut conn = world.control.store.read().await.unwrap();
    let trail = audit::of(&mut conn, &format!("launcher:{}", copy.id))
        .await
        .unwrap();
    assert!(
        trail
            .iter()
            .any(|(_, action)| action == "launcher.quarantine"),
        "{trail:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_process_that_renews_came_back() {
    let world = World::new().await;
    let old = world.launcher().await;
    let mut new = old.clone();
    new.take_over("second").await.unwrap();
    new.poll(&[], 1, 0).await.unwrap();
    let renewal = old.claim(Claim::Renew { epoch: old.epoch }).await;
    assert_eq!(code(renewal), ProblemCode::Quarantined);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_renewed_by_its_process() {
    let world = World::new().await;
    let mut client = world.launcher().await;
    let renewed = client
        .claim(Claim::Renew {
            epoch: client.epoch,
        })
        .await
        .unwrap();
    assert_eq!((renewed.epoch, renewed.lease_seconds), (1, 60));
    assert_eq!(renewed.server_keys, world.control.keys.envelope_keys());
    client.token = renewed.token.expose().to_owned();
    client.poll(&[], 0, 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_person_looked_the_next_process_is_the_launcher() {
    let world = World::new().await;
    let mut original = world.launcher().await;
    let mut copy = original.clone();
    copy.take_over("copy").await.unwrap();
    copy.poll(&[], 1, 0).await.unwrap();
    original.take_over("again").await.unwrap_err();
    let store = &world.control.store;
    let mut tx = store.begin().await.unwrap();
    let at = gantry_server::clock::UnixMillis::now();
    launchers::set_standing(&mut tx, copy.id, &Standing::Active, at)
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    // The copy was kept, its process started afresh.
    assert_eq!(
        copy.take_over("after the quarantine").await.unwrap().epoch,
        3
    );
    copy.poll(&[], 1, 0).await.unwrap();
}
