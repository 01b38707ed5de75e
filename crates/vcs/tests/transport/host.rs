//! A Git host that a test plays: it does what the name of the project says, and keeps what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gateway::SOON;

/// Where the project `climbs` leads to.
pub(crate) const CLIMBS: &str = "/api/v4/projects/1/../../../../admin";

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Default)]
pub(crate) struct Shared {
    seen: Mutex<Vec<Seen>>,
    /// Lets the answers to `held` go on.
    pub(crate) go: Notify,
    /// An answer to `held` was not waited for.
    pub(crate) abandoned: Notify,
    arrived: Notify,
}

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Host {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::serve(address, listener)
    }

    pub(crate) fn serve<L: Listener<Addr: std::fmt::Debug>>(
        address: SocketAddr,
        listener: L,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            serving,
        }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until a request has arrived.
    pub(crate) async fn arrival(&self) {
        timeout(SOON, self.shared.arrived.notified())
            .await
            .expect("a request in time");
    }
}

/// Drops into the test's notice when nobody waits for the answer any more.
struct Waited(Arc<Shared>, bool);

impl Drop for Waited {
    fn drop(&mut self) {
        if !self.1 {
            self.0.abandoned.notify_one();
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let target = head.uri.path_and_query().unwrap().as_str().to_owned();
    shared.seen.lock().unwrap().push(Seen {
        method: head.method,
        target: target.clone(),
        headers: head.headers,
        body,
    });
    shared.arrived.notify_one();
    let mut waited = Waited(Arc::clone(&shared), false);
    let answer = behave(&shared, &target).await;
    waited.1 = true;
    answer
}

async fn behave(shared: &Arc<Shared>, target: &str) -> Response {
    let does = |what: &str| target.contains(&format!("%2F{what}"));
    if does("held") {
        shared.go.notified().await;
        return "let go".into_response();
    }
    if does("silent-after-head") {
        let silence = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        return Body::from_stream(silence).into_response();
    }
    if does("compressed") {
        let headers = [("content-encoding", "gzip")];
        return (headers, "only the host knows").into_response();
    }
    if does("climbs") {
        let headers = [("location", CLIMBS)];
        return (StatusCode::FOUND, headers, "moved").into_response();
    }
    if does("broken") {
        let pieces = [
            Ok(Bytes::from(vec![7; 1 << 20])),
            Err(std::io::Error::other("broken")),
        ];
        return Body::from_stream(futures_util::stream::iter(pieces)).into_response();
    }
    if let Some((_, kilobytes)) = target.split_once("%2Fbytes-") {
        let digits: String = kilobytes.chars().take_while(char::is_ascii_digit).collect();
        let piece = Bytes::from(vec![7; 1024]);
        let count = digits.parse().unwrap();
        let pieces = std::iter::repeat_n(piece, count).map(Ok::<_, std::io::Error>);
        return Body::from_stream(futures_util::stream::iter(pieces)).into_response();
    }
    if let Some((_, to)) = target.split_once("?to=") {
        let to = percent_encoding::percent_decode_str(to)
            .decode_utf8_lossy()
            .into_owned();
        let headers = [("location", to)];
        return (StatusCode::FOUND, headers, "moved").into_response();
    }
    plain()
}

fn plain() -> Response {
    let mut answer = (StatusCode::CREATED, "hello").into_response();
    let pairs = [
        ("link", "<a>"),
        ("link", "<b>"),
        ("set-cookie", "session=hunter2"),
        ("keep-alive", "timeout=5"),
        ("x-request-id", "abc"),
    ];
    for (name, value) in pairs {
        answer
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    answer
}

/// Waits for a notice.
pub(crate) async fn noticed(notify: &Notify) {
    timeout(SOON, notify.notified())
        .await
        .expect("a notice in time");
}

/// For things that must not happen.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);
