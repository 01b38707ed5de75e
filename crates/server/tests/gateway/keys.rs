//! Who is let in, and for how long.

use gantry_server::clock::UnixMillis;
use gantry_server::store::vcs_pools;
use tonic::Code;

use crate::world::{Who, World, key, until};

#[tokio::test]
async fn only_the_key_of_the_pool_opens_a_stream() {
    let world = World::new().await;
    let cases = [
        Who {
            key: "",
            ..Who::default()
        },
        Who {
            key: "wrong",
            ..Who::default()
        },
        Who {
            pool: "",
            ..Who::default()
        },
        Who {
            pool: "git",
            ..Who::default()
        },
        Who {
            pool: "01JB8M6Q7N4T0V2X5Y8Z9A1B2Z",
            ..Who::default()
        },
    ];
    for who in cases {
        let refused = world.agent(who).await.err().unwrap();
        assert_eq!(refused.code(), Code::Unauthenticated, "{who:?}");
        assert!(
            refused
                .message()
                .contains("the token of this VCS agent is not valid")
        );
    }
    let tags = "{\"instance_id\":\"i-1\",\"n\":7}";
    let who = Who {
        tags,
        ..Who::default()
    };
    let agent = world.agent(who).await.unwrap();
    assert!(!agent.agreed.chunks);
    let seen = world.gateway.agents(&world.pool).remove(0);
    assert_eq!(seen.tags.len(), 1, "{seen:?}");
    assert_eq!(seen.tags["instance_id"], "i-1");
    assert_eq!(seen.address, Some([127, 0, 0, 1].into()));
    let ours = world.ours("p1").await;
    assert!(ours.agreed.chunks);
}

#[tokio::test]
async fn who_guesses_has_to_wait() {
    let world = World::new().await;
    let wrong = Who {
        key: "wrong",
        ..Who::default()
    };
    let mut codes = Vec::new();
    for _ in 0..11 {
        codes.push(world.agent(wrong).await.err().unwrap().code());
    }
    assert_eq!(codes[9], Code::Unauthenticated);
    assert_eq!(codes[10], Code::ResourceExhausted);
    // Another agent at the same address, which has the key, is let in.
    world.legacy().await;
}

#[tokio::test]
async fn a_key_counts_until_its_overlap_ends_and_then_its_agents_are_let_go() {
    let world = World::new().await;
    let mut old = world.legacy().await;
    let mut tx = world.store.begin().await.unwrap();
    let soon = UnixMillis::now().plus(3_600_000);
    vcs_pools::retire(&mut tx, world.pool, soon).await.unwrap();
    let second = key("01JB8M6Q7N4T0V2X5Y8Z9A1B2E", "second", None);
    vcs_pools::insert_key(&mut tx, world.pool, &second)
        .await
        .unwrap();
    world.store.commit(tx).await.unwrap();
    world.gateway.recheck(&world.pool);
    // Both count.
    let new = Who {
        key: "second",
        ..Who::default()
    };
    let mut new = world.agent(new).await.unwrap();
    let _also = world.legacy().await;
    let busy = world.get("/while-it-ends");
    let (id, _) = old.asked().await;

    let mut tx = world.store.begin().await.unwrap();
    // The second key is the current one; the first ends now.
    sqlx::query("UPDATE vcs_pool_keys SET retires_at = 1 WHERE retires_at IS NOT NULL")
        .execute(&mut *tx)
        .await
        .unwrap();
    world.store.commit(tx).await.unwrap();
    world.gateway.recheck(&world.pool);
    until(|| world.streams() == 2).await;
    // What it has it may finish.
    old.answer(&id, "done").await;
    assert_eq!(busy.await.unwrap().unwrap().status, 200);
    let ended = old.hear().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    assert!(world.agent(Who::default()).await.is_err());
    let asked = world.get("/");
    let (id, _) = new.asked().await;
    new.answer(&id, "").await;
    asked.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pool_has_no_more_streams_than_it_may_and_tags_are_bounded() {
    let world = World::with(|settings| gantry_server::gateway::Settings {
        streams: 1,
        ..settings
    })
    .await;
    let long: &'static str =
        Box::leak(format!("{{\"a\":\"{}\"}}", "x".repeat(9000)).into_boxed_str());
    let refused = world
        .agent(Who {
            tags: long,
            ..Who::default()
        })
        .await;
    assert_eq!(refused.err().unwrap().code(), Code::InvalidArgument);
    let _one = world.legacy().await;
    let refused = world.agent(Who::default()).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_connection_that_proves_nothing_is_closed() {
    use tokio::io::AsyncReadExt as _;
    let world = World::with(|settings| gantry_server::gateway::Settings {
        prove_within: std::time::Duration::from_millis(300),
        ..settings
    })
    .await;
    let mut silent = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(crate::world::LONG, silent.read_to_end(&mut heard)).await;
    drop(closed.expect("it is closed"));
    // One that has proven itself stays.
    let mut agent = world.legacy().await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let asked = world.get("/");
    let (id, _) = agent.asked().await;
    agent.answer(&id, "").await;
    asked.await.unwrap().unwrap();
}
