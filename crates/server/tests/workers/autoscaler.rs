//! The published autoscaler's part, by its own operations as they are on the wire: it grows a pool by what waits, and
//! shrinks it by launchers that it has closed first, so that no run is cut.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser as _;
use gantry_protocol::control::inbox::{Content, Message};
use gantry_protocol::control::session::{
    About, Claim, EnrolProof, EnrolRequest, Enrolled, Session, SessionProof, SessionRequest,
    Takeover,
};
use gantry_protocol::control::token::PoolToken;
use gantry_protocol::crypto::{EdKey, jws};
use gantry_protocol::{Digest, LauncherId};
use gantry_server::auth::{Role, create_key};
use gantry_server::config::{Cli, Command};
use gantry_server::process::{Running, start};
use gantry_server::vault::Vault;
use serde_json::{Value, json};

use crate::client::{Client, answer, http, nonce, post};
use crate::world::{csr, pool_keys};

const LOGIN: &str = "mutation($id:ID!$secret:String!){apiKeyUser(id: $id, secret: $secret){jwt}}";
const LOOK: &str = "query($workerPool:ID!){workerPool(id: $workerPool){pendingRuns,workers{id,busy,createdAt,availableAt,drained,metadata}}}";
const DRAIN: &str = "mutation($drain:Boolean!$workerId:ID!$workerPoolId:ID!){workerDrainSet(workerPool: $workerPoolId, id: $workerId, drain: $drain){id,busy,createdAt,drained,metadata}}";
const POOL: &str = "mutation($csr:String!){workerPoolCreate(name: \"dock\", certificateSigningRequest: $csr){config}}";
const STACK: &str = "mutation($input:StackInput!){stackCreate(input: $input, manageState: true, slug: \"net\"){id}}";
const TRIGGER: &str = "mutation{runTrigger(stack: \"net\", runType: PROPOSED){id}}";

/// A server with one pool and a stack on it.
struct World {
    _running: Running,
    _dir: tempfile::TempDir,
    api: Api,
    token: PoolToken,
}

/// Someone who may look and drain.
struct Api {
    base: String,
    http: reqwest::Client,
    jwt: String,
}

/// What the autoscaler does with the group of hosts.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Grow(usize),
    /// These hosts go: their launchers are closed and have no run.
    Shrink(Vec<String>),
    Stay,
}

/// What it remembers of a launcher between its look and its deed.
#[derive(Clone, Debug)]
struct Worker {
    id: String,
    busy: bool,
    since: i64,
    host: String,
}

impl World {
    async fn new() -> Self {
        gantry_net::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let running = start(&arguments(dir.path())).await.unwrap();
        let base = running.app.base_url.clone();
        let mut api = Api {
            http: http(&base),
            base,
            jwt: String::new(),
        };
        let key = create_key(&running.app.store, "autoscaler", Role::Admin);
        let key = key.await.unwrap();
        let secret = json!({ "id": key.id, "secret": key.secret.expose() });
        api.jwt = text(&api.ok(LOGIN, secret).await["apiKeyUser"]["jwt"]);
        let made = api.ok(POOL, json!({ "csr": csr(&pool_keys()[0]) })).await;
        let token = PoolToken::decode(&text(&made["workerPoolCreate"]["config"])).unwrap();
        let url = format!("file://{}", code(dir.path()).display());
        let input = json!({ "name": "Net", "repository": url, "branch": "main",
            "workerPool": token.pool.to_string(), "vendorConfig": { "openTofu": { "version": "1.8.2" } } });
        api.ok(STACK, json!({ "input": input })).await;
        Self {
            _running: running,
            _dir: dir,
            api,
            token,
        }
    }

    /// A launcher on a host of this name in the group.
    async fn launcher(&self, host: &str) -> Client {
        let base = &self.api.base;
        let http = http(base);
        let tags = [("instance_id", host), ("asg_id", "launchers")];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let about = About {
            host: host.to_owned(),
            arch: "x86_64".to_owned(),
            metadata: BTreeMap::from(tags),
            ..About::default()
        };
        let key = EdKey::generate();
        let proof = EnrolProof {
            nonce: nonce(&http, base).await,
            audience: base.clone(),
            pool: self.token.pool,
            launcher_key: key.public(),
            machine: Digest::of(host.as_bytes()),
        };
        let proof = jws::sign_pool(&proof, &pool_keys()[0]).unwrap();
        let asked = post(&http, base, "/v1/enrol").json(&EnrolRequest {
            proof,
            about: about.clone(),
        });
        let enrolled = answer::<Enrolled>(asked).await.unwrap();
        let token = session(&http, base, enrolled.launcher, &key, about).await;
        let client = Client {
            http,
            base: base.clone(),
            id: enrolled.launcher,
            key,
            epoch: 0,
            token,
        };
        client.poll(&[], 0, 0).await.unwrap();
        client
    }

