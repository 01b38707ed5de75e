//! Enrolment and the first session of a process, in the order that a crash at any point allows.

use std::sync::Arc;

use gantry_protocol::control::session::{
    Claim, EnrolProof, EnrolRequest, Enrolled, Nonce, Session as WireSession, SessionProof,
    SessionRequest, Takeover,
};
use gantry_protocol::crypto::{EdKey, JwsError, jws};
use gantry_protocol::{Digest, PoolId};
use tracing::{info, warn};

use super::{CallError, Session, Start, Transport};
use crate::backoff::Backoff;
use crate::identity::{Epoch, Identity, IdentityError, Stored};
use crate::report::Chain;

/// Server and host clocks that differ by more than this are warned of, in seconds.
const CLOCK_WARNING: u64 = 30;

/// How this process got its identity.
#[derive(Debug)]
pub struct Enrolment {
    /// The identity.
    pub identity: Identity,
    /// A fresh identity: whatever the journal holds is not ours.
    pub fresh: bool,
}

/// Why no session can be had.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The data directory.
    #[error("the launcher's identity can't be read or stored")]
    Identity(#[from] IdentityError),
    /// The server said no for good.
    #[error("this launcher can't join the pool")]
    Refused(#[source] CallError),
    /// The HTTP client.
    #[error("the HTTPS client can't be set up")]
    Client(#[from] gantry_net::ClientError),
    /// What it has not finished is sealed to another key.
    #[error(
        "SPACELIFT_POOL_PRIVATE_KEY: pool {pool} was reset, and {runs} unfinished runs of this host can be opened by the former key only; start with the former token and key once more, drain, and change them then"
    )]
    Unfinished {
        /// The pool.
        pool: PoolId,
        /// How many runs.
        runs: usize,
    },
    /// A proof can't be signed.
    #[error("a proof can't be signed with this host's key")]
    Sign(#[from] JwsError),
}

/// Enrols if need be and opens the process's session; waits for a server that is away.
///
/// # Errors
/// Only what waiting can't mend; see [`EnrolError`].
pub async fn establish(start: Start<'_>) -> Result<(Arc<Session>, bool), EnrolError> {
    let transport = Transport::new(
        &start.credentials.endpoint,
        &start.credentials.url,
        start.outside,
    )?;
    let enrolment = enrolment(&start, &transport).await?;
    let identity = &enrolment.identity;
    let takeover = pending_takeover(&start)?;
    let claim = Claim::Takeover(takeover);
    let audience = &start.credentials.endpoint;
    let first = loop_until(|| open(&transport, identity, audience, claim.clone(), &start)).await?;
    start.data.store_epoch(&Epoch {
        epoch: first.epoch,
        pending: None,
    })?;
    warn_of_clock(first.now);
    let fresh = enrolment.fresh;
    let pool = start.credentials.pool;
    let audience = start.credentials.endpoint.clone();
    Ok((
        Session::new(transport, enrolment, pool, start.about, audience, first),
        fresh,
    ))
}

/// A new session for the process that has one.
pub(super) async fn renew(session: &Session) -> Result<WireSession, CallError> {
    let claim = Claim::Renew {
        epoch: session.epoch,
    };
    let proof = Proving {
        transport: &session.transport,
        identity: &session.identity,
        audience: &session.audience,
    };
    let answer = proof.session(claim, session.about.clone()).await;
    answer.inspect_err(|error| session.note(error))
}

async fn enrolment(start: &Start<'_>, transport: &Transport) -> Result<Enrolment, EnrolError> {
    let machine = start.machine;
    match start.data.identity(start.credentials.pool, machine)? {
        Stored::Enrolled(identity) => {
            return Ok(Enrolment {
                identity: proven(start, transport, *identity).await?,
                fresh: false,
            });
        }
        Stored::None {
            discarded: Some(why),
        } => {
            warn!(%why, "the identity in the data directory is not used; enrolling afresh");
        }
        Stored::None { discarded: None } => {}
    }
    let key = EdKey::generate();
    let enrolled: Enrolled = loop_until(|| enrol(start, transport, &key)).await?;
    let identity = Identity {
        launcher: enrolled.launcher,
        key,
        proved: Some(pool_key(start)),
    };
    start
        .data
        .store_identity(&identity, start.credentials.pool, machine)?;
    info!(launcher = %identity.launcher, pool = %start.credentials.pool, "enrolled");
    Ok(Enrolment {
        identity,
        fresh: true,
    })
}

/// The identity, once the server knows that it has the pool's key of now: after a reset of the pool this host got
/// another one, and the server seals to the key that was proved last.
async fn proven(
    start: &Start<'_>,
    transport: &Transport,
    identity: Identity,
) -> Result<Identity, EnrolError> {
    let (pool, now) = (start.credentials.pool, pool_key(start));
    if identity.proved == Some(now) {
        return Ok(identity);
    }
    if identity.proved.is_some() && start.unfinished > 0 {
        return Err(EnrolError::Unfinished {
            pool,
            runs: start.unfinished,
        });
    }
    let enrolled: Enrolled = loop_until(|| enrol(start, transport, &identity.key)).await?;
    let identity = Identity {
        launcher: enrolled.launcher,
        proved: Some(now),
        ..identity
    };
    start.data.update_identity(&identity, pool, start.machine)?;
    info!(launcher = %identity.launcher, %pool, "proved the pool's key");
    Ok(identity)
}

fn pool_key(start: &Start<'_>) -> Digest {
    Digest::of(&start.credentials.key.public().to_spki_der())
}

async fn enrol(
    start: &Start<'_>,
    transport: &Transport,
    key: &EdKey,
) -> Result<Enrolled, CallError> {
    let nonce: Nonce = transport.post("/v1/nonce", &()).await?;
    let proof = EnrolProof {
        nonce: nonce.nonce,
        audience: start.credentials.endpoint.clone(),
        pool: start.credentials.pool,
        launcher_key: key.public(),
        machine: start.machine,
    };
    let proof = jws::sign_pool(&proof, &start.credentials.key)
        .expect("invariant: a checked RSA key signs a plain document");
    let request = EnrolRequest {
        proof,
        about: start.about.clone(),
    };
    transport.post("/v1/enrol", &request).await
}

/// The takeover to ask for; written down before it is asked, so that a crash in between repeats it.
fn pending_takeover(start: &Start<'_>) -> Result<Takeover, IdentityError> {
    let mut epoch = start.data.epoch()?;
    let process = epoch
        .pending
        .get_or_insert_with(|| ulid::Ulid::generate().to_string())
        .clone();
    start.data.store_epoch(&epoch)?;
    Ok(Takeover {
        previous_epoch: epoch.epoch,
        process,
    })
}

async fn open(
    transport: &Transport,
    identity: &Identity,
    audience: &str,
    claim: Claim,
    start: &Start<'_>,
) -> Result<WireSession, CallError> {
    Proving {
        transport,
        identity,
        audience,
    }
    .session(claim, start.about.clone())
    .await
}

struct Proving<'a> {
    transport: &'a Transport,
    identity: &'a Identity,
    audience: &'a str,
}

