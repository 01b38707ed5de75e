//! Requests and answers: what arrives at each end, whole or in parts.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use futures_util::StreamExt as _;
use gantry_server::gateway::{Ask, BODY_LIMIT, GatewayError};
use gantry_server::store::vcs_requests::Outcome;
use gantry_vcs_wire::wire::HttpResponse;
use gantry_vcs_wire::wire::response::Content;

use crate::world::{LONG, World, ask, body, chunk, end, head, until, whole};

#[tokio::test]
async fn a_request_and_its_answer_cross_in_one_piece() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("text/plain"));
    headers.insert("host", HeaderValue::from_static("elsewhere"));
    let asked = world.ask(Ask {
        headers,
        body: Bytes::from_static(b"sent"),
        ..ask(Method::POST, "/a%2Fb?c=secret")
    });
    let (id, request) = agent.asked().await;
    assert_eq!(
        (request.path.as_str(), request.method.as_str()),
        ("/a%2Fb?c=secret", "POST")
    );
    assert_eq!(
        (request.headers.len(), request.body.as_slice()),
        (1, &b"sent"[..])
    );
    let headers = [
        ("X-B".to_owned(), "y".to_owned()),
        ("Connection".to_owned(), "close".to_owned()),
    ];
    let answer = HttpResponse {
        status: 404,
        headers: headers.into(),
        body: b"nothing".to_vec(),
    };
    agent.say(&id, Content::HttpResponse(answer)).await;
    let answer = asked.await.unwrap().unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers.len()), (404, 1));
    assert_eq!(answer.headers["x-b"], "y");
    assert_eq!(body(answer).await, b"nothing");

    let line = world.log(1).await.remove(0);
    assert_eq!(
        (line.id, line.path.as_str(), line.purpose.as_str()),
        (id, "/a%2Fb", "test")
    );
    assert_eq!((line.outcome, line.status), (Outcome::Answered, Some(404)));
    assert_eq!((line.sent, line.received), (4, 7));
    assert!(line.agent.unwrap().starts_with("127.0.0.1-"));
}

#[tokio::test]
async fn an_agents_refusal_is_told_in_its_words() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    let asked = world.get("/admin?token=secret");
    let (id, _) = agent.asked().await;
    let text = "invalid request: vcs-agent: no match for request\n".to_owned();
    agent.say(&id, Content::Error(text)).await;
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Refused { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("pool `git`") && text.contains("`GET /admin`"),
        "{text}"
    );
    assert!(
        text.contains("no match for request") && !text.contains("secret"),
        "{text}"
    );
    assert_eq!(world.log(1).await[0].outcome, Outcome::Refused);
}

#[tokio::test]
async fn a_body_in_parts_flows_no_faster_than_it_is_read() {
    const PARTS: usize = 64;
    let world = World::new().await;
    let mut agent = world.ours("p").await;
    let asked = world.get("/archive");
    let (id, _) = agent.asked().await;
    agent.say(&id, head(200)).await;
    let mut answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
    let (sent, mut progress) = tokio::sync::watch::channel(0);
    let sending = tokio::spawn(async move {
        for n in 0..PARTS {
            agent.say(&id, chunk(vec![7; 256 * 1024])).await;
            sent.send_replace(n + 1);
        }
        agent.say(&id, end("")).await;
        agent
    });
    // Nobody reads: the agent comes to a stand long before the end.
    while tokio::time::timeout(Duration::from_millis(300), progress.changed())
        .await
        .is_ok()
    {}
    let stood = *progress.borrow();
    assert!(stood < PARTS / 2, "{stood} parts were taken");
    let mut size = 0;
    while let Some(part) = answer.body.next().await {
        size += part.unwrap().len();
    }
    assert_eq!(size, PARTS * 256 * 1024);
    let mut agent = sending.await.unwrap();
    assert_eq!(world.log(1).await[0].received, size as u64);
    // And the stream takes the next one.
    let asked = world.get("/");
    let (id, _) = agent.asked().await;
    agent.answer(&id, "small").await;
    assert_eq!(body(asked.await.unwrap().unwrap()).await, b"small");
}

