//! Credentials → an authenticated [`Session`] with the server, and the requests that go over it.
//!
//! Takes pool credentials and the data directory. Gives typed answers or typed refusals. Never: a request
//! without the current attempt, a retry of something that the server refused for good, an identity taken
//! from anything but the credential.

mod api;
mod enrol;
mod transport;

pub use api::{Asked, StateAnswer};
pub use enrol::{EnrolError, Enrolment, establish};
pub use transport::{CallError, Transport};

use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_protocol::Secret;
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::session as wire;
use gantry_protocol::ids::{LauncherId, PoolId};
use tokio::sync::{Mutex, watch};

use crate::identity::Identity;
use enrol::renew;

/// Longest time in seconds that a server is believed about sessions and leases: a day. What it says beyond would
/// be past the end of the clock, or leave this launcher with a session that it never renews.
const LONGEST: u64 = 24 * 60 * 60;

/// Shortest life of a lease in seconds, however eager the server is.
const SHORTEST_LEASE: u64 = 3;

/// A live session, shared by all that talk to the server.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    identity: Identity,
    pool: PoolId,
    about: wire::About,
    audience: String,
    epoch: u64,
    lease: Duration,
    current: Mutex<Current>,
    /// Says why the session ended for good.
    ended: watch::Sender<Option<ProblemCode>>,
}

#[derive(Debug)]
struct Current {
    token: Secret,
    renew_at: Instant,
}

impl Session {
    /// This launcher.
    pub fn launcher(&self) -> LauncherId {
        self.identity.launcher
    }

    /// Its pool.
    pub fn pool(&self) -> PoolId {
        self.pool
    }

    /// How long an unrenewed lease lives.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Resolves when the server has shut this process out for good: revoked, quarantined or fenced.
    pub async fn ended(&self) -> ProblemCode {
        let mut receiver = self.ended.subscribe();
        loop {
            if let Some(code) = *receiver.borrow_and_update() {
                return code;
            }
            if receiver.changed().await.is_err() {
                return ProblemCode::Unknown;
            }
        }
    }

    /// The bearer token, renewed when half of its life is over.
    async fn token(&self) -> Result<Secret, CallError> {
        let mut current = self.current.lock().await;
        if Instant::now() >= current.renew_at {
            let fresh = renew(self).await?;
            *current = Current {
                token: fresh.token,
                renew_at: half_of(fresh.expires_in),
            };
        }
        Ok(current.token.clone())
    }

    /// The next request asks for a new session first.
    async fn forget_token(&self) {
        self.current.lock().await.renew_at = Instant::now();
    }

    /// Remembers an answer that ends the session for good.
    fn note(&self, error: &CallError) {
        if let Some(code) = error.final_code() {
            self.ended.send_replace(Some(code));
        }
    }
}

fn half_of(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds.min(LONGEST) / 2)
}

/// What [`establish`] needs.
#[derive(Debug)]
pub struct Start<'a> {
    /// Token and key.
    pub credentials: &'a crate::token::PoolCredentials,
    /// Proxies and added CAs.
    pub outside: &'a gantry_net::Outside,
    /// The data directory.
    pub data: &'a crate::identity::DataDir,
    /// What tells this machine from its clones.
    pub machine: gantry_protocol::Digest,
    /// What we say of ourselves.
    pub about: wire::About,
    /// How many accepted runs are not finished.
    pub unfinished: usize,
}

impl Session {
    fn new(
        transport: Transport,
        enrolment: Enrolment,
        pool: PoolId,
        about: wire::About,
        audience: String,
        first: wire::Session,
    ) -> Arc<Self> {
        Arc::new(Self {
            transport,
            identity: enrolment.identity,
            pool,
            about,
            audience,
            epoch: first.epoch,
            lease: Duration::from_secs(first.lease_seconds.clamp(SHORTEST_LEASE, LONGEST)),
            current: Mutex::new(Current {
                token: first.token,
                renew_at: half_of(first.expires_in),
            }),
            ended: watch::Sender::new(None),
        })
    }
}