    async fn look(&self) -> (usize, Vec<Worker>) {
        let asked = json!({ "workerPool": self.token.pool.to_string() });
        let seen = self.api.ok(LOOK, asked).await["workerPool"].clone();
        let workers = seen["workers"].as_array().unwrap().iter();
        let mut open: Vec<_> = workers
            .filter(|worker| worker["drained"] == false)
            .map(of_answer)
            .collect();
        open.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        let pending = usize::try_from(seen["pendingRuns"].as_u64().unwrap()).unwrap();
        (pending, open)
    }

    /// One turn on what was seen, at most `most` hosts more or fewer.
    async fn decide(&self, pending: usize, workers: &[Worker], most: usize) -> Decision {
        let busy = workers.iter().filter(|worker| worker.busy).count();
        let demand = busy + pending;
        if demand > workers.len() {
            return Decision::Grow((demand - workers.len()).min(most));
        }
        let too_many = (workers.len() - demand).min(most);
        let mut going = Vec::new();
        for worker in workers.iter().filter(|worker| !worker.busy).take(too_many) {
            let state = self.drain(&worker.id, true).await;
            assert_eq!(state["drained"], true);
            if state["busy"] == true {
                let state = self.drain(&worker.id, false).await;
                assert_eq!(
                    (&state["drained"], &state["busy"]),
                    (&json!(false), &json!(true))
                );
                continue;
            }
            going.push(worker.host.clone());
        }
        match going.is_empty() {
            true => Decision::Stay,
            false => Decision::Shrink(going),
        }
    }

    async fn turn(&self, most: usize) -> Decision {
        let (pending, workers) = self.look().await;
        self.decide(pending, &workers, most).await
    }

    /// The runs that no launcher has.
    async fn waiting(&self) -> Vec<String> {
        let list = "query($id:ID!$input:SearchInput!){workerPool(id: $id){searchSchedulableRuns(input: $input){edges{node{run{id}}}}}}";
        let input = json!({ "first": 50, "after": null, "fullTextSearch": null, "predicates": null, "orderBy": null });
        let asked = json!({ "id": self.token.pool.to_string(), "input": input });
        let found = self.api.ok(list, asked).await;
        let edges = &found["workerPool"]["searchSchedulableRuns"]["edges"];
        let edges = edges.as_array().unwrap().iter();
        edges.map(|edge| text(&edge["node"]["run"]["id"])).collect()
    }

    async fn drain(&self, worker: &str, drain: bool) -> Value {
        let pool = self.token.pool.to_string();
        let asked = json!({ "drain": drain, "workerId": worker, "workerPoolId": pool });
        self.api.ok(DRAIN, asked).await["workerDrainSet"].clone()
    }
}

