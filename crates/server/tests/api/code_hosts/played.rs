//! A code host on loopback that answers what the vendors document, and remembers what it was asked.
//!
//! Takes rows of target and answer. An unknown target is answered with 404, as the vendors do.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use gantry_server::code_hosts::Client;
use gantry_server::store::integrations;
use serde_json::{Value, json};

use crate::world::World;

/// A commit of the repository that all hosts have.
pub(crate) const NEW: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// The commit before it.
pub(crate) const OLD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// One request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Said {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A host. Rows are looked through from the first; one that is to be used up is taken out.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) url: String,
    rows: Arc<Mutex<Vec<(String, Said, bool)>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Host {
    pub(crate) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            rows: Arc::default(),
            seen: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    /// Answers a target always alike.
    pub(crate) fn says(&self, target: &str, said: Said) {
        self.rows
            .lock()
            .unwrap()
            .push((target.to_owned(), said, false));
    }

    /// Answers a target so once, before anything that it is to say always.
    pub(crate) fn says_once(&self, target: &str, said: Said) {
        let mut rows = self.rows.lock().unwrap();
        let at = rows.iter().take_while(|row| row.2).count();
        rows.insert(at, (target.to_owned(), said, true));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A target without the choices that are left to who writes it: agents write it anew.
fn plain(target: &str) -> (String, Vec<(String, String)>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    (path.replace("%2E", "."), pairs.into_owned().collect())
}

async fn answer(
    State(host): State<Host>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = uri.to_string();
    let body = String::from_utf8_lossy(&body).into_owned();
    host.seen.lock().unwrap().push(Seen {
        target: target.clone(),
        headers,
        body,
    });
    let mut rows = host.rows.lock().unwrap();
    let wanted = plain(&target);
    let found = rows.iter().position(|(known, ..)| plain(known) == wanted);
    let said = match found {
        Some(at) if rows[at].2 => rows.remove(at).1,
        Some(at) => rows[at].1.clone(),
        None => Said::json(&json!({ "message": "Not Found" })).status(404),
    };
    let mut answer = Response::builder().status(StatusCode::from_u16(said.status).unwrap());
    for (name, value) in said.headers {
        answer = answer.header(name, value);
    }
    answer.body(Body::from(said.body)).unwrap()
}

/// An integration with this API, and its token `hunter2`; its id is `host`.
pub(crate) async fn integrate(world: &World, vendor: &str, prefix: &str, api: &str) {
    let text = "mutation($input:VcsIntegrationInput!){vcsIntegrationCreate(input: $input){integration{id}}}";
    let input = json!({ "name": "Host", "vendor": vendor, "urlPrefix": prefix, "apiUrl": api,
        "token": "hunter2" });
    world.admin.ok(text, json!({ "input": input })).await;
}

/// The client of the integration `host`.
pub(crate) async fn client(world: &World) -> Client {
    let mut conn = world.app().store.read().await.unwrap();
    let of = integrations::get(&mut conn, &"host".parse().unwrap()).await;
    drop(conn);
    Client::open(world.app(), &of.unwrap()).await.unwrap()
}
