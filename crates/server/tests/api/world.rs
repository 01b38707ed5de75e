//! A running server with a key of each role, and a client that posts operations.
//!
//! Takes nothing, gives answers as JSON. A launcher's part is played on the store itself: the control
//! channel has its own tests.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use clap::Parser;
use gantry_protocol::{Attempt, LauncherId, RunId};
use gantry_server::app::App;
use gantry_server::auth::{Role, create_key};
use gantry_server::clock::UnixMillis;
use gantry_server::config::{Cli, Command, ServeArgs};
use gantry_server::domain::{Actor, ActorKind, PlanOutcome, RunEvent};
use gantry_server::process::{Running, start};
use gantry_server::store::runs;
use gantry_server::vault::Vault;
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) admin: Client,
    pub(crate) writer: Client,
    pub(crate) reader: Client,
}

/// Someone who posts operations.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
    token: Option<String>,
}

pub(crate) const KEY_TEXT: &str =
    "mutation($id:ID!$secret:String!){apiKeyUser(id: $id, secret: $secret){jwt,validUntil}}";

pub(crate) fn arguments(dir: &Path, more: &[&str]) -> ServeArgs {
    let (data, key) = (dir.join("data"), dir.join("master.key"));
    if !key.exists() {
        std::fs::write(&key, Vault::generate().expose()).unwrap();
    }
    let base = [
        "gantry-server",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
    ];
    let mut line: Vec<String> = base.iter().map(ToString::to_string).collect();
    line.extend([
        data.display().to_string(),
        "--master-key-file".to_owned(),
        key.display().to_string(),
        "--source-file-prefixes".to_owned(),
        dir.display().to_string(),
    ]);
    line.extend(more.iter().map(ToString::to_string));
    let Command::Serve(args) = Cli::parse_from(line).command else {
        unreachable!("it is serve")
    };
    ServeArgs {
        policy_program: Some(env!("CARGO_BIN_EXE_gantry-server").into()),
        ..*args
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(more: &[&str]) -> Self {
        gantry_net::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let running = start(&arguments(dir.path(), more)).await.unwrap();
        Self::of(dir, running).await
    }

    /// The world of a server that was started on `dir`.
    pub(crate) async fn of(dir: tempfile::TempDir, running: Running) -> Self {
        let nobody = Client::new(&running.app.base_url);
        let admin = nobody.logged_in(&running.app, Role::Admin).await;
        let writer = nobody.logged_in(&running.app, Role::Writer).await;
        let reader = nobody.logged_in(&running.app, Role::Reader).await;
        Self {
            running,
            dir,
            admin,
            writer,
            reader,
        }
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.running.app
    }

    pub(crate) fn nobody(&self) -> Client {
        Client::new(&self.app().base_url)
    }

    /// A real repository with one commit; its URL and the commit.
    pub(crate) fn repository(&self) -> (String, String) {
        let repo = self.dir.path().join("code");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        git(&repo, &["commit", "-q", "--allow-empty", "-m", "one"]);
        let head = git(&repo, &["rev-parse", "HEAD"]);
        (format!("file://{}", repo.display()), head)
    }

    /// A pool, and a stack `net` of a real repository that runs on it; the stack's head.
    pub(crate) async fn stack(&self) -> String {
        let pool = self.pool().await;
        let (url, head) = self.repository();
        let input = json!({
            "name": "Net", "repository": url, "branch": "main", "workerPool": pool["id"],
            "vendorConfig": { "openTofu": { "version": "1.8.2" } },
        });
        let text = "mutation($input:StackInput!){stackCreate(input: $input, manageState: true, slug: \"net\"){id}}";
        let made = self.admin.ok(text, json!({ "input": input })).await;
        assert_eq!(made["stackCreate"]["id"], "net");
        head
    }

    pub(crate) async fn pool(&self) -> Value {
        let text = "mutation($name:String!$csr:String!){workerPoolCreate(name: $name, certificateSigningRequest: $csr){id,name,config}}";
        let made = self
            .admin
            .ok(text, json!({ "name": "dock", "csr": csr() }))
            .await;
        made["workerPoolCreate"].clone()
    }

    /// Plays the launcher: applies one event to a run.
    pub(crate) async fn happens(&self, run: &str, event: RunEvent) {
        let run: RunId = run.parse().unwrap();
        let by = match event.caused_by() {
            ActorKind::Launcher => Actor::Launcher(LauncherId::from_ulid(ulid::Ulid::nil())),
            ActorKind::Server => Actor::Server,
            ActorKind::User => unreachable!("people use the API"),
        };
        let store = &self.app().store;
        let mut tx = store.begin().await.unwrap();
        runs::apply(&mut tx, run, &event, &by, None, UnixMillis::now())
            .await
            .unwrap();
        store.commit(tx).await.unwrap();
    }

    /// Plays the launcher until the run waits for a decision.
    pub(crate) async fn plans_changes(&self, run: &str) {
        let one = Attempt(1);
        for event in [
            RunEvent::Leased,
            RunEvent::InitStarted(one),
            RunEvent::PlanStarted(one),
            RunEvent::Planned(one, PlanOutcome::Changes),
        ] {
            self.happens(run, event).await;
        }
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            url: format!("{base}/graphql"),
            http,
            token: None,
        }
    }

    async fn logged_in(&self, app: &App, role: Role) -> Self {
        let key = create_key(&app.store, role.as_str(), role).await.unwrap();
        let variables = json!({ "id": key.id, "secret": key.secret.expose() });
        let session = self.ok(KEY_TEXT, variables).await;
        self.with_token(session["apiKeyUser"]["jwt"].as_str().unwrap())
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The whole answer. Its status is 200, whatever it says.
    pub(crate) async fn post(&self, text: &str, variables: Value) -> Value {
        self.post_with(text, variables, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        text: &str,
        variables: Value,
        headers: &[(&str, &[u8])],
    ) -> Value {
        let mut request = self.http.post(&self.url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = json!({ "query": text, "variables": variables }).to_string();
        let answer = request
            .header("content-type", "application/json")
            .body(format!("{body}\n"));
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Status and body of a path beside the API.
    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let base = self.url.strip_suffix("/graphql").unwrap();
        let mut request = self.http.get(format!("{base}{path}"));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.bytes().await.unwrap().to_vec(),
        )
    }

    /// The data of an answer without errors.
    pub(crate) async fn ok(&self, text: &str, variables: Value) -> Value {
        let answer = self.post(text, variables).await;
        assert!(answer.get("errors").is_none(), "{text}: {answer}");
        answer["data"].clone()
    }

    /// The first error's message.
    pub(crate) async fn refused(&self, text: &str, variables: Value) -> String {
        let answer = self.post(text, variables).await;
        let message = answer["errors"][0]["message"].as_str();
        message
            .unwrap_or_else(|| panic!("{text}: {answer}"))
            .to_owned()
    }
}

/// A request for a pool's key, another one each time. Making an RSA key takes a while: after eight it is the first again.
pub(crate) fn csr() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    static REQUESTS: [OnceLock<String>; 8] = [const { OnceLock::new() }; 8];
    let nth = NEXT.fetch_add(1, Ordering::Relaxed) % REQUESTS.len();
    let request = || {
        let params = rcgen::CertificateParams::default();
        params.serialize_request(&rsa_key()).unwrap().pem().unwrap()
    };
    REQUESTS[nth].get_or_init(request).clone()
}

/// `rcgen` on ring makes no RSA keys and reads PKCS#8, so the `rsa` crate makes one.
fn rsa_key() -> rcgen::KeyPair {
    let key = rsa::RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap();
    let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
    rcgen::KeyPair::from_pem(&pem).unwrap()
}

pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
