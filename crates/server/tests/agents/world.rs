//! A server with a pool of agents, and a Git host that only agents reach.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use clap::Parser as _;
use gantry_protocol::{Digest, Secret};
use gantry_server::clock::UnixMillis;
use gantry_server::config::{Cli, Command, ServeArgs};
use gantry_server::domain::VcsPoolId;
use gantry_server::gateway::{Answer, Ask, GatewayError};
use gantry_server::process::{Running, start};
use gantry_server::store::vcs_pools::{self, VcsPool, VcsPoolKey};
use gantry_server::vault::Vault;
use gantry_test_support::{Process, Program, SHORT};
use gantry_vcs_wire::PoolToken;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use crate::net::Net;

/// Where the Git host listens, inside of its namespace.
const HOST: &str = "127.0.0.1:8080";
const KEY: &str = "a-key-of-this-test";

pub(crate) struct World {
    pub(crate) running: Option<Running>,
    pub(crate) pool: VcsPoolId,
    pub(crate) net: Net,
    gateway: SocketAddr,
    dir: TempDir,
    _host: Process,
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) process: Process,
    out: PathBuf,
}

impl World {
    pub(crate) async fn new() -> Self {
        gantry_net::install_crypto();
        let net = Net::new();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("repos")).unwrap();
        let gateway = SocketAddr::new(net.near().into(), 1984);
        let running = start(&arguments(dir.path(), gateway)).await.unwrap();
        let pool = add_pool(&running).await;
        let mut host = net.command(Program::CodeHost.path().to_str().unwrap());
        host.arg(HOST)
            .arg(dir.path().join("repos"))
            .arg(dir.path().join("requests"));
        let host = Process::start("gantry-code-host", host, &dir.path().join("host.log"));
        let world = Self {
            running: Some(running),
            pool,
            net,
            gateway,
            dir,
            _host: host,
        };
        until("the Git host listens", || world.host_listens()).await;
        world
    }

    /// As the namespace's own table of sockets has it: nobody outside could ask it.
    fn host_listens(&self) -> bool {
        let listed = self
            .net
            .command("cat")
            .arg("/proc/net/tcp")
            .output()
            .unwrap();
        // 0100007F:1F90 is 127.0.0.1:8080, 0A is "listens".
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed
            .lines()
            .any(|line| line.contains(" 0100007F:1F90 ") && line.contains(" 0A "))
    }

    pub(crate) fn repos(&self) -> PathBuf {
        self.dir.path().join("repos")
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn gateway(&self) -> &gantry_server::gateway::Gateway {
        &self.running.as_ref().unwrap().app.gateway
    }

    /// The URL and header by which the server's git reaches `path`.
    pub(crate) fn bridge(&self, path: &str) -> (String, String) {
        let (url, (name, secret)) = self.gateway().bridge(&self.pool, path);
        (url.to_string(), format!("{name}: {}", secret.expose()))
    }

    /// Starts an agent and waits until all its streams are up.
    pub(crate) async fn agent(&self, name: &str, streams: usize) -> Agent {
        let token = PoolToken {
            host: self.gateway.to_string(),
            key: Secret::new(KEY),
            pool: self.pool.to_string(),
        };
        let out = self.dir.path().join(format!("{name}.out"));
        let mut command = self.net.command(Program::VcsAgent.path().to_str().unwrap());
        command
            .env("SPACELIFT_VCS_AGENT_POOL_TOKEN", token.encode().expose())
            .env(
                "SPACELIFT_VCS_AGENT_TARGET_BASE_ENDPOINT",
                format!("http://{HOST}"),
            )
            .env("SPACELIFT_VCS_AGENT_VENDOR", "gitlab")
            .env("SPACELIFT_VCS_AGENT_PARALLELISM", streams.to_string())
            .env("SPACELIFT_VCS_AGENT_DIAL_INSECURE", "true")
            .env("SPACELIFT_METADATA_name", name)
            .stdout(File::create(&out).unwrap());
        let log = self.dir.path().join(format!("{name}.log"));
        let process = Process::start_with_output("gantry-vcs-agent", command, &log);
        let agent = Agent { process, out };
        let own = || {
            let agents = self.gateway().agents(&self.pool).into_iter();
            let mut own =
                agents.filter(|agent| agent.tags.get("name").is_some_and(|tag| tag == name));
            own.next().map_or(0, |agent| agent.streams)
        };
        until("the agent's streams are up", || own() == streams).await;
        agent
    }

    /// Streams that the gateway has.
    pub(crate) fn streams(&self) -> usize {
        self.gateway()
            .agents(&self.pool)
            .iter()
            .map(|agent| agent.streams)
            .sum()
    }

    /// Requests that agents have.
    pub(crate) fn busy(&self) -> usize {
        self.gateway()
            .agents(&self.pool)
            .iter()
            .map(|agent| agent.busy.len())
            .sum()
    }

    pub(crate) async fn send(
        &self,
        id: &str,
        target: &str,
        limit: Duration,
    ) -> Result<Answer, GatewayError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_str(id).unwrap());
        let ask = Ask {
            purpose: "test",
            method: Method::GET,
            target: target.to_owned(),
            headers,
            body: Bytes::new(),
            limit,
        };
        self.gateway().send(&self.pool, ask).await
    }

    /// How often the Git host has seen each request id.
    pub(crate) fn seen(&self) -> BTreeMap<String, usize> {
        let text = fs::read_to_string(self.dir.path().join("requests")).unwrap_or_default();
        let mut seen = BTreeMap::new();
        for line in text.lines() {
            let (id, _) = line.split_once(' ').unwrap();
            *seen.entry(id.to_owned()).or_default() += 1;
        }
        seen
    }

    /// Stops the server as its own signal would, and starts it again on the same data and address.
    pub(crate) async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        let arguments = arguments(self.dir.path(), self.gateway);
        let deadline = Instant::now() + SHORT;
        self.running = loop {
            match start(&arguments).await {
                // A program that another test starts at this instant holds the directory's lock until it is executed.
                Err(error)
                    if error.to_string().contains("used by another")
                        && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(20)).await;
                }
                again => break Some(again.unwrap()),
            }
        };
    }
}

