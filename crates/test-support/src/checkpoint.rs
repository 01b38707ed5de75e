//! An HTTP proxy on loopback that can hold chosen requests, and answer 500.
//!
//! Takes an address to pass requests to, gives one that clients dial. Never: a request passed on while it is held,
//! one that is held for longer than its client waits.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use reqwest::Client;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::wait::wait_for;

/// Longest body of a request that is passed on.
const MAX_BODY: usize = 256 << 20;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Requests of this method (any, when empty) whose path contains this text, before they are passed on.
    Request(&'static str, &'static str),
    /// Answers to requests whose path contains the first text, when they contain the second.
    Answer(&'static str, &'static str),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mode {
    hold: Option<Hold>,
    /// So many that fit are let through first.
    passes: usize,
    failing: bool,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    target: Mutex<Option<SocketAddr>>,
    mode: watch::Sender<Mode>,
    held: watch::Sender<u64>,
}

/// The proxy.
#[derive(Debug)]
pub struct Checkpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Checkpoint {
    /// Listens; everything passes to `target`.
    pub fn before(target: SocketAddr) -> Self {
        // The client wants a TLS provider even where it speaks plain HTTP on loopback.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        let shared = Arc::new(Shared {
            client: client.expect("an HTTP client"),
            target: Mutex::new(Some(target)),
            mode: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        let address = listener.local_addr().expect("the proxy's address");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let app = axum::Router::new()
            .fallback(pass)
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener);
            let served = axum::serve(listener.expect("a listener of this runtime"), app);
            served.await.expect("invariant: serving has no end");
        });
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    /// What clients dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds from here on what fits, until [`Checkpoint::release`].
    pub fn hold(&self, what: Hold) {
        self.hold_after(0, what);
    }

    /// Lets so many pass and holds what fits after them, until [`Checkpoint::release`].
    pub fn hold_after(&self, passes: usize, what: Hold) {
        self.shared.mode.send_modify(|mode| {
            mode.hold = Some(what);
            mode.passes = passes;
        });
    }

    /// Waits until something is held.
    ///
    /// # Panics
    /// When nothing is, within the time.
    pub fn wait_held(&self, within: Duration) {
        wait_for("a request to be held", within, || {
            if *self.shared.held.borrow() > 0 {
                Ok(())
            } else {
                Err(format!("{:?}", *self.shared.mode.borrow()))
            }
        });
    }

    /// Lets go what is held, and holds nothing more.
    pub fn release(&self) {
        self.shared.mode.send_modify(|mode| mode.hold = None);
    }

    /// Answers every request 500 from here on (what is held too), or no longer.
    pub fn fail(&self, failing: bool) {
        self.shared.mode.send_modify(|mode| mode.failing = failing);
    }
}

impl Hold {
    fn takes(self, method: &str, path: &str) -> bool {
        matches!(self, Self::Request(verb, part) if (verb.is_empty() || verb == method) && path.contains(part))
    }

    fn reads(self, path: &str) -> bool {
        matches!(self, Self::Answer(part, _) if path.contains(part))
    }

    fn keeps(self, path: &str, body: &[u8]) -> bool {
        let Self::Answer(part, text) = self else {
            return false;
        };
        path.contains(part)
            && body
                .windows(text.len())
                .any(|found| found == text.as_bytes())
    }
}

/// Waits as long as `held` says so; whether everything fails instead.
async fn wait(shared: &Shared, held: impl Fn(Hold) -> bool) -> bool {
    let mut modes = shared.mode.subscribe();
    let mut counted = false;
    loop {
        let mode = *modes.borrow_and_update();
        if mode.failing {
            return true;
        }
        if !mode.hold.is_some_and(&held) {
            return false;
        }
        if !counted && takes_pass(shared) {
            return false;
        }
        if !std::mem::replace(&mut counted, true) {
            shared.held.send_modify(|held| *held += 1);
        }
        if modes.changed().await.is_err() {
            return true;
        }
    }
}

fn takes_pass(shared: &Shared) -> bool {
    let mut taken = false;
    shared.mode.send_if_modified(|mode| {
        taken = mode.passes > 0;
        mode.passes = mode.passes.saturating_sub(1);
        // Nobody waits for this.
        false
    });
    taken
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let failed = || (StatusCode::INTERNAL_SERVER_ERROR, "something broke").into_response();
    let broken = |why: String| (StatusCode::BAD_GATEWAY, why).into_response();
    if wait(&shared, |hold| hold.takes(&method, &path)).await {
        return failed();
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return broken("the request broke".to_owned());
    };
    let mut answer = match ask(&shared, &head, body).await {
        Ok(answer) => answer,
        Err(error) => return broken(error.to_string()),
    };
    let reads = |mode: &Mode| mode.hold.is_some_and(|hold| hold.reads(&path));
    if !reads(&shared.mode.borrow().clone()) {
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        return respond(status, headers, Body::from_stream(answer.bytes_stream()));
    }
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    let body = match answer.bytes().await {
        Ok(body) => body,
        Err(error) => return broken(error.to_string()),
    };
    if wait(&shared, |hold| hold.keeps(&path, &body)).await {
        return failed();
    }
    respond(status, headers, Body::from(body))
}

async fn ask(
    shared: &Shared,
    head: &axum::http::request::Parts,
    body: Bytes,
) -> reqwest::Result<reqwest::Response> {
    let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
    let target = target.expect("invariant: a target is there from the start");
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers.clone();
    // The next connection has its own.
    for name in ["host", "connection", "transfer-encoding", "content-length"] {
        headers.remove(name);
    }
    let request = shared
        .client
        .request(head.method.clone(), format!("http://{target}{path}"));
    request.headers(headers).body(body).send().await
}

fn respond(status: StatusCode, headers: axum::http::HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in &headers {
        if !["connection", "transfer-encoding"].contains(&name.as_str()) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
