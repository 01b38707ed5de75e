//! The server's end of the control channel: what launchers ask, and what they are told.
//!
//! Takes HTTP requests as `gantry_protocol::control` writes them down, gives answers that are durable before
//! they are given. Identity comes from the session token alone. Never: an answer to a launcher that was
//! revoked, quarantined or fenced since its token was made, or to a run that is not its own.

mod control;
mod enrol;
pub mod epochs;
mod inbox;
mod leases;
mod limits;
mod nonce;
mod problem;
mod proof;
mod runs;
mod session;
mod upkeep;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::version::{CONTROL, CONTROL_HEADER};

pub use control::{Control, DEFAULT_ACCOUNT, Settings};
pub use problem::Refusal;
pub use session::Speaker;
pub use upkeep::UpkeepError;

/// The address of a client, as the listener saw it, in clear text or behind TLS.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddr(pub SocketAddr);

/// Largest JSON message in bytes; pieces of logs, states and sealed objects have limits of their own.
const MAX_MESSAGE: usize = 1 << 20;

/// The routes below `/v1`.
pub fn router(control: Arc<Control>) -> Router {
    let routes = Router::new()
        .route("/nonce", post(enrol::nonce))
        .route("/enrol", post(enrol::enrol))
        .route("/session", post(session::session))
        .route("/inbox", post(inbox::poll))
        .route("/leases", post(leases::renew))
        .route("/worker/{arch}", get(worker::manifest))
        .route("/worker/{arch}/{digest}", get(worker::executable))
        .merge(runs::router())
        .fallback(unknown_path)
        .layer(DefaultBodyLimit::max(MAX_MESSAGE))
        .layer(middleware::from_fn(check_version))
        .with_state(control);
    Router::new().nest("/v1", routes)
}

async fn unknown_path(request: Request) -> Refusal {
    Refusal::not_found(format!("the path `{}`", request.uri().path()))
}

async fn check_version(request: Request, next: Next) -> Response {
    let header = request
        .headers()
        .get(CONTROL_HEADER)
        .and_then(|value| value.to_str().ok());
    let Some(found) = header else {
        let text = format!(
            "this is Gantry's control channel: requests name their protocol version in the header `{CONTROL_HEADER}`"
        );
        return Refusal::new(ProblemCode::Version, text).into_response();
    };
    if found.parse() == Ok(CONTROL) {
        return next.run(request).await;
    }
    let found: String = found.chars().take(16).collect();
    let text = format!(
        "protocol version {found} is not spoken here; this server speaks version {CONTROL}"
    );
    Refusal::new(ProblemCode::Version, text).into_response()
}
