//! What the launcher shows of itself to who watches hosts: `/metrics`, `/healthz`, `/readyz`.
//!
//! Takes a loopback address or a socket's path, and the supervisor's pictures. Gives text and JSON. Never: an
//! answer that other hosts can ask for, anything of a run but how many there are, a request that the work
//! waits for.

mod look;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tracing::info;

use crate::config::Listen;
use crate::job::Host;
use crate::metrics::CONTENT_TYPE;
use crate::supervisor::Watched;

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address.
    #[error("GANTRY_HEALTH_LISTEN: `{address}` can't be listened on")]
    Tcp {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The socket.
    #[error("GANTRY_HEALTH_LISTEN: the socket `{}` can't be listened on", path.display())]
    Unix {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Serves as long as it lives.
#[derive(Debug)]
pub struct Health {
    _task: JoinSet<io::Result<()>>,
}

#[derive(Clone)]
struct Shown {
    host: Arc<Host>,
    pulse: Watched,
}

/// Begins to serve.
///
/// # Errors
/// [`HealthError`].
pub async fn serve(
    listen: &Listen,
    host: Arc<Host>,
    pulse: Watched,
) -> Result<Health, HealthError> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(Shown { host, pulse });
    let mut task = JoinSet::new();
    match listen {
        Listen::Tcp(address) => {
            let address = *address;
            let failed = |source| HealthError::Tcp { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            info!(%address, "serving health and metrics");
            task.spawn(async move { axum::serve(listener, router).await });
        }
        Listen::Unix(path) => {
            let bound = bind(path);
            let listener = bound.map_err(|source| HealthError::Unix {
                path: path.clone(),
                source,
            })?;
            info!(path = %path.display(), "serving health and metrics");
            task.spawn(async move { axum::serve(listener, router).await });
        }
    }
    Ok(Health { _task: task })
}

/// A socket for owner and group. One that an earlier process left is replaced; anything else there stays.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                let what = "another process listens on it";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
            }
            fs::remove_file(path)?;
        }
        Ok(_) => {
            let what = "something that is no socket is there";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let pulse = shown.pulse.borrow().clone();
    let now = look::now(&shown.host, &pulse).await;
    let text = shown.host.metrics.text(&now);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

async fn alive(State(shown): State<Shown>) -> Response {
    let age = shown.pulse.borrow().turned.elapsed();
    let (status, text) = look::alive(age);
    (status, text).into_response()
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    runs: usize,
    capacity: u32,
    free_slots: u32,
    /// Empty when it is ready.
    reasons: Vec<Reason>,
}

#[derive(Debug, Serialize)]
struct Reason {
    /// One of a few fixed names.
    reason: &'static str,
    /// For people.
    detail: String,
}

async fn ready(State(shown): State<Shown>) -> Response {
    let readiness = look::readiness(&shown.pulse.borrow());
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_of_an_earlier_process_is_replaced_and_nothing_else() {
        let temp = tempfile::tempdir().expect("temp dir");
        let path = temp.path().join("health.sock");
        let first = bind(&path).expect("bound");
        let mode = fs::metadata(&path).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let taken = bind(&path).expect_err("somebody listens");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let again = bind(&path).expect("the earlier process is gone");
        drop(again);
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "a file").expect("written");
        let refused = bind(&path).expect_err("a file is there");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("still there"), "a file");
    }
}
