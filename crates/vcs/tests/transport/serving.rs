//! Requests: what crosses, what doesn't, and what both sides learn of it.

use std::time::Duration;

use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{CancelRequest, PingRequest};
use serde_json::json;
use tokio::net::TcpListener;

use crate::gateway::{Gateway, Wire};
use crate::host::{A_WHILE, CLIMBS, Host, noticed};
use crate::process::{Agent, Start};

/// A request that is let through; what the host does with it stands in the project's name.
pub(crate) fn project(does: &str) -> String {
    format!("/api/v4/projects/team%2F{does}")
}

fn archive(does: &str) -> String {
    format!("{}/repository/archive", project(does))
}

async fn world(wire: Wire) -> (Gateway, Host) {
    (Gateway::start(wire).await, Host::start().await)
}

#[tokio::test]
async fn an_answer_comes_back_whole_on_both_wires() {
    for wire in [Wire::Published, Wire::Ours] {
        let (gateway, host) = world(wire).await;
        let agent = Start::between(&gateway, &host).go();
        let mut stream = gateway.stream().await;
        let headers = [
            ("Accept", "application/json"),
            ("PRIVATE-TOKEN", "glpat-hunter2"),
            ("Connection", "close, x-listed"),
            ("X-Listed", "1"),
            ("X-Forwarded-Host", "evil"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Host", "evil"),
        ];
        stream
            .ask_with(
                "r1",
                "GET",
                &format!("{}?a=b%20c", project("x")),
                &headers,
                b"",
            )
            .await;
        let answer = stream.answer("r1").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (201, "hello"),
            "{wire:?}"
        );
        let links = answer.values("link");
        match wire {
            Wire::Published => assert_eq!(links, ["<a>, <b>"]),
            Wire::Ours => assert_eq!(links, ["<a>", "<b>"]),
        }
        assert!(
            answer.values("keep-alive").is_empty() && answer.values("content-length").is_empty()
        );
        let [seen] = &host.seen()[..] else {
            panic!("{:?}", host.seen())
        };
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("GET", &*format!("{}?a=b%20c", project("x")))
        );
        assert_eq!(seen.headers["private-token"], "glpat-hunter2");
        assert_eq!(seen.headers["host"], host.address.to_string());
        for name in [
            "connection",
            "x-listed",
            "x-forwarded-host",
            "x-http-method-override",
        ] {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
        let line = agent.line("r1").await;
        assert_eq!(line["msg"], "Request served.");
        assert_eq!(
            (&line["decision"], &line["status_code"]),
            (&json!("admitted"), &json!(201))
        );
        assert_eq!(
            (&line["name"], &line["project"]),
            (&json!("Get Project"), &json!("team/x"))
        );
        assert_eq!(
            (&line["bytes_out"], &line["query_keys"]),
            (&json!(5), &json!(["a"]))
        );
        assert!(!agent.out().contains("hunter2") && !agent.log().contains("hunter2"));
    }
}

