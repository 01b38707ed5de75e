//! Ways to the gateway: who the agent says it is, TLS, proxies, a gateway that comes late.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gantry_vcs_wire::{Features, metadata};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::gateway::{Gateway, SOON, Wire, token};
use crate::host::Host;
use crate::process::Start;
use crate::serving::project;
use crate::tls::Ca;

#[tokio::test]
async fn an_agent_says_who_it_is() {
    let (gateway, host) = (Gateway::start(Wire::Ours).await, Host::start().await);
    let agent = Start::between(&gateway, &host)
        .set("SPACELIFT_METADATA_instance_id", "i-1")
        .set("SPACELIFT_METADATA_", "dropped")
        .set("SPACELIFT_VCS_AGENT_PARALLELISM", "2")
        .go();
    let (first, second) = (gateway.stream().await, gateway.stream().await);
    let value = |name: &str| {
        first
            .metadata
            .get(name)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (value(metadata::POOL), value(metadata::KEY)),
        ("01POOL".into(), "key-hunter2".into())
    );
    assert_eq!(value(metadata::TAGS), r#"{"instance_id":"i-1"}"#);
    assert_eq!(Features::parse(&value(metadata::FEATURES)), Features::OURS);
    assert_eq!(value(metadata::VERSION), env!("CARGO_PKG_VERSION"));
    let process = second
        .metadata
        .get(metadata::PROCESS)
        .unwrap()
        .to_str()
        .unwrap();
    assert_eq!(value(metadata::PROCESS), process);
    assert!(!agent.log().contains("hunter2"));
}

#[tokio::test]
async fn a_gateway_that_comes_late_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let host = Host::start().await;
    let mut agent = Start::new(&token(&address.to_string()), &host.base()).go();
    let failed = agent.logs("the stream failed").await;
    assert!(failed.contains("can't be connected to"), "{failed}");
    let gateway = Gateway::on(TcpListener::bind(address).await.unwrap(), Wire::Published);
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &project("x")).await;
    assert_eq!(stream.answer("r1").await.status, 201);
    assert!(agent.runs());
}

#[tokio::test]
async fn an_added_ca_counts_for_the_gateway_and_the_host() {
    let ca = Ca::new();
    let (address, listener) = ca.listen(&["127.0.0.1"], b"h2").await;
    let gateway = Gateway::serve(address, listener.incoming(), Wire::Ours);
    let (address, listener) = ca.listen(&["127.0.0.1"], b"http/1.1").await;
    let host = Host::serve(address, listener);
    let base = format!("https://{}", host.address);
    let start =
        || Start::new(&gateway.token(), &base).set("SPACELIFT_VCS_AGENT_DIAL_INSECURE", "false");
    let agent = start().set("SPACELIFT_VCS_AGENT_CA_CERT", &ca.encoded).go();
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &project("x")).await;
    assert_eq!(stream.answer("r1").await.status, 201);
    drop(agent);
    let stranger = start().go();
    let failed = stranger.logs("the stream failed").await;
    assert!(
        failed.contains("TLS with") && failed.contains("certificate"),
        "{failed}"
    );
}

/// A proxy that leads every `CONNECT` to `to`, whatever it names, and keeps what it was told.
async fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(inside.read_u8().await.unwrap());
                }
                kept.lock().unwrap().push(String::from_utf8(head).unwrap());
                let mut outside = TcpStream::connect(to).await.unwrap();
                inside.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    (address, heads)
}

#[tokio::test]
async fn a_proxy_of_the_environment_leads_to_gateway_and_host() {
    let ca = Ca::new();
    let (address, listener) = ca.listen(&["gateway.test"], b"h2").await;
    let gateway = Gateway::serve(address, listener.incoming(), Wire::Ours);
    let (through, heads) = proxy(gateway.address).await;
    let host = Host::start().await;
    let agent = Start::new(&token("gateway.test:443"), &host.base())
        .set("SPACELIFT_VCS_AGENT_DIAL_INSECURE", "false")
        .set("SPACELIFT_VCS_AGENT_CA_CERT", &ca.encoded)
        .set("HTTPS_PROXY", &format!("http://me:hunter2@{through}"))
        .set("NO_PROXY", "127.0.0.1")
        .go();
    let mut stream = gateway.stream().await;
    stream.ask("r1", "GET", &project("x")).await;
    assert_eq!(stream.answer("r1").await.status, 201);
    let head = heads.lock().unwrap()[0].clone();
    assert!(
        head.starts_with("CONNECT gateway.test:443 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase()
            .contains("proxy-authorization: basic bwu6ahvudgvymg=="),
        "{head}"
    );
    assert!(!agent.log().contains("hunter2"), "{}", agent.log());
}

#[tokio::test]
async fn probes_see_streams_come_and_go() {
    let (gateway, host) = (Gateway::start(Wire::Ours).await, Host::start().await);
    let agent = Start::between(&gateway, &host)
        .set("GANTRY_VCS_AGENT_HEALTH_ADDR", "127.0.0.1:0")
        .go();
    let line = agent.logs("serving health and metrics").await;
    let at = line.find("127.0.0.1:").unwrap();
    let address: String = line[at..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
        .collect();
    let mut stream = gateway.stream().await;
    agent.logs("successfully connected").await;
    stream.ask("r1", "GET", &project("x")).await;
    stream.answer("r1").await;
    agent.line("r1").await;
    let ready = get(&address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let metrics = get(&address, "/metrics").await;
    assert!(
        metrics.contains("gantry_vcs_agent_requests_total{result=\"served\"} 1"),
        "{metrics}"
    );
    gateway
        .refuses
        .store(true, std::sync::atomic::Ordering::Relaxed);
    drop(stream);
    agent.logs("any more").await;
    assert!(get(&address, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get(&address, "/healthz").await.starts_with("HTTP/1.1 200"));
}

async fn get(address: &str, path: &str) -> String {
    let asked = async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(SOON, asked).await.expect("an answer in time")
}
