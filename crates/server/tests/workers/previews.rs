//! Uploaded files on their way to the launcher that has the run.

use axum::http::{Method, StatusCode};
use gantry_protocol::payload::UploadedArchive;
use gantry_protocol::{Digest, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::Approval;
use gantry_server::store::local_workspaces::{self, LocalWorkspace};

use crate::client::{bytes, path};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_launcher_that_has_the_run_gets_its_files() {
    let world = World::new().await;
    let (client, other) = (world.launcher().await, world.launcher().await);
    let run = world
        .trigger_on(&world.stack, RunType::Proposed, Approval::Person)
        .await;
    let archive = b"packed files".to_vec();
    let blobs = &world.control.blobs;
    blobs
        .put_bytes("uploads/one", archive.clone().into())
        .await
        .unwrap();
    let mut tx = world.control.store.begin().await.unwrap();
    let now = UnixMillis::now();
    let workspace = LocalWorkspace {
        id: "one".to_owned(),
        stack: world.stack.clone(),
        permission: Digest::of(b"permission"),
        upload_until: now,
        archive: None,
        run: None,
    };
    local_workspaces::insert(&mut tx, &workspace, now)
        .await
        .unwrap();
    let sent = UploadedArchive {
        digest: Digest::of(&archive),
        bytes: archive.len() as u64,
    };
    assert!(!local_workspaces::claim(&mut tx, "one", run).await.unwrap());
    assert!(
        local_workspaces::stored(&mut tx, "one", "uploads/one", &sent)
            .await
            .unwrap()
    );
    assert!(
        !local_workspaces::stored(&mut tx, "one", "uploads/two", &sent)
            .await
            .unwrap()
    );
    assert!(local_workspaces::claim(&mut tx, "one", run).await.unwrap());
    assert!(!local_workspaces::claim(&mut tx, "one", run).await.unwrap());
    world.control.store.commit(tx).await.unwrap();

    let lease = client.lease(&world).await;
    let ask = |client: &crate::client::Client| client.request(Method::GET, &path(lease, "upload"));
    let (status, got) = bytes(ask(&client)).await;
    assert_eq!((status, got.to_vec()), (StatusCode::OK, archive));
    assert_eq!(bytes(ask(&other)).await.0, StatusCode::NOT_FOUND);

    let plain = world
        .trigger_on(&world.stack, RunType::Proposed, Approval::Person)
        .await;
    let lease = client.lease(&world).await;
    assert_eq!(lease.run, plain);
    let request = client.request(Method::GET, &path(lease, "upload"));
    assert_eq!(bytes(request).await.0, StatusCode::NOT_FOUND);
}
