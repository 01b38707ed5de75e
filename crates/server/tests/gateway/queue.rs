//! Which stream gets which request, and what waits.

use std::time::Duration;

use axum::http::Method;
use gantry_server::gateway::{Ask, GatewayError, Settings};
use gantry_server::store::vcs_requests::Outcome;

use crate::world::{World, ask, body, until};

#[tokio::test]
async fn the_agent_with_the_least_to_do_gets_the_next_request() {
    let world = World::new().await;
    let mut a = [
        world.ours("a").await,
        world.ours("a").await,
        world.ours("a").await,
    ];
    let mut b = world.ours("b").await;
    // All are free: the one that is so longest is the first of `a`.
    let first = world.get("/1");
    let (one, _) = a[0].asked().await;
    // Now `b` has less to do than `a`, although two of its streams are free for longer.
    let second = world.get("/2");
    let (two, request) = b.asked().await;
    assert_eq!(request.path, "/2");
    let agents = world.gateway.agents(&world.pool);
    let seen: Vec<_> = agents
        .iter()
        .map(|agent| (agent.id.as_str(), agent.streams, agent.busy.len()))
        .collect();
    assert_eq!(seen, [("a", 3, 1), ("b", 1, 1)]);
    assert_eq!(agents[0].busy[0].request, one);
    let third = world.get("/3");
    let (three, _) = a[1].asked().await;
    a[0].answer(&one, "").await;
    b.answer(&two, "").await;
    a[1].answer(&three, "").await;
    for asked in [first, second, third] {
        asked.await.unwrap().unwrap();
    }
    until(|| {
        world
            .gateway
            .agents(&world.pool)
            .iter()
            .all(|agent| agent.busy.is_empty())
    })
    .await;
    let served: u64 = world
        .gateway
        .agents(&world.pool)
        .iter()
        .map(|agent| agent.served)
        .sum();
    assert_eq!(served, 3);
}

#[tokio::test]
async fn the_queue_has_an_order_and_an_end() {
    let world = World::with(|settings| Settings {
        waiting: 2,
        ..settings
    })
    .await;
    let mut agent = world.legacy().await;
    let busy = world.get("/0");
    let (zero, _) = agent.asked().await;
    let one = world.get("/1");
    until(|| world.gateway.waiting(&world.pool) == 1).await;
    let two = world.get("/2");
    until(|| world.gateway.waiting(&world.pool) == 2).await;
    let error = world.get("/3").await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Full { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("pool `git` has 2 requests waiting"),
        "{error}"
    );
    // One that nobody waits for any more takes no place.
    one.abort();
    until(|| world.gateway.waiting(&world.pool) == 1).await;
    let four = world.get("/4");
    until(|| world.gateway.waiting(&world.pool) == 2).await;
    agent.answer(&zero, "").await;
    busy.await.unwrap().unwrap();
    for (asked, path) in [(two, "/2"), (four, "/4")] {
        let (id, request) = agent.asked().await;
        assert_eq!(request.path, path);
        agent.answer(&id, path).await;
        assert_eq!(body(asked.await.unwrap().unwrap()).await, path.as_bytes());
    }
    let mut outcomes: Vec<_> = world
        .log(5)
        .await
        .iter()
        .map(|line| format!("{} {:?}", line.path, line.outcome))
        .collect();
    outcomes.sort();
    assert_eq!(
        outcomes,
        [
            "/0 Answered",
            "/1 GivenUp",
            "/2 Answered",
            "/3 Full",
            "/4 Answered"
        ]
    );
}

#[tokio::test]
async fn without_an_agent_a_request_waits_a_little_and_says_so() {
    let grace = Duration::from_millis(400);
    let world = World::with(|settings| Settings { grace, ..settings }).await;
    let started = std::time::Instant::now();
    let error = world.get("/").await.unwrap().unwrap_err();
    assert!(started.elapsed() >= grace);
    assert!(
        error
            .to_string()
            .starts_with("no agent of VCS agent pool `git` is connected"),
        "{error}"
    );
    assert_eq!(world.log(1).await[0].outcome, Outcome::NoAgent);
    // One that comes in time gets it.
    let asked = world.get("/");
    until(|| world.gateway.waiting(&world.pool) == 1).await;
    let mut agent = world.legacy().await;
    let (id, _) = agent.asked().await;
    // And while it is there, others wait for it as long as they may.
    let queued = world.get("/queued");
    tokio::time::sleep(grace * 2).await;
    agent.answer(&id, "").await;
    asked.await.unwrap().unwrap();
    let (id, _) = agent.asked().await;
    agent.answer(&id, "").await;
    queued.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pool_that_is_not_there_has_no_agents() {
    let world = World::new().await;
    let other = "01JB8M6Q7N4T0V2X5Y8Z9A1B2Z".parse().unwrap();
    let error = world
        .gateway
        .send(&other, ask(Method::GET, "/"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`01JB8M6Q7N4T0V2X5Y8Z9A1B2Z` does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn who_waits_too_long_in_the_queue_is_told_what_for() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    let busy = world.get("/0");
    let (zero, _) = agent.asked().await;
    let short = Ask {
        limit: Duration::from_millis(200),
        ..ask(Method::POST, "/1")
    };
    let error = world.ask(short).await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("all agents were busy"),
        "{error}"
    );
    agent.answer(&zero, "").await;
    busy.await.unwrap().unwrap();
    // It is not sent later.
    let next = world.get("/2");
    assert_eq!(agent.asked().await.1.path, "/2");
    drop(next);
}