impl Agent {
    /// Its lines about requests.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.out).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The most memory that it ever had, in kilobytes.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.trim().parse().unwrap()
    }
}

fn arguments(dir: &Path, gateway: SocketAddr) -> ServeArgs {
    let key = dir.join("master.key");
    if !key.exists() {
        fs::write(&key, Vault::generate().expose()).unwrap();
    }
    let (data, gateway) = (dir.join("data"), gateway.to_string());
    let line = [
        "gantry-server",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--behind-proxy",
        "--vcs-gateway-listen",
        &gateway,
        "--data-dir",
        data.to_str().unwrap(),
        "--master-key-file",
        key.to_str().unwrap(),
    ];
    let Command::Serve(args) = Cli::parse_from(line).command else {
        unreachable!("it is serve")
    };
    ServeArgs {
        policy_program: Some(env!("CARGO_BIN_EXE_gantry-server").into()),
        ..*args
    }
}

async fn add_pool(running: &Running) -> VcsPoolId {
    let (now, id) = (UnixMillis::now(), VcsPoolId::from_ulid(Ulid::generate()));
    let pool = VcsPool {
        id,
        name: "inside".parse().unwrap(),
        description: None,
        space: "root".into(),
        created_by: "test".into(),
        created_at: now,
        updated_at: now,
    };
    let key = VcsPoolKey {
        id: Ulid::generate(),
        hash: Digest::of(KEY.as_bytes()),
        created_by: "test".into(),
        created_at: now,
        retires_at: None,
    };
    let store = &running.app.store;
    let mut tx = store.begin().await.unwrap();
    vcs_pools::insert(&mut tx, &pool).await.unwrap();
    vcs_pools::insert_key(&mut tx, id, &key).await.unwrap();
    store.commit(tx).await.unwrap();
    id
}

/// Looks until it is so.
pub(crate) async fn until(what: &str, look: impl FnMut() -> bool) {
    until_within(what, SHORT, look).await;
}

pub(crate) async fn until_within(what: &str, within: Duration, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !look() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
