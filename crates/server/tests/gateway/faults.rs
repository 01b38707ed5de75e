//! Streams that are lost, and a server that stops.

use axum::http::Method;
use futures_util::StreamExt as _;
use gantry_server::gateway::GatewayError;
use gantry_server::store::vcs_requests::Outcome;

use crate::world::{World, ask, body, chunk, head, until};

#[tokio::test]
async fn what_only_reads_is_asked_once_more_of_another_agent() {
    let world = World::new().await;
    let mut first = world.legacy().await;
    let asked = world.get("/a");
    let (id, _) = first.asked().await;
    drop(first);
    let mut second = world.legacy().await;
    let (again, request) = second.asked().await;
    assert_eq!((again.as_str(), request.path.as_str()), (id.as_str(), "/a"));
    second.answer(&again, "well").await;
    assert_eq!(body(asked.await.unwrap().unwrap()).await, b"well");

    let asked = world.get("/b");
    second.asked().await;
    drop(second);
    let mut third = world.legacy().await;
    third.asked().await;
    drop(third);
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("`GET /b`"), "{error}");
    let outcomes: Vec<_> = world.log(2).await.iter().map(|line| line.outcome).collect();
    assert_eq!(outcomes, [Outcome::Lost, Outcome::Answered]);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again() {
    let world = World::new().await;
    let mut first = world.legacy().await;
    let mut other = world.legacy().await;
    let asked = world.ask(ask(Method::POST, "/a"));
    let (_, request) = first.asked().await;
    assert_eq!(request.method, "POST");
    drop(first);
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Lost { .. }), "{error}");
    let next = world.get("/b");
    let (id, request) = other.asked().await;
    assert_eq!(request.path, "/b");
    other.answer(&id, "").await;
    next.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_that_began_is_not_begun_again() {
    let world = World::new().await;
    let mut agent = world.ours("p").await;
    let _other = world.ours("q").await;
    let asked = world.get("/a");
    let (id, _) = agent.asked().await;
    agent.say(&id, head(200)).await;
    agent.say(&id, chunk("half")).await;
    let mut answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.body.next().await.unwrap().unwrap(), "half");
    drop(agent);
    let error = answer.body.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Lost { .. }), "{error}");
    until(|| world.streams() == 1).await;
    assert_eq!(world.gateway.waiting(&world.pool), 0);
}

#[tokio::test]
async fn a_stop_lets_agents_finish_and_come_back_elsewhere() {
    let world = World::new().await;
    let mut busy = world.legacy().await;
    let asked = world.ask(ask(Method::POST, "/a"));
    let (id, _) = busy.asked().await;
    let mut idle = world.legacy().await;
    // With both busy, a third waits.
    let more = world.ask(ask(Method::POST, "/b"));
    let (second, _) = idle.asked().await;
    let waiting = world.get("/c");
    until(|| world.gateway.waiting(&world.pool) == 1).await;
    world.stopping.cancel();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Stopping), "{error}");
    busy.answer(&id, "a").await;
    idle.answer(&second, "b").await;
    assert_eq!(body(asked.await.unwrap().unwrap()).await, b"a");
    assert_eq!(body(more.await.unwrap().unwrap()).await, b"b");
    // A clean end, no error.
    assert!(busy.hear().await.unwrap().is_none());
    assert!(idle.hear().await.unwrap().is_none());
    drop((busy, idle));
    world.serving.await.unwrap();
    world.gateway.closed().await;
}
