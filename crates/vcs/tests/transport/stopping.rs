//! How the agent ends: drained, cut, refused, or never begun.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::gateway::{Gateway, Wire, token};
use crate::host::{A_WHILE, Host};
use crate::process::Start;
use crate::serving::project;

#[tokio::test]
async fn a_request_in_flight_is_finished_before_the_end() {
    for (wire, signal) in [(Wire::Published, "TERM"), (Wire::Ours, "INT")] {
        let (gateway, host) = (Gateway::start(wire).await, Host::start().await);
        let mut agent = Start::between(&gateway, &host)
            .set("SPACELIFT_VCS_AGENT_PARALLELISM", "2")
            .go();
        let mut busy = gateway.stream().await;
        let mut idle = gateway.stream().await;
        busy.ask("r1", "GET", &project("held")).await;
        host.arrival().await;
        agent.signal(signal);
        assert!(
            idle.heard().await.is_none(),
            "an idle stream is ended at once"
        );
        assert!(agent.runs());
        host.shared.go.notify_one();
        assert_eq!(busy.answer("r1").await.text(), "let go");
        assert!(busy.heard().await.is_none());
        drop((busy, idle));
        assert_eq!(agent.exit().await, 0, "{}", agent.log());
        assert_eq!(agent.line("r1").await["msg"], "Request served.");
        assert!(
            gateway.silent_for(A_WHILE).await,
            "no new stream after the signal"
        );
    }
}

#[tokio::test]
async fn a_second_signal_or_the_limit_cuts_what_is_in_flight() {
    for limit in ["60s", "1s"] {
        let (gateway, host) = (Gateway::start(Wire::Ours).await, Host::start().await);
        let mut agent = Start::between(&gateway, &host)
            .set("GANTRY_VCS_AGENT_DRAIN_TIMEOUT", limit)
            .go();
        let mut stream = gateway.stream().await;
        stream.ask("r1", "GET", &project("held")).await;
        host.arrival().await;
        agent.signal("TERM");
        agent.logs("stopping").await;
        if limit == "60s" {
            agent.signal("TERM");
        }
        assert_eq!(agent.exit().await, 67, "{}", agent.log());
        assert_eq!(agent.line("r1").await["msg"], "Request cut.");
    }
}

#[tokio::test]
async fn mistakes_are_told_at_once_by_name() {
    let mut agent = Start::new("no token", "ftp://h")
        .set("SPACELIFT_VCS_AGENT_VENDOR", "svn")
        .go();
    assert_eq!(agent.exit().await, 1);
    for name in ["POOL_TOKEN", "TARGET_BASE_ENDPOINT", "VENDOR"] {
        agent.logs(&format!("SPACELIFT_VCS_AGENT_{name}")).await;
    }
    let mut agent = Start::new(&token(""), "http://127.0.0.1:1").go();
    assert_eq!(agent.exit().await, 1);
    agent.logs("`host` is empty").await;
}

#[tokio::test]
async fn a_token_that_was_never_good_ends_the_agent_and_one_that_was_does_not() {
    let (gateway, host) = (Gateway::start(Wire::Ours).await, Host::start().await);
    gateway.refuses.store(true, Relaxed);
    let mut agent = Start::between(&gateway, &host).go();
    assert_eq!(agent.exit().await, 65);
    let said = agent.logs("doesn't let this agent into the pool").await;
    assert!(
        said.contains("01POOL") && !agent.log().contains("hunter2"),
        "{said}"
    );

    gateway.refuses.store(false, Relaxed);
    let mut agent = Start::between(&gateway, &host).go();
    let stream = gateway.stream().await;
    agent.logs("successfully connected").await;
    gateway.refuses.store(true, Relaxed);
    drop(stream);
    agent.logs("any more").await;
    assert!(agent.runs());
    gateway.refuses.store(false, Relaxed);
    let mut again = gateway.stream().await;
    again.ask("r1", "GET", &project("x")).await;
    assert_eq!(again.answer("r1").await.status, 201);
    agent.signal("TERM");
    drop(again);
    assert_eq!(agent.exit().await, 0);
}

#[tokio::test]
async fn a_lost_gateway_cuts_its_requests_and_is_dialled_again() {
    let (gateway, host) = (Gateway::start(Wire::Ours).await, Host::start().await);
    let mut agent = Start::between(&gateway, &host).go();
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &project("held")).await;
    host.arrival().await;
    drop(stream);
    let address = gateway.vanish().await;
    assert_eq!(agent.line("r1").await["msg"], "Request cut.");
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let gateway = Gateway::on(listener, Wire::Ours);
    let mut stream = gateway.stream().await;
    stream.ask("r2", "GET", &project("x")).await;
    assert_eq!(stream.answer("r2").await.status, 201);
    assert!(agent.runs());
    assert!(gateway.silent_for(Duration::from_millis(10)).await);
}
