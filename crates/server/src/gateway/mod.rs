//! The VCS gateway: requests to code hosts that only an agent can reach.
//!
//! Takes a pool and a request, gives the code host's answer, carried by one of the agents that dialled in. Never: a
//! request answered twice, one that may have changed something sent again, or an answer of one request given to another.

mod bridge;
mod error;
mod job;
mod log;
mod message;
mod registry;
mod service;
mod session;
mod settings;
mod stream;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use gantry_protocol::Secret;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use error::GatewayError;
pub use job::Body;
pub use registry::{Agent, Busy};
pub use service::{Peer, serve};
pub use settings::Settings;

use crate::domain::VcsPoolId;
use crate::store::{Store, vcs_pools};
use bridge::Bridge;
use job::Job;
use log::AccessLog;
use registry::{Registry, Withdrawn};

/// The header that opens the bridge.
pub const BRIDGE_HEADER: &str = "gantry-vcs-bridge";

/// The largest body of a request; the agents that exist take messages of 4 MiB, and headers need room too.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024 - 128 * 1024;

/// How often a request that waits is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A request for a code host.
#[derive(Clone)]
pub struct Ask {
    /// What it is for, as the access log shows it.
    pub purpose: &'static str,
    /// Its method.
    pub method: Method,
    /// Path and query below the base URL that the agents have; begins with a slash.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, at most [`BODY_LIMIT`] bytes.
    pub body: Bytes,
    /// How long it may take, from now until the last byte of the answer.
    pub limit: Duration,
}

impl fmt::Debug for Ask {
    /// Headers and body may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = message::path_of(&self.target);
        write!(f, "Ask({}: {} {path})", self.purpose, self.method)
    }
}

/// What the code host said.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those that concern one connection only.
    pub headers: HeaderMap,
    /// Its body as it comes in. Dropping it takes the request back.
    pub body: Body,
}

/// The one door to agents.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    registry: Registry,
    log: AccessLog,
    bridge: Bridge,
    settings: Settings,
    stopping: CancellationToken,
}

impl Gateway {
    /// Starts what belongs to it but the listener for agents: see [`serve`].
    ///
    /// # Errors
    /// If nothing can listen on the loopback address.
    pub async fn open(
        store: Arc<Store>,
        settings: Settings,
        stopping: CancellationToken,
    ) -> io::Result<Self> {
        let (bridge, listener) = Bridge::bind().await?;
        let log = AccessLog::start(Arc::clone(&store));
        let registry = Registry::new(settings.waiting);
        let gateway = Self {
            shared: Arc::new(Shared {
                store,
                registry,
                log,
                bridge,
                settings,
                stopping,
            }),
        };
        bridge::start(gateway.clone(), listener);
        Ok(gateway)
    }

    /// Sends a request through an agent of a pool and waits for the head of its answer.
    ///
    /// # Errors
    /// See [`GatewayError`]; a status of the code host is no error.
    pub async fn send(&self, pool: &VcsPoolId, ask: Ask) -> Result<Answer, GatewayError> {
        let shared = &self.shared;
        let name = shared.pool_name(*pool).await?;
        let (reply, answer) = oneshot::channel();
        let id = shared.store.new_id().to_string();
        let entry = shared.log.begin(*pool, id.clone(), &ask);
        let job = Job::new(id.clone(), name, ask, reply, entry)?;
        let deadline = job.deadline;
        shared.registry.submit(*pool, job)?;
        self.wait(*pool, &id, deadline, answer).await
    }

    /// A URL on this host that the system's git can use to reach `path` below the base URL of a pool's agents, and the
    /// header that opens it.
    pub fn bridge(&self, pool: &VcsPoolId, path: &str) -> (Url, (&'static str, Secret)) {
        self.shared.bridge.door(*pool, path)
    }

    /// The agents of a pool that are connected now, oldest first.
    pub fn agents(&self, pool: &VcsPoolId) -> Vec<Agent> {
        self.shared.registry.agents(*pool)
    }

    /// Requests of a pool that wait for an agent.
    pub fn waiting(&self, pool: &VcsPoolId) -> usize {
        self.shared.registry.waiting(*pool)
    }

    /// Looks at the keys of a pool's agents again: those whose key is over are let go.
    pub fn recheck(&self, pool: &VcsPoolId) {
        self.shared.registry.recheck(*pool);
    }

    /// A connection that was accepted, for [`serve`].
    pub fn peer<Io>(&self, io: Io, address: SocketAddr) -> Peer<Io> {
        Peer::new(io, address, self.shared.settings.prove_within)
    }

    /// `host:port` for the tokens of pools; nothing if no agent can connect.
    pub fn address(&self) -> Option<&str> {
        self.shared.settings.address.as_deref()
    }

    /// Waits until everything that was logged is stored; for the end of the process.
    pub async fn closed(&self) {
        self.shared.log.close().await;
    }

    async fn wait(
        &self,
        pool: VcsPoolId,
        id: &str,
        deadline: Instant,
        mut answer: oneshot::Receiver<Result<Answer, GatewayError>>,
    ) -> Result<Answer, GatewayError> {
        let shared = &self.shared;
        let grace = shared.settings.grace;
        let mut look = (Instant::now() + grace).min(deadline);
        let mut stopping = false;
        loop {
            let why = tokio::select! {
                given = &mut answer => return given.unwrap_or(Err(GatewayError::Stopping)),
                () = shared.stopping.cancelled(), if !stopping => {
                    stopping = true;
                    Withdrawn::Stopping
                }
                () = tokio::time::sleep_until(look) => match () {
                    () if Instant::now() >= deadline => Withdrawn::Late,
                    () if stopping => Withdrawn::Stopping,
                    () => Withdrawn::Alone,
                },
            };
            if let Some(error) = shared.registry.withdraw(pool, id, why, grace) {
                return Err(error);
            }
            // A stream has it, which ends it at its deadline; if the stream is lost, it may come back to the queue.
            let next = Instant::now() + LOOK;
            look = if next < deadline || why == Withdrawn::Late {
                next
            } else {
                deadline
            };
        }
    }
}

impl Shared {
    async fn pool_name(&self, id: VcsPoolId) -> Result<Arc<str>, GatewayError> {
        let found = vcs_pools::find(&mut *self.store.read().await?, id).await?;
        let pool = found.ok_or_else(|| GatewayError::NoPool { id: id.to_string() })?;
        Ok(pool.name.as_str().into())
    }
}
