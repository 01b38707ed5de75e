//! A server that speaks the wire's side of the contract: real HTTP, scripted data, every request recorded.
//!
//! Takes a script per operation, gives an address. Never: an answer to an operation that nobody scripted.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub(crate) const SECRET: &str = "s3cret-of-the-key";

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) field: String,
    pub(crate) vars: Value,
    pub(crate) metadata: Option<String>,
}

/// What an operation answers: its variables and how often it was asked before, to a body.
type Script = Box<dyn FnMut(&Value, usize) -> Answer + Send>;

pub(crate) enum Answer {
    Data(Value),
    Error(&'static str),
    Status(u16),
}

#[derive(Default)]
struct World {
    scripts: HashMap<String, Script>,
    requests: Vec<Request>,
}

/// The server, and a home directory for the program.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) home: TempDir,
    world: Arc<Mutex<World>>,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Fake {
    /// A server that knows the key `key` and who it is.
    pub(crate) async fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let app = Router::new()
            .route("/graphql", post(answer))
            .route("/api/states/{stack}/{version}", get(state))
            .with_state(Arc::clone(&world));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let fake = Self {
            url,
            home: tempfile::tempdir().unwrap(),
            world,
        };
        fake.on("apiKeyUser", |vars, _| {
            match vars == &json!({ "id": "key", "secret": SECRET }) {
                true => Answer::Data(
                    json!({ "apiKeyUser": { "jwt": "jwt", "validUntil": 4_102_444_800_i64 } }),
                ),
                false => Answer::Error("unauthorized"),
            }
        });
        fake.on("viewer", |_, _| {
            Answer::Data(json!({ "viewer": { "id": "u1", "name": "Ada" } }))
        });
        fake
    }

    /// Scripts one operation by its root field, or root field and first inner field (`stack.runs`).
    pub(crate) fn on(
        &self,
        field: &str,
        script: impl FnMut(&Value, usize) -> Answer + Send + 'static,
    ) {
        self.world
            .lock()
            .unwrap()
            .scripts
            .insert(field.to_owned(), Box::new(script));
    }

    /// Requests of one operation so far.
    pub(crate) fn asked(&self, field: &str) -> Vec<Request> {
        let world = self.world.lock().unwrap();
        world
            .requests
            .iter()
            .filter(|request| request.field == field)
            .cloned()
            .collect()
    }

    /// Runs `gantry` with the API key in the environment.
    pub(crate) async fn gantry(&self, args: &[&str]) -> Done {
        self.gantry_with(args, "", true).await
    }

    /// Runs `gantry` with a standard input, and with or without a key in the environment.
    pub(crate) async fn gantry_with(&self, args: &[&str], stdin: &str, key: bool) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gantry"));
        command.args(args).env_clear().env("HOME", self.home.path());
        if key {
            command
                .env("SPACELIFT_API_KEY_ENDPOINT", &self.url)
                .env("SPACELIFT_API_KEY_ID", "key")
                .env("SPACELIFT_API_KEY_SECRET", SECRET);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        // A program that does not read its input may be gone already.
        let _ = child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .await;
        let deadline = std::time::Duration::from_secs(60);
        let done = tokio::time::timeout(deadline, child.wait_with_output()).await;
        let done = done
            .unwrap_or_else(|_| panic!("gantry {args:?} did not end"))
            .unwrap();
        Done {
            code: done.status.code().unwrap(),
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        }
    }
}

/// A stack's state, to whoever has the permission `may`.
async fn state(
    Path((stack, version)): Path<(String, u64)>,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, String) {
    match query.get("permission").map(String::as_str) {
        Some("may") => (StatusCode::OK, format!("state {version} of {stack}")),
        _ => (StatusCode::UNAUTHORIZED, String::new()),
    }
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let body: Value = serde_json::from_str(&body).unwrap();
    let field = field_of(body["query"].as_str().unwrap());
    let vars = body["variables"].clone();
    let bearer = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let allowed = field == "apiKeyUser" || bearer == Some("Bearer jwt");
    let metadata = headers.get("spacelift-user-provided-run-metadata");
    let metadata = metadata.map(|value| value.to_str().unwrap().to_owned());

    let mut world = world.lock().unwrap();
    let before = world
        .requests
        .iter()
        .filter(|request| request.field == field)
        .count();
    world.requests.push(Request {
        field: field.clone(),
        vars: vars.clone(),
        metadata,
    });
    let script = world.scripts.get_mut(&field);
    let script = script.unwrap_or_else(|| panic!("nobody scripted `{field}`"));
    match if allowed {
        script(&vars, before)
    } else {
        Answer::Error("unauthorized")
    } {
        Answer::Data(data) => (StatusCode::OK, json!({ "data": data }).to_string()),
        Answer::Error(message) => (
            StatusCode::OK,
            json!({ "data": null, "errors": [{ "message": message }] }).to_string(),
        ),
        Answer::Status(code) => (
            StatusCode::from_u16(code).unwrap(),
            "out of order".to_owned(),
        ),
    }
}

/// The path of single fields that a query starts with, such as `stack.run.history`.
fn field_of(query: &str) -> String {
    let mut path: Vec<&str> = Vec::new();
    let body = &query[query.find('{').unwrap() + 1..];
    for part in body.split('{') {
        let name = part
            .trim()
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap();
        let name = if path.is_empty() {
            name
        } else {
            part.trim().split(['(', ' ']).next().unwrap()
        };
        path.push(name);
        if path[0] != "stack" || !["stack", "run"].contains(&name) {
            break;
        }
    }
    path.join(".")
}
