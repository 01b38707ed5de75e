//! What the agent shows of itself to who watches hosts: `/healthz`, `/readyz`, `/metrics`.
//!
//! Takes the tally, gives text. Never: anything of a request but how many there were.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;

use crate::audit::Tally;

/// The address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("the health address `{address}` can't be listened on")]
pub struct HealthError {
    address: SocketAddr,
    source: io::Error,
}

/// Serves as long as it lives.
#[derive(Debug)]
pub struct Health {
    address: SocketAddr,
    _task: JoinSet<io::Result<()>>,
}

impl Health {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Begins to serve.
///
/// # Errors
/// The address can't be listened on.
pub async fn serve(address: SocketAddr, tally: Arc<Tally>) -> Result<Health, HealthError> {
    let failed = |source| HealthError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    info!(%address, "serving health and metrics");
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(tally);
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await });
    Ok(Health {
        address,
        _task: task,
    })
}

/// Ready is: a gateway has a stream to this agent.
async fn ready(State(tally): State<Arc<Tally>>) -> impl IntoResponse {
    match tally.streams() {
        0 => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no stream to the gateway\n".to_owned(),
        ),
        streams => (StatusCode::OK, format!("{streams} streams\n")),
    }
}

async fn metrics(State(tally): State<Arc<Tally>>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, tally.exposition())
}
