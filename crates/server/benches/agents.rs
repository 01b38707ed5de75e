//! What the way through gateway and agent costs, beside the same request sent directly. Not a test.
//!
//! Takes `GANTRY_BIN_DIR` with a built agent and Git host, and seconds per figure as its argument; gives JSON lines.
//! Gateway and store are this process, as they are in the server. Never: figures of two different machines or runs
//! compared.

#![expect(
    clippy::unwrap_used,
    reason = "figures end at the first thing that is not as it should be"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use futures_util::StreamExt as _;
use gantry_protocol::{Digest, Secret};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::VcsPoolId;
use gantry_server::gateway::{Ask, Gateway, Settings, serve};
use gantry_server::store::Store;
use gantry_server::store::vcs_pools::{self, VcsPool, VcsPoolKey};
use gantry_test_support::{Process, Program, SHORT, wait_for};
use gantry_vcs_wire::PoolToken;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

const KEY: &str = "a-key-of-this-bench";
const LIMIT: Duration = Duration::from_secs(60);

/// Where requests go.
#[derive(Clone)]
enum Way {
    Direct(reqwest::Client, SocketAddr),
    Agents(Gateway, VcsPoolId),
}

#[tokio::main]
async fn main() {
    // `cargo bench` adds an argument of its own.
    let seconds = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10);
    gantry_net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let host = free();
    let _host = code_host(dir.path(), host).await;
    let (gateway, pool, address) = gateway(dir.path()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for parallelism in [1, 4, 64] {
        let _agent = agent(dir.path(), &token(address, pool), host, parallelism);
        let up = || {
            gateway
                .agents(&pool)
                .iter()
                .map(|agent| agent.streams)
                .sum::<usize>()
        };
        tokio::task::block_in_place(|| {
            wait_for("the streams", SHORT, || match up() {
                streams if streams == parallelism => Ok(()),
                streams => Err(format!("{streams} streams")),
            });
        });
        for kilobytes in [1, 1024] {
            for (name, way) in [
                ("direct", Way::Direct(client.clone(), host)),
                ("agent", Way::Agents(gateway.clone(), pool)),
            ] {
                measure(&way, parallelism, kilobytes, 1).await;
                let (count, mut times) = measure(&way, parallelism, kilobytes, seconds).await;
                times.sort_unstable();
                let at = |part: f64| {
                    times[(part * (times.len() - 1) as f64) as usize].as_secs_f64() * 1000.0
                };
                let line = json!({
                    "bench": "vcs", "way": name, "parallelism": parallelism, "kilobytes": kilobytes,
                    "per_second": count as f64 / seconds as f64, "p50_ms": at(0.5), "p99_ms": at(0.99),
                });
                say(&line);
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "figures are what this is for")]
fn say(line: &serde_json::Value) {
    println!("{line}");
}

/// As many requests as fit into the time, and how long each took.
async fn measure(
    way: &Way,
    parallelism: usize,
    kilobytes: usize,
    seconds: u64,
) -> (usize, Vec<Duration>) {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..parallelism {
        let way = way.clone();
        workers.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let begun = Instant::now();
                assert_eq!(once(&way, kilobytes).await, kilobytes * 1024);
                times.push(begun.elapsed());
            }
            times
        });
    }
    let all: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    (all.len(), all)
}

async fn once(way: &Way, kilobytes: usize) -> usize {
    let target = format!("/api/v4/projects/bytes%2F{kilobytes}/repository/archive");
    let mut bytes = 0;
    match way {
        Way::Direct(client, host) => {
            let mut answer = client
                .get(format!("http://{host}{target}"))
                .send()
                .await
                .unwrap();
            while let Some(piece) = answer.chunk().await.unwrap() {
                bytes += piece.len();
            }
        }
        Way::Agents(gateway, pool) => {
            let ask = Ask {
                purpose: "bench",
                method: Method::GET,
                target,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                limit: LIMIT,
            };
            let mut body = gateway.send(pool, ask).await.unwrap().body;
            while let Some(piece) = body.next().await {
                bytes += piece.unwrap().len();
            }
        }
    }
    bytes
}

async fn gateway(dir: &Path) -> (Gateway, VcsPoolId, SocketAddr) {
    let store = Arc::new(Store::open(dir).await.unwrap());
    let pool = add_pool(&store).await;
    let stopping = CancellationToken::new();
    let gateway = Gateway::open(store, Settings::default(), stopping)
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taking = (listener, gateway.clone());
    let connections = futures_util::stream::unfold(taking, |(listener, gateway)| async {
        let (io, address) = listener.accept().await.unwrap();
        io.set_nodelay(true).unwrap();
        Some((Ok(gateway.peer(io, address)), (listener, gateway)))
    });
    let serving = gateway.clone();
    tokio::spawn(async move { serve(serving, connections).await.unwrap() });
    (gateway, pool, address)
}

async fn add_pool(store: &Store) -> VcsPoolId {
    let (now, id) = (UnixMillis::now(), VcsPoolId::from_ulid(Ulid::generate()));
    let pool = VcsPool {
        id,
        name: "bench".parse().unwrap(),
        description: None,
        space: "root".into(),
        created_by: "bench".into(),
        created_at: now,
        updated_at: now,
    };
    let key = VcsPoolKey {
        id: Ulid::generate(),
        hash: Digest::of(KEY.as_bytes()),
        created_by: "bench".into(),
        created_at: now,
        retires_at: None,
    };
    let mut tx = store.begin().await.unwrap();
    vcs_pools::insert(&mut tx, &pool).await.unwrap();
    vcs_pools::insert_key(&mut tx, id, &key).await.unwrap();
    store.commit(tx).await.unwrap();
    id
}

async fn code_host(dir: &Path, address: SocketAddr) -> Process {
    let mut command = std::process::Command::new(Program::CodeHost.path());
    command.arg(address.to_string()).arg(dir).arg("/dev/null");
    let process = Process::start("gantry-code-host", command, &dir.join("host.log"));
    let deadline = Instant::now() + SHORT;
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "the Git host does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process
}

fn token(gateway: SocketAddr, pool: VcsPoolId) -> Secret {
    let token = PoolToken {
        host: gateway.to_string(),
        key: Secret::new(KEY),
        pool: pool.to_string(),
    };
    token.encode()
}

fn agent(dir: &Path, token: &Secret, host: SocketAddr, streams: usize) -> Process {
    let mut command = std::process::Command::new(Program::VcsAgent.path());
    command
        .env("SPACELIFT_VCS_AGENT_POOL_TOKEN", token.expose())
        .env(
            "SPACELIFT_VCS_AGENT_TARGET_BASE_ENDPOINT",
            format!("http://{host}"),
        )
        .env("SPACELIFT_VCS_AGENT_VENDOR", "gitlab")
        .env("SPACELIFT_VCS_AGENT_PARALLELISM", streams.to_string())
        .env("SPACELIFT_VCS_AGENT_DIAL_INSECURE", "true")
        .stdout(Stdio::null());
    Process::start_with_output("gantry-vcs-agent", command, &dir.join("agent.log"))
}

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
