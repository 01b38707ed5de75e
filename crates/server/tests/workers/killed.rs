//! A server that is killed again and again while runs move: no run is lost, none stands where it may not.
//!
//! The real program on a fixed port, one launcher and one stack per lane; everybody repeats what got no answer, as
//! real clients do. The killer strikes after a random number of moves, while other lanes' requests are under way.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gantry_protocol::control::envelope::{Expected, verify};
use gantry_protocol::control::inbox::{Content, SealedRun};
use gantry_protocol::control::run::{GrantAnswer, Lease, Outcome, RunResult};
use gantry_protocol::control::session::{Claim, EnrolProof, EnrolRequest, Takeover};
use gantry_protocol::control::token::PoolToken;
use gantry_protocol::crypto::{EdKey, jws};
use gantry_protocol::payload::{RunPayload, Stage};
use gantry_protocol::{Digest, RunId, RunState};
use gantry_server::auth::{Role, create_key};
use gantry_server::clock::UnixMillis;
use gantry_server::store::{Store, runs};
use gantry_server::vault::Vault;
use serde_json::{Value, json};

use crate::client::{Client, changes, ended, http, path};
use crate::world::{csr, pool_keys};

const LANES: usize = 4;
/// Runs of a lane, each with ten states.
const RUNS: usize = 25;
const DEADLINE: Duration = Duration::from_secs(240);

/// The program, killed and started anew on the same data and port.
struct Killed {
    dir: tempfile::TempDir,
    port: u16,
    moves: AtomicUsize,
    done: AtomicBool,
    started: Instant,
}

