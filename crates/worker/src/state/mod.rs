//! Terraform's `http` backend on loopback, in front of the launcher.
//!
//! Takes the tool's state requests, gives the launcher's answers. Must never happen here: an answer that
//! the launcher did not give, a request without the run's own credentials, a request that is dropped
//! because the launcher is away (it is held open instead).

pub mod backend;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use gantry_protocol::Secret;
use gantry_protocol::socket::{MAX_BODY, StateOp};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::rand::{GetRandomFlags, getrandom};
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};

use crate::env::Environment;
use crate::link::{Link, StateAnswer};

/// Port that is taken when it is free, so that it looks the same in every run.
const PORT: u16 = 1983;

/// Path of the state.
const PATH: &str = "/state";

/// User name of the tool; the password alone is the secret.
const USER: &str = "gantry";

/// Why there is no state listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// No port.
    #[error("could not listen on the container's loopback address for the tool's state")]
    Listen(#[source] std::io::Error),
    /// No randomness.
    #[error("could not draw the credentials of the state listener")]
    Random(#[source] std::io::Error),
}

/// A running listener's address and credentials.
pub struct Listener {
    address: SocketAddr,
    password: Secret,
}

impl Listener {
    /// Starts listening; requests go to `link` until the runtime ends.
    ///
    /// # Errors
    /// [`ListenerError`] when there is no port or no randomness.
    pub async fn start(link: Link) -> Result<Self, ListenerError> {
        let mut random = [0; 32];
        let drawn = getrandom(&mut random, GetRandomFlags::empty());
        drawn.map_err(|errno| ListenerError::Random(errno.into()))?;
        let password = Secret::new(URL_SAFE_NO_PAD.encode(random));
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
            Ok(listener) => listener,
            Err(_) => {
                let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                bound.map_err(ListenerError::Listen)?
            }
        };
        let address = listener.local_addr().map_err(ListenerError::Listen)?;
        let expected = Secret::new(format!(
            "Basic {}",
            STANDARD.encode(format!("{USER}:{}", password.expose()))
        ));
        tokio::spawn(accept_all(listener, Arc::new(Door { link, expected })));
        Ok(Self { address, password })
    }

    /// Points the tool's `http` backend at the listener.
    pub fn configure(&self, env: &mut Environment) {
        let address = format!("http://{}{PATH}", self.address);
        for name in [
            "TF_HTTP_ADDRESS",
            "TF_HTTP_LOCK_ADDRESS",
            "TF_HTTP_UNLOCK_ADDRESS",
        ] {
            env.set(name, &address);
        }
        env.set("TF_HTTP_USERNAME", USER);
        env.set("TF_HTTP_PASSWORD", self.password.expose());
    }
}

/// What every request needs: who may enter and where it goes.
struct Door {
    link: Link,
    /// The whole expected `Authorization` header.
    expected: Secret,
}

async fn accept_all(listener: TcpListener, door: Arc<Door>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&door)))),
            // Out of descriptors, or a client that left at once: others may still come.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, door: Arc<Door>) {
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that breaks its connection has nobody left to tell.
    let _ = connection
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.admits(&request) {
            let mut response = plain(StatusCode::UNAUTHORIZED);
            let challenge = hyper::header::HeaderValue::from_static("Basic");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return response;
        }
        if request.uri().path() != PATH {
            return plain(StatusCode::NOT_FOUND);
        }
        let op = match operation(request.method().as_str(), request.uri().query()) {
            Some(op) => op,
            None => return plain(StatusCode::METHOD_NOT_ALLOWED),
        };
        match read(request.into_body(), MAX_BODY).await {
            Ok(body) => response(self.link.state(op, body).await),
            Err(status) => plain(status),
        }
    }

    fn admits<B>(&self, request: &Request<B>) -> bool {
        let given = request.headers().get(AUTHORIZATION);
        let given = given.map_or(&[][..], hyper::header::HeaderValue::as_bytes);
        given.ct_eq(self.expected.expose().as_bytes()).into()
    }
}

/// What a request asks for; `None` for what the backend has no use for.
fn operation(method: &str, query: Option<&str>) -> Option<StateOp> {
    match method {
        "GET" => Some(StateOp::Read),
        "POST" => Some(StateOp::Write {
            lock_id: lock_id(query.unwrap_or_default()),
        }),
        "LOCK" => Some(StateOp::Lock),
        "UNLOCK" => Some(StateOp::Unlock),
        _ => None,
    }
}

/// The `ID` of a query. Lock ids are UUIDs; anything that would need decoding is not one of ours.
fn lock_id(query: &str) -> Option<String> {
    let plain = |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, id)| *name == "ID" && plain(id))
        .map(|(_, id)| id.to_owned())
}

async fn read<B>(body: B, limit: usize) -> Result<Vec<u8>, StatusCode>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

fn response(answer: StateAnswer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    response(StateAnswer {
        status: status.as_u16(),
        body: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_operations() {
        let write = |id: Option<&str>| {
            Some(StateOp::Write {
                lock_id: id.map(str::to_owned),
            })
        };
        let table = [
            ("GET", None, Some(StateOp::Read)),
            (
                "POST",
                Some("ID=50a50712-1728"),
                write(Some("50a50712-1728")),
            ),
            ("POST", Some("a=b&ID=x"), write(Some("x"))),
            ("POST", Some("ID=%2e%2e"), write(None)),
            ("POST", None, write(None)),
            ("LOCK", None, Some(StateOp::Lock)),
            ("UNLOCK", Some("ID=x"), Some(StateOp::Unlock)),
            ("DELETE", None, None),
            ("get", None, None),
        ];
        for (method, query, expected) in table {
            assert_eq!(operation(method, query), expected, "{method} {query:?}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let body = |len| Full::new(Bytes::from(vec![0; len]));
        assert_eq!(read(body(10), 10).await, Ok(vec![0; 10]));
        assert_eq!(read(body(11), 10).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn only_the_whole_header_opens_the_door() {
        let bell = Arc::default();
        let (link, _heard) = Link::start("/nowhere/launcher.sock".into(), bell);
        let door = Door {
            link,
            expected: Secret::new("Basic Z2FudHJ5OnB3"),
        };
        let request = |header: Option<&str>| {
            let mut builder = Request::builder().uri("/state");
            if let Some(header) = header {
                builder = builder.header(AUTHORIZATION, header);
            }
            builder.body(()).unwrap()
        };
        assert!(door.admits(&request(Some("Basic Z2FudHJ5OnB3"))));
        for bad in [
            None,
            Some(""),
            Some("Basic Z2FudHJ5OnB"),
            Some("Basic Z2FudHJ5OnB4"),
        ] {
            assert!(!door.admits(&request(bad)), "{bad:?}");
        }
    }
}
