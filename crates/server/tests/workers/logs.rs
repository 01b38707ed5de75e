//! Log pieces over the wire: repeated, late, too long, with holes.

use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{LogStored, Outcome};
use gantry_protocol::{RunState, RunType};
use gantry_server::domain::StateVersion;
use reqwest::Method;

use crate::client::{Client, bytes, code, ended, path};
use crate::world::World;

async fn page(world: &World, run: gantry_protocol::RunId, version: u32) -> (String, bool) {
    let (mut text, mut token) = (String::new(), None);
    loop {
        let logs = &world.control.logs;
        let page = logs
            .read(run, StateVersion(version), token.as_deref())
            .await
            .unwrap();
        text.extend(page.messages);
        token = page.next_token;
        if !page.has_more {
            return (text, page.finished);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_is_stored_once_and_a_hole_is_refused_with_the_place() {
    let world = World::new().await;
    let client = world.launcher().await;
    world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    assert_eq!(
        client.stored(lease, 0).await.unwrap(),
        LogStored { offset: 0 }
    );
    for _ in 0..3 {
        let stored = client.log(lease, 0, (0, 10), b"*****\n").await.unwrap();
        assert_eq!(stored, LogStored { offset: 10 });
    }
    let hole = client.request(Method::POST, &path(lease, "log/0?from=12&to=20"));
    let (status, body) = bytes(hole.body("x")).await;
    assert_eq!(status, 409);
    let place: LogStored = serde_json::from_slice(&body).unwrap();
    assert_eq!(place.offset, 10);
    assert_eq!(
        code(client.log(lease, 0, (12, 20), b"x").await),
        ProblemCode::Conflict
    );
    assert_eq!(
        code(client.log(lease, 0, (20, 12), b"").await),
        ProblemCode::Malformed
    );
    assert_eq!(
        code(client.log(lease, 0, (10, 10), b"x").await),
        ProblemCode::Malformed
    );
    assert_eq!(
        code(client.log(lease, 1, (0, 1), b"x").await),
        ProblemCode::NotFound
    );
    let large = vec![b'x'; (4 << 20) + 1];
    let refused = client.log(lease, 0, (10, 11 + (4 << 20)), &large).await;
    assert_eq!(code(refused), ProblemCode::TooLarge);
    let most = &large[1..];
    let stored = client
        .log(lease, 0, (10, 10 + (4 << 20)), most)
        .await
        .unwrap();
    assert_eq!(stored.offset, 10 + (4 << 20));
    assert_eq!(client.stored(lease, 0).await.unwrap(), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_serves_its_own_log_and_says_when_it_is_complete() {
    let world = World::new().await;
    let client = world.launcher().await;
    let run = world.trigger(RunType::Tracked).await;
    let lease = client.lease(&world).await;
    client.log(lease, 0, (0, 4), b"pull").await.unwrap();
    assert_eq!(page(&world, run, 3).await, ("pull".to_owned(), false));
    let init = client
        .enter(lease, 1, RunState::Initializing)
        .await
        .unwrap()
        .state_version;
    // The last words of the section before may come after the next phase began.
    client.log(lease, 0, (4, 6), b"ed").await.unwrap();
    assert_eq!(page(&world, run, 3).await, ("pulled".to_owned(), false));
    client.log(lease, 1, (0, 4), b"init").await.unwrap();
    assert_eq!(page(&world, run, 3).await, ("pulled".to_owned(), true));
    assert_eq!(page(&world, run, init).await, ("init".to_owned(), false));
    client
        .result(
            lease,
            &ended(Outcome::Stopped {
                message: "m".into(),
            }),
        )
        .await
        .unwrap();
    assert_eq!(page(&world, run, init).await, ("init".to_owned(), true));
    // What the launcher says after the end is kept too.
    client.log(lease, 0, (6, 7), b"!").await.unwrap();
    assert_eq!(page(&world, run, 3).await, ("pulled!".to_owned(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_write_at_once() {
    let world = World::new().await;
    let client = world.launcher().await;
    let mut writers = Vec::new();
    for n in 0..8 {
        let stack = format!("s{n}").parse().unwrap();
        world
            .add_stack(&stack, gantry_server::domain::Approval::Person)
            .await;
        world
            .trigger_on(
                &stack,
                RunType::Tracked,
                gantry_server::domain::Approval::Person,
            )
            .await;
        let lease = client.lease(&world).await;
        writers.push(tokio::spawn(write(client.clone(), lease)));
    }
    for writer in writers {
        let (lease, text) = writer.await.unwrap();
        assert_eq!(page(&world, lease.run, 3).await.0, text);
    }
}

async fn write(
    client: Client,
    lease: gantry_protocol::control::run::Lease,
) -> (gantry_protocol::control::run::Lease, String) {
    let mut text = String::new();
    for n in 0..40 {
        let line = format!("{} line {n}\n", lease.run).repeat(1 + n % 7 * 300);
        let from = text.len() as u64;
        text.push_str(&line);
        client
            .log(lease, 0, (from, text.len() as u64), line.as_bytes())
            .await
            .unwrap();
    }
    (lease, text)
}
