//! Deadlines, cancellation and signs of life.

use std::time::Duration;

use axum::http::Method;
use gantry_server::gateway::{Ask, GatewayError, Settings};
use gantry_server::store::vcs_requests::Outcome;
use gantry_vcs_wire::wire::PingResponse;
use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use tonic::Code;

use crate::world::{World, ask, body, chunk, end, head, until};

fn short(target: &str) -> Ask {
    Ask {
        limit: Duration::from_millis(200),
        ..ask(Method::GET, target)
    }
}

#[tokio::test]
async fn a_late_answer_of_a_published_agent_is_not_the_next_ones() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    let asked = world.ask(short("/slow"));
    let (slow, _) = agent.asked().await;
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Late { .. }), "{error}");
    assert!(
        error.to_string().contains("an agent had the request"),
        "{error}"
    );
    // The stream stays busy until the agent is done with it.
    let next = world.get("/next");
    until(|| world.gateway.waiting(&world.pool) == 1).await;
    agent.answer(&slow, "late").await;
    let (id, request) = agent.asked().await;
    assert_eq!(request.path, "/next");
    agent.answer(&id, "next").await;
    assert_eq!(body(next.await.unwrap().unwrap()).await, b"next");
    assert_eq!(world.log(2).await[1].outcome, Outcome::Late);
}

#[tokio::test]
async fn our_agent_is_told_and_the_stream_is_free_once_it_has_ended() {
    let world = World::new().await;
    let mut agent = world.ours("p").await;
    // Too late before the head, and after it.
    for started in [false, true] {
        let asked = world.ask(short("/slow"));
        let (slow, _) = agent.asked().await;
        if started {
            agent.say(&slow, head(200)).await;
            agent.say(&slow, chunk("x")).await;
            let answer = asked.await.unwrap().unwrap();
            let error = answer.body.collect(100).await.unwrap_err();
            assert!(error.to_string().contains("was coming in"), "{error}");
        } else {
            asked.await.unwrap().unwrap_err();
        }
        assert_eq!(agent.told_to_stop().await, slow);
        agent.say(&slow, end("canceled")).await;
    }
    // Who asked goes away, before the head and after it.
    let asked = world.get("/unwanted");
    let (id, _) = agent.asked().await;
    asked.abort();
    assert_eq!(agent.told_to_stop().await, id);
    agent.say(&id, Content::Error("canceled".to_owned())).await;
    let asked = world.get("/unwanted");
    let (id, _) = agent.asked().await;
    agent.say(&id, head(200)).await;
    drop(asked.await.unwrap().unwrap());
    assert_eq!(agent.told_to_stop().await, id);
    // What was on its way is passed over.
    agent.say(&id, chunk("x")).await;
    agent.say(&id, end("")).await;
    let asked = world.get("/");
    let (id, _) = agent.asked().await;
    agent.answer(&id, "well").await;
    assert_eq!(body(asked.await.unwrap().unwrap()).await, b"well");
    assert_eq!(world.strays(), 0);
    let outcomes: Vec<_> = world.log(5).await.iter().map(|line| line.outcome).collect();
    use Outcome::{Answered, GivenUp, Late};
    assert_eq!(outcomes, [Answered, GivenUp, GivenUp, Late, Late]);
}

#[tokio::test]
async fn an_agent_that_never_ends_is_let_go() {
    let give_up = Duration::from_millis(200);
    let world = World::with(|settings| Settings {
        give_up,
        ..settings
    })
    .await;
    let mut agent = world.legacy().await;
    let asked = world.ask(short("/slow"));
    agent.asked().await;
    asked.await.unwrap().unwrap_err();
    let ended = agent.hear().await.unwrap_err();
    assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended:?}");
    until(|| world.streams() == 0).await;
}

#[tokio::test]
async fn an_idle_stream_gives_signs_of_life_or_is_closed() {
    let world = World::with(|settings| Settings {
        ping_every: Duration::from_millis(100),
        ping_within: Duration::from_millis(400),
        ..settings
    })
    .await;
    let mut agent = world.legacy().await;
    for n in 1..=3 {
        let Some((id, Kind::PingRequest(_))) = agent.hear().await.unwrap() else {
            panic!("a ping was due");
        };
        assert_eq!(id, format!("ping-{n}"));
        agent.say(&id, Content::PingResponse(PingResponse {})).await;
    }
    // A request on a stream whose ping is not answered yet.
    let Some((ping, Kind::PingRequest(_))) = agent.hear().await.unwrap() else {
        panic!("a ping was due");
    };
    let asked = world.get("/");
    let (id, _) = agent.asked().await;
    agent
        .say(&ping, Content::PingResponse(PingResponse {}))
        .await;
    agent.answer(&id, "").await;
    asked.await.unwrap().unwrap();
    // Silence.
    assert!(matches!(
        agent.hear().await.unwrap(),
        Some((_, Kind::PingRequest(_)))
    ));
    let ended = agent.hear().await.unwrap_err();
    assert!(ended.message().contains("no sign of life"), "{ended:?}");
    until(|| world.streams() == 0).await;
}