impl Killed {
    fn serve(&self) -> Child {
        let dir = self.dir.path();
        let text = |path: &Path| path.display().to_string();
        Command::new(env!("CARGO_BIN_EXE_gantry-server"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--data-dir", &text(&dir.join("data"))])
            .args(["--master-key-file", &text(&dir.join("master.key"))])
            .args(["--source-file-prefixes", &text(dir)])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn moved(&self) {
        self.moves.fetch_add(1, Ordering::SeqCst);
    }

    fn in_time(&self) {
        assert!(
            self.started.elapsed() < DEADLINE,
            "not done in {DEADLINE:?}"
        );
    }

    /// Kills after every few moves until all lanes are done; gives how often.
    fn kill_for_ever(self: Arc<Self>) -> usize {
        let mut child = self.serve();
        let mut kills = 0;
        loop {
            let few = 5 + usize::from(u8::try_from(ulid::Ulid::generate().random() % 25).unwrap());
            let until = self.moves.load(Ordering::SeqCst) + few;
            while self.moves.load(Ordering::SeqCst) < until && !self.done.load(Ordering::SeqCst) {
                self.in_time();
                std::thread::park_timeout(Duration::from_millis(1));
            }
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
            if self.done.load(Ordering::SeqCst) {
                return kills;
            }
            kills += 1;
            child = self.serve();
        }
    }
}

/// One stack, its pool, its launcher, and the person who triggers and confirms.
struct Lane {
    server: Arc<Killed>,
    stack: String,
    head: String,
    bearer: String,
    token: PoolToken,
    client: Client,
}

/// Repeats a request until it is answered: an error that is no answer becomes nothing.
async fn until<T, F: Future<Output = Option<T>>>(server: &Killed, mut ask: impl FnMut() -> F) -> T {
    loop {
        server.in_time();
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sends, and reads what came whole.
async fn sent(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    let value = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&body).ok()?,
    };
    // A server that is starting or stopping says so; that is no answer either.
    (status < 500).then_some((status, value))
}

async fn graphql(server: &Killed, bearer: &str, text: &str, variables: Value) -> Value {
    let http = http(&server.base());
    let body = json!({ "query": text, "variables": variables });
    let ask = || async {
        let mut request = http.post(format!("{}/graphql", server.base())).json(&body);
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        sent(request).await.map(|(_, value)| value)
    };
    until(server, ask).await
}

impl Lane {
    /// What a launcher asks, repeated until the server says something.
    async fn ask(&self, lease: Lease, what: &str, body: Value) -> (u16, Value) {
        let ask = || {
            sent(
                self.client
                    .request(reqwest::Method::POST, &path(lease, what))
                    .json(&body),
            )
        };
        let answer = until(&self.server, ask).await;
        self.server.moved();
        answer
    }

    async fn took(&self, lease: Lease, what: &str, body: Value) -> Value {
        let (status, answer) = self.ask(lease, what, body).await;
        assert_eq!(status, 200, "{what} of {lease:?}: {answer}");
        answer
    }

    async fn work(mut self) {
        let first = Takeover {
            previous_epoch: 0,
            process: "lane".to_owned(),
        };
        self.client.token = self.session(first).await;
        let mut finished = 0;
        let mut seen = Vec::new();
        self.trigger().await;
        while finished < RUNS {
            let (id, sealed) = self.next().await;
            if seen.contains(&id) {
                self.acknowledge(id).await;
                continue;
            }
            seen.push(id);
            let payload = self.open(&sealed);
            self.acknowledge(id).await;
            let lease = Lease {
                run: payload.run,
                attempt: payload.attempt,
            };
            match payload.stage {
                Stage::Apply => {
                    self.apply(lease).await;
                    finished += 1;
                    if finished < RUNS {
                        self.trigger().await;
                    }
                }
                _ => self.plan(lease).await,
            }
        }
    }

    async fn session(&self, takeover: Takeover) -> String {
        let ask = || async {
            let nonce = nonce(&self.client).await?;
            let proof = gantry_protocol::control::session::SessionProof {
                nonce,
                audience: self.server.base(),
                launcher: self.client.id,
                claim: Claim::Takeover(takeover.clone()),
            };
            let proof = jws::sign_ed(&proof, &self.client.key).unwrap();
            let body = json!({ "proof": proof, "about": {} });
            let request = self
                .client
                .request(reqwest::Method::POST, "/v1/session")
                .json(&body);
            let (status, answer) = sent(request).await?;
            (status == 200).then(|| answer["token"].as_str().unwrap().to_owned())
        };
        until(&self.server, ask).await
    }

    async fn next(&self) -> (u64, SealedRun) {
        let body =
            json!({ "acknowledge": [], "free_slots": 1, "wait_seconds": 2, "condition": null });
        let ask = || async {
            let request = self.client.request(reqwest::Method::POST, "/v1/inbox");
            let (status, answer) = sent(request.json(&body)).await?;
            assert_eq!(status, 200, "{answer}");
            let batch: gantry_protocol::control::inbox::Batch =
                serde_json::from_value(answer).unwrap();
            let first = batch.messages.into_iter().next()?;
            match first.content {
                Content::Run(run) => Some((first.id, *run)),
                other => panic!("no run: {other:?}"),
            }
        };
        until(&self.server, ask).await
    }

    async fn acknowledge(&self, id: u64) {
        let body =
            json!({ "acknowledge": [id], "free_slots": 0, "wait_seconds": 0, "condition": null });
        let request = || {
            let request = self.client.request(reqwest::Method::POST, "/v1/inbox");
            sent(request.json(&body))
        };
        until(&self.server, request).await;
        self.server.moved();
    }

    fn open(&self, sealed: &SealedRun) -> RunPayload {
        let expected = Expected {
            server_keys: &self.token.server_keys,
            pool: self.token.pool,
            launcher: self.client.id,
            now: Some(UnixMillis::now().seconds()),
        };
        let verified = verify(sealed, &expected).unwrap();
        verified.open(&pool_keys()[0]).unwrap()
    }

    async fn trigger(&self) {
        let text = "mutation($stack:ID!$sha:String){runTrigger(stack: $stack, commitSha: $sha, runType: TRACKED){id}}";
        let variables = json!({ "stack": self.stack, "sha": self.head });
        let answer = graphql(&self.server, &self.bearer, text, variables).await;
        assert!(answer["data"]["runTrigger"]["id"].is_string(), "{answer}");
        self.server.moved();
    }

    async fn plan(&self, lease: Lease) {
        for (section, state) in [(1, RunState::Initializing), (2, RunState::Planning)] {
            self.took(
                lease,
                "phase",
                json!({ "section": section, "state": state }),
            )
            .await;
        }
        let sealed = b"sealed workspace";
        let attestation = gantry_protocol::control::workspace::WorkspaceAttestation {
            v: 1,
            run: lease.run,
            stack: self.stack.parse().unwrap(),
            attempt: lease.attempt,
            sealed: Digest::of(sealed),
            plan: Digest::of(b"plan file"),
            rendered: Digest::of(b"plan text"),
            image: "registry.example/runner@sha256:0".to_owned(),
            worker: Digest::of(b"worker"),
            tool: None,
            document: None,
            changes: None,
        };
        let attestation = jws::sign_pool(&attestation, &pool_keys()[0]).unwrap();
        let put = || {
            let request = self
                .client
                .request(reqwest::Method::PUT, &path(lease, "workspace"));
            let header = gantry_protocol::control::workspace::HEADER;
            sent(request.header(header, &attestation).body(sealed.to_vec()))
        };
        let (status, answer) = until(&self.server, put).await;
        assert_eq!(status, 204, "{answer}");
        let result = RunResult {
            plan: Some(changes()),
            ..ended(Outcome::Parked { attestation })
        };
        let taken = self
            .took(lease, "result", serde_json::to_value(&result).unwrap())
            .await;
        assert_eq!(taken["state"], "UNCONFIRMED", "{taken}");
        self.confirm(lease.run).await;
    }

    async fn confirm(&self, run: RunId) {
        let text = "mutation($stack:ID!$run:ID!){runConfirm(stack: $stack, run: $run){id}}";
        let variables = json!({ "stack": self.stack, "run": run });
        let answer = graphql(&self.server, &self.bearer, text, variables).await;
        // It was done before, and only the answer was lost.
        let done = |words: &str| words.contains("cannot confirm");
        let words = answer["errors"][0]["message"].as_str();
        assert!(words.is_none_or(done), "{answer}");
        self.server.moved();
    }

    async fn apply(&self, lease: Lease) {
        let body = json!({ "section": 1, "state": RunState::Applying, "plan": changes() });
        let granted = self.took(lease, "grant", body).await;
        let granted: GrantAnswer = serde_json::from_value(granted).unwrap();
        assert!(
            matches!(granted, GrantAnswer::Granted { .. }),
            "{granted:?}"
        );
        let result = serde_json::to_value(ended(Outcome::Succeeded)).unwrap();
        let taken = self.took(lease, "result", result).await;
        assert_eq!(taken["state"], "FINISHED", "{taken}");
    }
}

async fn nonce(client: &Client) -> Option<String> {
    let request = client.request(reqwest::Method::POST, "/v1/nonce").json(&());
    let (_, answer) = sent(request).await?;
    answer["nonce"].as_str().map(str::to_owned)
}

/// A key of the API, made before the program starts.
async fn key(dir: &Path) -> Value {
    std::fs::create_dir(dir.join("data")).unwrap();
    let store = Store::open(&dir.join("data")).await.unwrap();
    let made = create_key(&store, "ann", Role::Admin).await.unwrap();
    json!({ "id": made.id, "secret": made.secret.expose() })
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn lane(server: &Arc<Killed>, bearer: &str, number: usize, head: &str) -> Lane {
    let stack = format!("lane-{number}");
    let text = "mutation($name:String!$csr:String!){workerPoolCreate(name: $name, certificateSigningRequest: $csr){id,config}}";
    let variables = json!({ "name": stack, "csr": csr(&pool_keys()[0]) });
    let pool = graphql(server, bearer, text, variables).await["data"]["workerPoolCreate"].clone();
    let token = PoolToken::decode(pool["config"].as_str().unwrap()).unwrap();
    let url = format!("file://{}", server.dir.path().join("code").display());
    let input = json!({ "name": stack, "repository": url, "branch": "main",
        "workerPool": pool["id"], "vendorConfig": { "openTofu": { "version": "1.8.2" } } });
    let text = "mutation($input:StackInput!$slug:String){stackCreate(input: $input, manageState: true, slug: $slug){id}}";
    let made = graphql(
        server,
        bearer,
        text,
        json!({ "input": input, "slug": stack }),
    )
    .await;
    assert_eq!(made["data"]["stackCreate"]["id"], json!(stack), "{made}");
    let client = enrolled(server, &token).await;
    Lane {
        server: Arc::clone(server),
        stack,
        head: head.to_owned(),
        bearer: bearer.to_owned(),
        token,
        client,
    }
}

async fn enrolled(server: &Arc<Killed>, token: &PoolToken) -> Client {
    let base = server.base();
    let mut client = Client {
        http: http(&base),
        base: base.clone(),
        id: gantry_protocol::LauncherId::from_ulid(ulid::Ulid::nil()),
        key: EdKey::generate(),
        epoch: 0,
        token: String::new(),
    };
    let ask = || async {
        let proof = EnrolProof {
            nonce: nonce(&client).await?,
            audience: base.clone(),
            pool: token.pool,
            launcher_key: client.key.public(),
            machine: Digest::of(b"machine"),
        };
        let proof = jws::sign_pool(&proof, &pool_keys()[0]).unwrap();
        let about = gantry_protocol::control::session::About::default();
        let request = client
            .request(reqwest::Method::POST, "/v1/enrol")
            .json(&EnrolRequest { proof, about });
        let (status, answer) = sent(request).await?;
        (status == 200).then(|| answer["launcher"].as_str().unwrap().parse().unwrap())
    };
    client.id = until(server, ask).await;
    client
}

/// The ten states of a deployment that was confirmed.
const COURSE: [RunState; 10] = [
    RunState::Queued,
    RunState::Ready,
    RunState::Preparing,
    RunState::Initializing,
    RunState::Planning,
    RunState::Unconfirmed,
    RunState::Confirmed,
    RunState::PreparingApply,
    RunState::Applying,
    RunState::Finished,
];

/// Every run stands where its history says, and every history is the course of a deployment without a gap.
async fn check(dir: &Path) -> (usize, usize) {
    let store = Store::open(&dir.join("data")).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let (mut finished, mut moves) = (0, 0);
    for number in 0..LANES {
        let stack = format!("lane-{number}").parse().unwrap();
        let mut before = None;
        loop {
            let page = runs::list(&mut conn, &stack, runs::Listing::All, before, 50)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.run.id);
            for record in &page {
                let mut history = runs::history(&mut conn, record.run.id).await.unwrap();
                history.reverse();
                let states: Vec<RunState> = history.iter().map(|row| row.state).collect();
                // An acknowledged trigger whose run was overtaken by the end of the test still waits.
                assert_eq!(states, COURSE[..states.len()], "{}", record.run.id);
                let versions: Vec<u32> = history.iter().map(|row| row.version.0).collect();
                let expected: Vec<u32> = (1..).take(states.len()).collect();
                assert_eq!(versions, expected, "{}", record.run.id);
                assert_eq!(states.last(), Some(&record.run.state));
                assert!(record.run.attempt.0 <= 2, "{:?}", record.run);
                finished += usize::from(record.run.state == RunState::Finished);
                moves += states.len();
            }
        }
    }
    (finished, moves)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_transitions_outlive_a_server_that_is_killed() {
    gantry_net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("master.key"), Vault::generate().expose()).unwrap();
    let api_key = key(dir.path()).await;
    let code = dir.path().join("code");
    std::fs::create_dir(&code).unwrap();
    git(&code, &["init", "-q"]);
    git(&code, &["commit", "-q", "--allow-empty", "-m", "one"]);
    let head = git(&code, &["rev-parse", "HEAD"]);
    // Nobody else takes it in between: ports that were bound last are given out last.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Arc::new(Killed {
        dir,
        port,
        moves: AtomicUsize::new(0),
        done: AtomicBool::new(false),
        started: Instant::now(),
    });
    let killer = Arc::clone(&server);
    let killer = std::thread::spawn(move || killer.kill_for_ever());
    let text = "mutation($id:ID!$secret:String!){apiKeyUser(id: $id, secret: $secret){jwt}}";
    let session = graphql(&server, "", text, api_key).await;
    let bearer = session["data"]["apiKeyUser"]["jwt"].as_str().unwrap();
    let mut lanes = tokio::task::JoinSet::new();
    for number in 0..LANES {
        let lane = lane(&server, bearer, number, &head).await;
        lanes.spawn(lane.work());
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    server.done.store(true, Ordering::SeqCst);
    let kills = killer.join().unwrap();
    let (finished, moves) = check(server.dir.path()).await;
    assert!(finished >= LANES * RUNS, "{finished} runs finished");
    assert!(moves >= 1000, "{moves} transitions");
    assert!(kills >= 20, "only {kills} kills");
}