#[tokio::test]
async fn what_the_host_compressed_stays_compressed() {
    let (gateway, host) = world(Wire::Ours).await;
    let mut agent = Start::between(&gateway, &host).go();
    let mut stream = gateway.stream().await;
    let headers = [("Accept-Encoding", "gzip, br")];
    stream
        .ask_with("r1", "GET", &project("compressed"), &headers, b"")
        .await;
    let answer = stream.answer("r1").await;
    assert_eq!(answer.values("content-encoding"), ["gzip"]);
    assert_eq!(answer.text(), "only the host knows");
    assert_eq!(host.seen()[0].headers["accept-encoding"], "gzip, br");
    agent.signal("TERM");
    drop(stream);
    assert_eq!(agent.exit().await, 0);

    let _agent = Start::between(&gateway, &host)
        .flag("--http-disable-response-compression")
        .go();
    let mut stream = gateway.stream().await;
    stream
        .ask_with("r2", "GET", &project("x"), &headers, b"")
        .await;
    stream.answer("r2").await;
    assert_eq!(host.seen()[1].headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn what_is_not_let_through_never_reaches_the_host() {
    let (gateway, host) = world(Wire::Ours).await;
    let agent = Start::between(&gateway, &host)
        .set("SPACELIFT_VCS_AGENT_ALLOWED_PROJECTS", "team/.*")
        .go();
    let mut stream = gateway.stream().await;
    let evil = host.address.to_string();
    let rows = [
        (
            "GET",
            "/admin/users".to_owned(),
            "invalid request: vcs-agent: no match for request",
        ),
        (
            "GET",
            format!("@{evil}/api/v4/projects/1"),
            "invalid request: vcs-agent: no match for request",
        ),
        (
            "GET",
            format!("http://{evil}/api/v4/user"),
            "invalid request: vcs-agent: no match for request",
        ),
        (
            "DELETE",
            project("x"),
            "invalid request: vcs-agent: no match for request",
        ),
        (
            "GET",
            "/api/v4/projects/evil-team%2Fx".to_owned(),
            "invalid request: request project didn't match allowed projects regexp",
        ),
    ];
    for (number, (method, path, error)) in rows.iter().enumerate() {
        let id = format!("r{number}");
        stream.ask(&id, method, path).await;
        assert_eq!(stream.answer(&id).await.error, *error, "{method} {path}");
        let line = agent.line(&id).await;
        assert_eq!(
            (&line["decision"], &line["msg"]),
            (&json!("refused"), &json!(error))
        );
        assert!(line["reason"].is_string(), "{line}");
    }
    assert!(host.seen().is_empty(), "{:?}", host.seen());
}

#[tokio::test]
async fn redirects_are_followed_below_the_base_only() {
    let (gateway, host) = world(Wire::Ours).await;
    let elsewhere = Host::start().await;
    let _agent = Start::between(&gateway, &host).go();
    let mut stream = gateway.stream().await;
    stream
        .ask(
            "in",
            "GET",
            &format!("{}?to={}", project("x"), project("y").replace('%', "%25")),
        )
        .await;
    let answer = stream.answer("in").await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "hello"));
    assert_eq!(host.seen()[1].target, project("y"));
    let outside = [
        format!("{}/api/v4/projects/1", elsewhere.base()),
        format!("//{}/api/v4/projects/1", elsewhere.address),
        "/admin/users".to_owned(),
    ];
    for (number, to) in outside.iter().enumerate() {
        let id = format!("out{number}");
        let before = host.seen().len();
        let headers = [("PRIVATE-TOKEN", "t")];
        stream
            .ask_with(
                &id,
                "GET",
                &format!("{}?to={to}", project("x")),
                &headers,
                b"",
            )
            .await;
        let answer = stream.answer(&id).await;
        assert_eq!(
            (answer.status, answer.values("location")),
            (302, vec![to.as_str()])
        );
        assert_eq!(host.seen().len(), before + 1, "{to}");
    }
    stream.ask("climbs", "GET", &project("climbs")).await;
    let answer = stream.answer("climbs").await;
    assert_eq!(
        (answer.status, answer.values("location")),
        (302, vec![CLIMBS])
    );
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_ping_is_answered_while_a_request_waits_and_a_request_can_be_taken_back() {
    let (gateway, host) = world(Wire::Ours).await;
    let agent = Start::between(&gateway, &host).go();
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &project("held")).await;
    host.arrival().await;
    stream
        .say("p1", Some(Kind::PingRequest(PingRequest {})))
        .await;
    assert!(matches!(
        stream.content("p1").await,
        Content::PingResponse(_)
    ));
    stream.say("unknown", None).await;
    let empty = stream.heard().await.unwrap();
    assert!(empty.content.is_none(), "{empty:?}");
    stream.ask("r2", "GET", &project("x")).await;
    stream
        .say("other", Some(Kind::CancelRequest(CancelRequest {})))
        .await;
    stream
        .say("r1", Some(Kind::CancelRequest(CancelRequest {})))
        .await;
    assert_eq!(
        stream.answer("r1").await.error,
        "the request was taken back"
    );
    noticed(&host.shared.abandoned).await;
    assert_eq!(stream.answer("r2").await.text(), "hello");
    assert_eq!(agent.line("r1").await["msg"], "Request taken back.");
}

#[tokio::test]
async fn a_body_can_be_taken_back_half_way() {
    let (gateway, host) = world(Wire::Ours).await;
    let _agent = Start::between(&gateway, &host).go();
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &archive("silent-after-head")).await;
    assert!(matches!(
        stream.content("r1").await,
        Content::ResponseHead(_)
    ));
    stream
        .say("r1", Some(Kind::CancelRequest(CancelRequest {})))
        .await;
    let Content::ResponseEnd(end) = stream.content("r1").await else {
        panic!("no end")
    };
    assert_eq!(end.error, "the request was taken back");
}

#[tokio::test]
async fn slow_and_broken_hosts_are_told_without_naming_them() {
    let (gateway, host) = world(Wire::Ours).await;
    let agent = Start::between(&gateway, &host)
        .set("GANTRY_VCS_AGENT_REQUEST_TIMEOUT", "1s")
        .set("GANTRY_VCS_AGENT_IDLE_TIMEOUT", "1s")
        .go();
    let mut stream = gateway.stream().await;
    let rows = [
        (project("held"), "couldn't do request: timed out"),
        (archive("held"), "couldn't do request: timed out"),
        (
            archive("silent-after-head"),
            "couldn't read response body: timed out",
        ),
        (
            archive("broken"),
            "couldn't read response body: connection closed",
        ),
    ];
    for (number, (path, error)) in rows.iter().enumerate() {
        let id = format!("r{number}");
        stream.ask(&id, "GET", path).await;
        assert_eq!(stream.answer(&id).await.error, *error, "{path}");
        assert_eq!(agent.line(&id).await["msg"], "Error serving request.");
    }
}