impl Api {
    async fn ok(&self, text: &str, variables: Value) -> Value {
        let body = json!({ "query": text, "variables": variables });
        let request = self.http.post(format!("{}/graphql", self.base)).json(&body);
        let request = match self.jwt.is_empty() {
            true => request,
            false => request.bearer_auth(&self.jwt),
        };
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(answer.get("errors").is_none(), "{text}: {answer}");
        answer["data"].clone()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The tags are where the autoscaler finds the host, and all that it has to find it by.
fn of_answer(worker: &Value) -> Worker {
    let tags: Value = serde_json::from_str(worker["metadata"].as_str().unwrap()).unwrap();
    assert_eq!(tags["asg_id"], "launchers");
    assert_eq!(worker["busy"] == true, worker["availableAt"].is_null());
    Worker {
        id: text(&worker["id"]),
        busy: worker["busy"] == true,
        since: worker["createdAt"].as_i64().unwrap(),
        host: text(&tags["instance_id"]),
    }
}

async fn session(
    http: &reqwest::Client,
    base: &str,
    launcher: LauncherId,
    key: &EdKey,
    about: About,
) -> String {
    let takeover = Takeover {
        previous_epoch: 0,
        process: "one".to_owned(),
    };
    let proof = SessionProof {
        nonce: nonce(http, base).await,
        audience: base.to_owned(),
        launcher,
        claim: Claim::Takeover(takeover),
    };
    let proof = jws::sign_ed(&proof, key).unwrap();
    let asked = post(http, base, "/v1/session").json(&SessionRequest { proof, about });
    let session = answer::<Session>(asked).await.unwrap();
    session.token.expose().to_owned()
}

fn arguments(dir: &Path) -> gantry_server::config::ServeArgs {
    let key = dir.join("master.key");
    std::fs::write(&key, Vault::generate().expose()).unwrap();
    let words = ["gantry-server", "serve", "--listen", "127.0.0.1:0"];
    let line = words.iter().map(|word| (*word).to_owned());
    let line = line.chain([
        format!("--data-dir={}", dir.join("data").display()),
        format!("--master-key-file={}", key.display()),
        format!("--source-file-prefixes={}", dir.display()),
    ]);
    match Cli::parse_from(line).command {
        Command::Serve(args) => *args,
        _ => unreachable!("it is serve"),
    }
}

/// A repository with one commit.
fn code(dir: &Path) -> std::path::PathBuf {
    let code = dir.join("code");
    std::fs::create_dir(&code).unwrap();
    for arguments in [
        &["init", "-q"][..],
        &["commit", "-q", "--allow-empty", "-m", "one"],
    ] {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(["-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(&code)
            .status();
        assert!(status.unwrap().success());
    }
    code
}

fn is_run(message: &Message) -> bool {
    matches!(message.content, Content::Run(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_grows_by_what_waits_and_shrinks_by_what_is_idle() {
    let world = World::new().await;
    assert_eq!(world.turn(5).await, Decision::Stay);
    for _ in 0..3 {
        world.api.ok(TRIGGER, json!({})).await;
    }
    assert_eq!(world.turn(5).await, Decision::Grow(3));
    assert_eq!(
        world.turn(1).await,
        Decision::Grow(1),
        "no more than it may at once"
    );

    // Hosts come up: one takes a run, the others not yet.
    let first = world.launcher("i-1").await;
    let _second = world.launcher("i-2").await;
    assert!(is_run(&first.next(1).await));
    let (pending, workers) = world.look().await;
    assert_eq!((pending, workers.len()), (2, 2));
    assert_eq!(world.turn(5).await, Decision::Grow(1));

    // Nothing waits any more (they are taken back): who is idle goes, who has a run stays.
    for run in world.waiting().await {
        let cancel = "mutation($run:ID!){runCancel(stack: \"net\", run: $run){id}}";
        world.api.ok(cancel, json!({ "run": run })).await;
    }
    assert_eq!(
        world.turn(5).await,
        Decision::Shrink(vec!["i-2".to_owned()])
    );
    let (_, left) = world.look().await;
    assert_eq!(
        left.len(),
        1,
        "who was closed is out of the picture: {left:?}"
    );
    assert_eq!(
        world.turn(5).await,
        Decision::Stay,
        "what works is let alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_that_got_a_run_meanwhile_is_opened_again() {
    let world = World::new().await;
    let (first, second) = (world.launcher("i-1").await, world.launcher("i-2").await);
    let (pending, workers) = world.look().await;
    assert_eq!(
        (pending, workers.iter().filter(|worker| worker.busy).count()),
        (0, 0)
    );
    // Between the look and the deed a run comes.
    world.api.ok(TRIGGER, json!({})).await;
    let (busy, idle) = tokio::select! {
        message = first.next(1) => { assert!(is_run(&message)); ("i-1", "i-2") }
        message = second.next(1) => { assert!(is_run(&message)); ("i-2", "i-1") }
    };
    let decision = world.decide(pending, &workers, 5).await;
    assert_eq!(decision, Decision::Shrink(vec![idle.to_owned()]));
    let (_, open) = world.look().await;
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].host.as_str(), open[0].busy), (busy, true));
    // It is open: its next run comes.
    world.api.ok(TRIGGER, json!({})).await;
    let client = if busy == "i-1" { &first } else { &second };
    let batch = client.poll(&[], 2, 30).await.unwrap();
    assert!(batch.messages.iter().any(is_run));
}
