//! The bridge: HTTP on the loopback address for the system's git, carried by agents.
//!
//! Takes requests that show this process's secret, gives the code host's answers. Never: a request without the secret,
//! one that writes to a repository, or a redirect, which would lead git around the agents.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use gantry_protocol::Secret;
use gantry_protocol::crypto::random_text;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use url::Url;

use super::{Ask, BODY_LIMIT, BRIDGE_HEADER, Gateway, GatewayError, message};
use crate::domain::VcsPoolId;
use crate::error::chain;

/// How long one request of git may take; git itself is ended earlier by who started it.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The way in.
#[derive(Debug)]
pub(super) struct Bridge {
    address: SocketAddr,
    secret: Secret,
}

impl Bridge {
    /// Binds a free port of the loopback address.
    pub(super) async fn bind() -> io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let bridge = Self {
            address: listener.local_addr()?,
            secret: random_text(),
        };
        Ok((bridge, listener))
    }

    /// A URL below which a pool's code host is, and the header that opens it.
    pub(super) fn door(&self, pool: VcsPoolId, path: &str) -> (Url, (&'static str, Secret)) {
        let url = format!(
            "http://{}/{pool}/{}",
            self.address,
            path.trim_start_matches('/')
        );
        let url = Url::parse(&url).expect("invariant: an address, an id and any path are a URL");
        (url, (BRIDGE_HEADER, self.secret.clone()))
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(BRIDGE_HEADER).map(HeaderValue::as_bytes);
        let wanted = self.secret.expose().as_bytes();
        given.is_some_and(|given| bool::from(given.ct_eq(wanted)))
    }
}

/// Serves until the gateway stops.
pub(super) fn start(gateway: Gateway, listener: TcpListener) {
    let stopping = gateway.shared.stopping.clone();
    let router = Router::new().fallback(cross).with_state(gateway);
    let server = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the bridge to VCS agents ended");
        }
    });
}

async fn cross(State(gateway): State<Gateway>, request: Request) -> Response {
    if !gateway.shared.bridge.opens(request.headers()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match carried(&gateway, request).await {
        Ok(response) => response,
        Err((status, text)) => (status, format!("{text}\n")).into_response(),
    }
}

type Refusal = (StatusCode, String);

async fn carried(gateway: &Gateway, request: Request) -> Result<Response, Refusal> {
    let (head, sent) = request.into_parts();
    let (pool, target) = addressed(&head.uri)
        .ok_or_else(|| (StatusCode::NOT_FOUND, "no such VCS agent pool".to_owned()))?;
    let purpose = purpose(&head.method, &target)
        .ok_or_else(|| (StatusCode::FORBIDDEN, "git may only read here".to_owned()))?;
    let sent = body::to_bytes(sent, BODY_LIMIT).await.map_err(|_| {
        let text = "git's request is larger than what VCS agents take".to_owned();
        (StatusCode::PAYLOAD_TOO_LARGE, text)
    })?;
    let mut headers = head.headers;
    headers.remove(BRIDGE_HEADER);
    let ask = Ask {
        purpose,
        method: head.method,
        target,
        headers,
        body: sent,
        limit: LIMIT,
    };
    let answer = gateway.send(&pool, ask).await.map_err(refusal)?;
    if answer.status.is_redirection() {
        let text = "the code host answered git with a redirect, which is not followed";
        return Err((StatusCode::BAD_GATEWAY, text.to_owned()));
    }
    let received = answer.body.map(|part| part.map_err(io::Error::other));
    let mut response = Response::new(Body::from_stream(received));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// The pool, and what is asked of it.
fn addressed(uri: &Uri) -> Option<(VcsPoolId, String)> {
    let whole = uri.path_and_query()?.as_str();
    let (pool, rest) = whole.strip_prefix('/')?.split_once('/')?;
    Some((pool.parse().ok()?, format!("/{rest}")))
}

/// What git wants; nothing for what it must not do.
fn purpose(method: &Method, target: &str) -> Option<&'static str> {
    let path = message::path_of(target);
    if target.contains("git-receive-pack") {
        return None;
    }
    match *method {
        Method::GET if path.ends_with("/info/refs") => Some("git: refs"),
        Method::GET => Some("git: file"),
        Method::POST if path.ends_with("/git-upload-pack") => Some("git: fetch"),
        _ => None,
    }
}

fn refusal(error: GatewayError) -> Refusal {
    let status = match error {
        GatewayError::NoPool { .. } => StatusCode::NOT_FOUND,
        GatewayError::Refused { .. } => StatusCode::FORBIDDEN,
        GatewayError::Late { .. } => StatusCode::GATEWAY_TIMEOUT,
        GatewayError::NoAgent { .. } | GatewayError::Full { .. } | GatewayError::Stopping => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_GATEWAY,
    };
    if error.is_for_people() {
        return (status, chain(&error));
    }
    tracing::error!(error = chain(&error), "a request of git failed");
    (status, "the server failed: see its log".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_reads_and_never_writes() {
        let pool = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";
        for (method, target, expected) in [
            (
                Method::GET,
                "/a.git/info/refs?service=git-upload-pack",
                Some("git: refs"),
            ),
            (Method::POST, "/a.git/git-upload-pack", Some("git: fetch")),
            (Method::GET, "/a.git/HEAD", Some("git: file")),
            (
                Method::GET,
                "/a.git/info/refs?service=git-receive-pack",
                None,
            ),
            (Method::POST, "/a.git/git-receive-pack", None),
            (Method::POST, "/api", None),
            (Method::PUT, "/a.git/HEAD", None),
        ] {
            assert_eq!(purpose(&method, target), expected, "{method} {target}");
            let uri: Uri = format!("http://127.0.0.1:1/{pool}{target}")
                .parse()
                .unwrap();
            let (found, rest) = addressed(&uri).unwrap();
            assert_eq!((found.to_string().as_str(), rest.as_str()), (pool, target));
        }
        assert!(addressed(&"http://h/nothing/a".parse().unwrap()).is_none());
        assert!(addressed(&"http://h/".parse().unwrap()).is_none());
    }
}
