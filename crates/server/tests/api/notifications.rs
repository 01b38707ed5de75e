//! What is told to others about runs: people's servers and code hosts, played on loopback.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use gantry_protocol::{RunId, RunType};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{Actor, Approval, Cause, Gate, Run, TaskInit};
use gantry_server::store::commit::Commit;
use gantry_server::store::runs::{self, NewRun, RunSettings};
use gantry_server::store::stacks;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::runs::deploy;
use crate::world::World;

const CREATE: &str = "mutation($url:String!$states:[RunState!]){notificationTargetCreate(name: \"chat\", url: $url, states: $states){target{id,enabled,states},secret}}";
const DELIVERIES: &str = "query($id:ID!){notificationTarget(id: $id){deliveries{id,runId,state,standing,attempts,answer}}}";

/// One request that came.
#[derive(Clone, Debug)]
struct Seen {
    path: String,
    headers: HeaderMap,
    body: String,
}

/// A server of somebody else's. It refuses as many requests as it is told to.
#[derive(Clone)]
struct Other {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    refuse: Arc<Mutex<u32>>,
}

impl Other {
    async fn new(refuse: u32) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let other = Self {
            url,
            seen: Arc::default(),
            refuse: Arc::new(Mutex::new(refuse)),
        };
        let router = Router::new().fallback(take).with_state(other.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        other
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn take(State(other): State<Other>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut refuse = other.refuse.lock().unwrap();
    if *refuse > 0 {
        *refuse -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    other.seen.lock().unwrap().push(Seen {
        path: uri.to_string(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    StatusCode::CREATED
}

pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "it did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn target(world: &World, url: &str, states: Value) -> (String, String) {
    let made = world
        .admin
        .ok(CREATE, json!({ "url": url, "states": states }))
        .await;
    let made = &made["notificationTargetCreate"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["target"]["id"]), text(&made["secret"]))
}

async fn deliveries(world: &World, id: &str) -> Vec<Value> {
    let found = world.reader.ok(DELIVERIES, json!({ "id": id })).await;
    let found = &found["notificationTarget"]["deliveries"];
    found.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_target_is_told_signed_and_again_until_it_takes_it() {
    let world = World::with(&["--outgoing-networks", "127.0.0.0/8"]).await;
    world.stack().await;
    let other = Other::new(1).await;
    let url = format!("{}/hook?x=1", other.url);
    let (id, secret) = target(&world, &url, json!(["UNCONFIRMED"])).await;
    let run = deploy(&world.writer).await;
    world.plans_changes(&run).await;
    let failed = until(async || {
        let all = deliveries(&world, &id).await;
        all.first().filter(|d| d["attempts"] != 0).cloned()
    });
    let failed = failed.await;
    assert_eq!(failed["state"], "UNCONFIRMED");
    let seen = until(async || other.seen().first().cloned()).await;
    assert_eq!(seen.path, "/hook?x=1");
    let header = |name: &str| seen.headers[name].to_str().unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{}.{}", header("gantry-timestamp"), seen.body).as_bytes());
    let hex = mac.finalize().into_bytes().into_iter();
    let hex: String = hex.map(|b| format!("{b:02x}")).collect();
    assert_eq!(header("gantry-signature-256"), format!("sha256={hex}"));
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        (
            &body["run"]["id"],
            &body["run"]["state"],
            &body["stack"]["id"]
        ),
        (&json!(run), &json!("UNCONFIRMED"), &json!("net"))
    );
    assert_eq!(body["id"], json!(header("gantry-delivery")));

    let sent = until(async || {
        let all = deliveries(&world, &id).await;
        all.first().filter(|d| d["standing"] == "SENT").cloned()
    });
    let sent = sent.await;
    assert_eq!(
        (&sent["attempts"], &sent["answer"]),
        (&json!(2), &json!("status 201"))
    );
    assert_eq!(other.seen().len(), 1, "one state was asked for");

    let again = "mutation($target:ID!$delivery:ID!){notificationRedeliver(target: $target, delivery: $delivery){id}}";
    let which = json!({ "target": id, "delivery": sent["id"] });
    world.admin.ok(again, which).await;
    until(async || (other.seen().len() == 2).then_some(())).await;
    assert_eq!(other.seen()[1].body, seen.body);
}

#[tokio::test]
async fn inner_addresses_are_not_spoken_to() {
    let world = World::new().await;
    world.stack().await;
    let other = Other::new(0).await;
    let (id, _) = target(&world, &other.url, json!(null)).await;
    deploy(&world.writer).await;
    let failed = until(async || {
        let all = deliveries(&world, &id).await;
        all.first().filter(|d| d["attempts"] != 0).cloned()
    });
    let failed = failed.await;
    let answer = failed["answer"].as_str().unwrap();
    assert!(answer.contains("GANTRY_OUTGOING_NETWORKS"), "{answer}");
    assert_eq!(failed["standing"], "WAITING");
    assert!(other.seen().is_empty());
    for bad in [
        "http://hooks.example/",
        "https://a:b@hooks.example/",
        "nonsense",
    ] {
        let refused = world.admin.refused(CREATE, json!({ "url": bad })).await;
        assert!(
            refused.contains("hooks.example") || refused.contains("nonsense"),
            "{refused}"
        );
    }
    let denied = world
        .writer
        .refused(CREATE, json!({ "url": other.url }))
        .await;
    assert!(denied.starts_with("unauthorized"), "{denied}");
    let delete = "mutation($id:ID!){notificationTargetDelete(id: $id){id}}";
    world.admin.ok(delete, json!({ "id": id })).await;
    let gone = world.reader.ok(DELIVERIES, json!({ "id": id })).await;
    assert_eq!(gone["notificationTarget"], json!(null));
}

/// A run of a stack whose code is there, made without asking anybody for it.
pub(crate) async fn run_at(world: &World, head: &str, url: &str) -> String {
    let store = &world.app().store;
    let id = RunId::from_ulid(store.new_id());
    let mut tx = store.begin().await.unwrap();
    let stack = stacks::get(&mut tx, &"net".parse().unwrap()).await.unwrap();
    let settings = stack.settings;
    let (person, init) = (Approval::Person, TaskInit::Run);
    let new = NewRun {
        run: Run::queued(id, stack.id, RunType::Tracked, person, init),
        pool: settings.pool.unwrap(),
        title: "a change".to_owned(),
        commit: Commit {
            hash: head.to_owned(),
            branch: "main".to_owned(),
            ..Commit::default()
        },
        triggered_by: None,
        command: None,
        metadata: Vec::new(),
        settings: RunSettings {
            space: settings.space,
            labels: Vec::new(),
            url: url.to_owned(),
            repository: "acme/net".to_owned(),
            stack_branch: "main".to_owned(),
            project_root: String::new(),
            runner_image: None,
            tool: settings.vendor.tool(),
            hooks: settings.hooks,
            managed_state: true,
            archive: None,
            environment: std::collections::BTreeMap::new(),
        },
        gate: Gate::Open,
        cause: Cause::Asked,
        overrides: Vec::new(),
        note: None,
    };
    let now = UnixMillis::now();
    runs::create(&mut tx, &new, &Actor::Server, now)
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    id.to_string()
}

#[tokio::test]
async fn a_code_host_gets_the_status_of_its_commit() {
    let world = World::with(&["--outgoing-networks", "127.0.0.0/8"]).await;
    let head = world.stack().await;
    let other = Other::new(0).await;
    let input = json!({ "name": "Host", "vendor": "GITHUB", "urlPrefix": "https://github.com/acme/",
        "apiUrl": other.url, "token": "hunter2" });
    let text = "mutation($input:VcsIntegrationInput!){vcsIntegrationCreate(input: $input){integration{id}}}";
    world.admin.ok(text, json!({ "input": input })).await;
    let run = run_at(&world, &head, "https://github.com/acme/net.git").await;
    world.plans_changes(&run).await;
    let seen = until(async || {
        let all = other.seen();
        all.iter()
            .find(|seen| seen.body.contains("waits for a decision"))
            .cloned()
    });
    let seen = seen.await;
    assert_eq!(seen.path, format!("/repos/acme/net/statuses/{head}"));
    assert_eq!(seen.headers["authorization"], "Bearer hunter2");
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(
        (&body["state"], &body["context"]),
        (&json!("pending"), &json!("gantry/net"))
    );
    let link = format!("{}/stack/net/run/{run}", world.app().base_url);
    assert_eq!(body["target_url"], json!(link));
}
