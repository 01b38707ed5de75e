//! The listener for VCS agents.
//!
//! Takes a bound socket and maybe TLS files, gives its connections to the gateway. Never: clear text where the settings
//! asked for TLS.

use std::sync::Arc;
use std::time::Duration;

use axum::serve::{Listener, ListenerExt as _};
use futures_util::stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::listen::{TlsError, TlsListener};
use crate::app::App;
use crate::config::TlsFiles;
use crate::error::chain;
use crate::gateway::serve;

/// How long requests that agents have get to end.
const GRACE: Duration = Duration::from_secs(10);

/// Serves agents until the server stops.
pub(super) fn start(
    app: &Arc<App>,
    listener: TcpListener,
    tls: Option<&TlsFiles>,
) -> Result<JoinHandle<()>, TlsError> {
    Ok(match tls {
        Some(files) => spawn(app, TlsListener::new(listener, files, b"h2")?),
        None => spawn(app, listener.tap_io(|io| at_once(io))),
    })
}

/// A small message does not wait for the acknowledgement of the one before.
fn at_once(io: &TcpStream) {
    if let Err(error) = io.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
}

fn spawn<L>(app: &Arc<App>, listener: L) -> JoinHandle<()>
where
    L: Listener<Addr = std::net::SocketAddr>,
{
    let gateway = app.gateway.clone();
    let taking = gateway.clone();
    let connections = stream::unfold((listener, taking), |(mut listener, taking)| async move {
        let (io, address) = listener.accept().await;
        Some((Ok(taking.peer(io, address)), (listener, taking)))
    });
    tokio::spawn(async move {
        if let Err(error) = serve(gateway, connections).await {
            tracing::error!(error = chain(&error), "the VCS gateway ended badly");
        }
    })
}

/// Waits for the last request of the last agent, for a while.
pub(super) async fn end(serving: JoinHandle<()>) {
    let abort = serving.abort_handle();
    match tokio::time::timeout(GRACE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the VCS gateway panicked"),
        Err(_) => {
            tracing::warn!(
                seconds = GRACE.as_secs(),
                "requests through VCS agents did not end in time: cut"
            );
            abort.abort();
        }
    }
}