impl Proving<'_> {
    async fn session(
        &self,
        claim: Claim,
        about: gantry_protocol::control::session::About,
    ) -> Result<WireSession, CallError> {
        let nonce: Nonce = self.transport.post("/v1/nonce", &()).await?;
        let proof = SessionProof {
            nonce: nonce.nonce,
            audience: self.audience.to_owned(),
            launcher: self.identity.launcher,
            claim,
        };
        let proof = jws::sign_ed(&proof, &self.identity.key)
            .expect("invariant: an Ed25519 key signs a plain document");
        self.transport
            .post("/v1/session", &SessionRequest { proof, about })
            .await
    }
}

/// Repeats `ask` while the server is away, telling why at most once per wait.
async fn loop_until<T, F>(mut ask: impl FnMut() -> F) -> Result<T, EnrolError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_passing() => {
                let wait = backoff.wait();
                warn!(error = %Chain(&error), wait_ms = wait.as_millis() as u64, "no session yet; trying again");
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(EnrolError::Refused(error)),
        }
    }
}

fn warn_of_clock(server_now: i64) {
    let here = time::OffsetDateTime::now_utc().unix_timestamp();
    let apart = here.saturating_sub(server_now);
    if apart.unsigned_abs() > CLOCK_WARNING {
        warn!(
            seconds = apart,
            "the clocks of this host and the server differ; run envelopes may be refused"
        );
    }
}
