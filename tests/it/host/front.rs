//! A small HTTP server for the other side of a wire: a metadata service, an AWS service, a token service, a
//! gate before a registry.
//!
//! Takes an address and a router, gives a server on a thread of its own that ends on drop. Never: a stand-in
//! for a client of ours.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

/// A running server.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Front {
    /// Serves `router` on a free loopback port.
    pub(crate) fn start(router: Router) -> Self {
        Self::on("127.0.0.1:0", router)
    }

    pub(crate) fn on(address: &str, router: Router) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("a free address");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("served"),
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            end: Some(end),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a server failed");
        }
    }
}

/// Passes a request on to the registry at `host`, without its login.
pub(crate) async fn pass_on(
    client: &reqwest::Client,
    host: &str,
    method: Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = client
        .request(method, format!("http://{host}{path}"))
        .body(body);
    for name in [header::ACCEPT, header::CONTENT_TYPE, header::RANGE] {
        for value in headers.get_all(&name) {
            request = request.header(&name, value);
        }
    }
    let answer = request.send().await.expect("the registry answers");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let length = headers.get(header::CONTENT_LENGTH).cloned();
    let bytes = answer.bytes().await.expect("a body");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    for (name, value) in &headers {
        if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response.headers_mut().insert(name, value.clone());
        }
    }
    // The answer to a HEAD has the length of what it does not carry.
    if let Some(length) = length {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
    }
    response
}

/// 401 with a challenge.
pub(crate) fn challenge(text: &str) -> Response {
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    let headers = [
        (header::WWW_AUTHENTICATE, text.to_owned()),
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (
            header::HeaderName::from_static("docker-distribution-api-version"),
            "registry/2.0".to_owned(),
        ),
    ];
    (StatusCode::UNAUTHORIZED, headers, body).into_response()
}

/// A client for loopback.
pub(crate) fn client() -> reqwest::Client {
    gantry_net::install_crypto();
    let url = "http://127.0.0.1".parse().expect("a URL");
    let options = gantry_net::ClientOptions::new(
        gantry_net::egress::LauncherPurpose::Server,
        "gantry-tests",
        &gantry_net::Outside::default(),
    );
    let builder = gantry_net::client_builder(&url, &options).expect("loopback");
    builder.build().expect("a client")
}