#[tokio::test]
async fn a_host_that_is_away_is_a_class_for_the_gateway_and_a_cause_for_the_log() {
    let gateway = Gateway::start(Wire::Published).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let agent = Start::new(&gateway.token(), &format!("http://{address}")).go();
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &project("x")).await;
    assert_eq!(
        stream.answer("r1").await.error,
        "couldn't do request: connection refused"
    );
    let line = agent.line("r1").await;
    let cause = line["error"].as_str().unwrap();
    assert!(
        cause.contains("refused") && cause.contains(&address.port().to_string()),
        "{cause}"
    );
}

#[tokio::test]
async fn a_body_too_large_for_one_message_is_an_error_and_in_parts_it_is_none() {
    let (gateway, host) = world(Wire::Published).await;
    let _agent = Start::between(&gateway, &host)
        .set("GANTRY_VCS_AGENT_BODY_LIMIT", "65536")
        .go();
    let mut stream = gateway.stream().await;
    stream.ask("fits", "GET", &archive("bytes-64")).await;
    assert_eq!(stream.answer("fits").await.body.len(), 64 * 1024);
    stream.ask("large", "GET", &archive("bytes-65")).await;
    let error = stream.answer("large").await.error;
    assert_eq!(
        error,
        "couldn't read response body: larger than the 65536 bytes that fit into one message"
    );
    let (gateway, host) = world(Wire::Ours).await;
    let agent = Start::between(&gateway, &host)
        .set("GANTRY_VCS_AGENT_BODY_LIMIT", "65536")
        .go();
    let mut stream = gateway.stream().await;
    stream.ask("parts", "GET", &archive("bytes-3000")).await;
    assert_eq!(stream.answer("parts").await.body.len(), 3000 * 1024);
    assert_eq!(agent.line("parts").await["bytes_out"], 3000 * 1024);
}

#[tokio::test]
async fn own_credentials_replace_what_the_gateway_sends_and_rotate() {
    let (gateway, host) = world(Wire::Ours).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credential");
    std::fs::write(&file, "private-token:own-1").unwrap();
    let agent = Start::between(&gateway, &host)
        .set("GANTRY_VCS_AGENT_CREDENTIAL_FILE", file.to_str().unwrap())
        .flag("--debug-print-all")
        .go();
    let mut stream = gateway.stream().await;
    let headers = [
        ("Authorization", "Bearer theirs"),
        ("Cookie", "theirs"),
        ("Accept", "x/y"),
    ];
    for number in 1..=2 {
        std::fs::write(
            dir.path().join("next"),
            format!("private-token:own-{number}"),
        )
        .unwrap();
        std::fs::rename(dir.path().join("next"), &file).unwrap();
        let id = format!("r{number}");
        stream
            .ask_with(&id, "GET", &project("x"), &headers, b"")
            .await;
        let answer = stream.answer(&id).await;
        assert!(answer.values("set-cookie").is_empty());
        let seen = host.seen().pop().unwrap();
        assert_eq!(seen.headers["private-token"], format!("own-{number}"));
        assert!(
            !seen.headers.contains_key("authorization") && !seen.headers.contains_key("cookie")
        );
        agent.line(&id).await;
    }
    let shown = agent.out();
    assert!(shown.contains("\"accept\":[\"x/y\"]"), "{shown}");
    for secret in ["own-1", "own-2", "theirs", "hunter2"] {
        assert!(!shown.contains(secret), "{secret}\n{shown}");
    }
}

#[tokio::test]
async fn a_form_that_names_another_method_is_not_sent() {
    let (gateway, host) = world(Wire::Ours).await;
    let _agent = Start::between(&gateway, &host).go();
    let mut stream = gateway.stream().await;
    let path = format!("{}/statuses/{}", project("x"), "a".repeat(40));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    stream
        .ask_with("r1", "POST", &path, &form, b"state=ok&_Method=delete")
        .await;
    let answer = stream.answer("r1").await;
    assert!(
        answer.error.starts_with("couldn't create request: "),
        "{answer:?}"
    );
    assert!(host.seen().is_empty());
    stream
        .ask_with("r2", "POST", &path, &form, b"state=ok")
        .await;
    assert_eq!(stream.answer("r2").await.status, 201);
    assert_eq!(&host.seen()[0].body[..], b"state=ok");
}

#[tokio::test]
async fn many_streams_serve_at_once() {
    let (gateway, host) = world(Wire::Ours).await;
    let agent: Agent = Start::between(&gateway, &host)
        .set("SPACELIFT_VCS_AGENT_PARALLELISM", "8")
        .go();
    let mut streams = Vec::new();
    for number in 0..8 {
        let mut stream = gateway.stream().await;
        stream
            .ask(&format!("r{number}"), "GET", &project("held"))
            .await;
        host.arrival().await;
        streams.push(stream);
    }
    tokio::time::timeout(A_WHILE, std::future::pending::<()>())
        .await
        .unwrap_err();
    host.shared.go.notify_waiters();
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!(stream.answer(&format!("r{number}")).await.text(), "let go");
    }
    assert_eq!(host.seen().len(), 8);
    drop(agent);
    assert!(gateway.silent_for(Duration::from_millis(10)).await);
}