#[tokio::test]
async fn a_body_that_is_cut_does_not_look_whole() {
    let world = World::new().await;
    let mut agent = world.ours("p").await;
    let asked = world.get("/archive");
    let (id, _) = agent.asked().await;
    for content in [head(200), chunk("half"), end("the host went away")] {
        agent.say(&id, content).await;
    }
    let mut answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.body.next().await.unwrap().unwrap(), "half");
    let error = answer.body.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the host went away"), "{error}");
    assert!(answer.body.next().await.is_none());
    assert_eq!(world.log(1).await[0].outcome, Outcome::Refused);
}

#[tokio::test]
async fn what_was_not_asked_for_is_counted_and_given_to_nobody() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    agent.answer("unknown", "x").await;
    let first = world.get("/1");
    let (one, _) = agent.asked().await;
    agent.answer("unknown", "x").await;
    agent.answer(&one, "1").await;
    assert_eq!(body(first.await.unwrap().unwrap()).await, b"1");
    let second = world.get("/2");
    let (two, _) = agent.asked().await;
    assert_ne!(one, two);
    // A second answer to the first is none to the second.
    agent.answer(&one, "again").await;
    agent.answer(&two, "2").await;
    assert_eq!(body(second.await.unwrap().unwrap()).await, b"2");
    assert_eq!(world.strays(), 3);
}

#[tokio::test]
async fn parts_out_of_order_end_the_stream_and_the_request() {
    for contents in [
        vec![chunk("x")],
        vec![end("")],
        vec![head(200), head(200)],
        vec![head(200), whole("x")],
        vec![head(99)],
    ] {
        let world = World::new().await;
        let mut agent = world.ours("p").await;
        let asked = world.get("/");
        let (id, _) = agent.asked().await;
        for content in contents.clone() {
            agent.say(&id, content).await;
        }
        let error = match asked.await.unwrap() {
            Ok(answer) => answer.body.collect(100).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(
            matches!(error, GatewayError::Breach { .. }),
            "{contents:?}: {error}"
        );
        assert!(agent.hear().await.is_err(), "{contents:?}");
        until(|| world.streams() == 0).await;
    }
}

#[tokio::test]
async fn parts_that_were_not_agreed_on_are_refused() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    let asked = world.get("/");
    let (id, _) = agent.asked().await;
    agent.say(&id, head(200)).await;
    let error = asked.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("not agreed on"), "{error}");
}

#[tokio::test]
async fn sizes_are_bounded_on_both_ways() {
    let world = World::new().await;
    let mut agent = world.legacy().await;
    let large = Ask {
        body: vec![0; BODY_LIMIT + 1].into(),
        ..ask(Method::POST, "/")
    };
    let error = world.ask(large).await.unwrap().unwrap_err();
    assert!(matches!(error, GatewayError::Unsendable { .. }), "{error}");
    // The largest that is sent is one that agents take.
    let largest = Ask {
        body: vec![0; BODY_LIMIT].into(),
        ..ask(Method::POST, "/")
    };
    let asked = world.ask(largest);
    let (id, request) = agent.asked().await;
    assert_eq!(request.body.len(), BODY_LIMIT);
    agent.answer(&id, vec![1; 60 * 1024 * 1024]).await;
    let answer = asked.await.unwrap().unwrap();
    let error = answer.body.collect(1024).await.unwrap_err();
    assert!(error.to_string().contains("larger"), "{error}");
    let asked = tokio::time::timeout(LONG, world.get("/"));
    let (id, _) = agent.asked().await;
    agent.answer(&id, vec![1; 65 * 1024 * 1024]).await;
    let error = asked.await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("64 MiB"), "{error}");
}
