//! The streams to the gateway: N slots, each with a connection of its own and one request at a time.
//!
//! Takes the pool's token and what serves requests, gives streams that come back after every failure. Never: a request
//! taken while draining that could not be answered any more, all slots dialling in the same moment, a token that was
//! never good tried for ever.

mod dial;
mod live;
mod open;
mod reply;
mod serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Instant;

use gantry_vcs_wire::PoolToken;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::audit::{Audit, Tally};
use crate::backoff::Backoff;
use crate::forward::Forwarder;
use crate::rules::Rules;

pub use dial::{DialError, Dialler};

/// Everything that the slots of one process share.
pub struct Agent {
    /// Who it is for the gateway.
    pub token: PoolToken,
    /// How the gateway is reached.
    pub dialler: Dialler,
    /// Number of slots.
    pub parallelism: usize,
    /// The tags, as a JSON object.
    pub tags: String,
    /// One name for all streams of this process.
    pub process: String,
    /// What may pass.
    pub rules: Arc<Rules>,
    /// Who asks the host.
    pub forwarder: Forwarder,
    /// Where requests are written down.
    pub audit: Audit,
    /// What is counted.
    pub tally: Arc<Tally>,
    /// Largest body for a gateway that takes no parts, in bytes.
    pub whole_limit: usize,
    /// What is known of the gateway.
    pub gateway: Gateway,
}

/// What is known of the gateway.
#[derive(Debug, Default)]
pub struct Gateway {
    kind: AtomicU8,
    let_in: AtomicBool,
}

/// Which gateway it is: the published one closes connections that send HTTP/2 pings every few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing is known yet.
    Unknown,
    /// It named additions of ours.
    Ours,
    /// It named none.
    Published,
}

/// The gateway never let this agent in.
#[derive(Debug, thiserror::Error)]
#[error("the gateway doesn't let this agent into the pool `{pool}`: {message}")]
pub struct NotLetIn {
    pool: String,
    message: String,
}

/// Why a stream ended.
#[derive(Debug)]
enum Ended {
    /// We stop, and nothing is left to do.
    Drained,
    /// The gateway ended it in order.
    ByGateway,
    /// It has to be opened again, in another way and at once.
    Again,
    /// The gateway doesn't know the token.
    NotLetIn(String),
    /// Anything else.
    Failed(String),
}

impl Gateway {
    fn kind(&self) -> Kind {
        match self.kind.load(Relaxed) {
            1 => Kind::Ours,
            2 => Kind::Published,
            _ => Kind::Unknown,
        }
    }

    fn is(&self, kind: Kind) {
        let number = match kind {
            Kind::Unknown => 0,
            Kind::Ours => 1,
            Kind::Published => 2,
        };
        self.kind.store(number, Relaxed);
    }
}

/// Keeps all slots going until `drain`, then ends each after what it has been asked.
///
/// # Errors
/// The gateway refused the token before it ever let a stream in.
pub async fn run(agent: Arc<Agent>, drain: CancellationToken) -> Result<(), NotLetIn> {
    let mut slots = JoinSet::new();
    for slot in 1..=agent.parallelism {
        let (agent, drain) = (Arc::clone(&agent), drain.clone());
        slots.spawn(async move { keep(&agent, slot, &drain).await });
    }
    while let Some(ended) = slots.join_next().await {
        match ended {
            Ok(ended) => ended?,
            Err(error) => warn!(%error, "a slot ended by a defect"),
        }
    }
    Ok(())
}

/// One slot: a stream, and after it the next one.
async fn keep(agent: &Arc<Agent>, slot: usize, drain: &CancellationToken) -> Result<(), NotLetIn> {
    let mut backoff = Backoff::default();
    while !drain.is_cancelled() {
        let begun = Instant::now();
        info!(slot, "starting new stream");
        let wait = match open::stream(agent, slot, drain).await {
            Ended::Drained => return Ok(()),
            Ended::Again => continue,
            Ended::ByGateway => {
                let wait = backoff.after(begun.elapsed());
                info!(slot, ?wait, "the gateway ended the stream");
                wait
            }
            Ended::NotLetIn(message) if !agent.gateway.let_in.load(Relaxed) => {
                let pool = agent.token.pool.clone();
                return Err(NotLetIn { pool, message });
            }
            Ended::NotLetIn(error) => {
                let wait = backoff.after(begun.elapsed());
                let pool = &agent.token.pool;
                warn!(
                    slot,
                    ?wait,
                    pool,
                    error,
                    "the gateway doesn't let this agent in any more; is its token replaced?"
                );
                wait
            }
            Ended::Failed(error) => {
                let wait = backoff.after(begun.elapsed());
                warn!(slot, ?wait, error, "the stream failed");
                wait
            }
        };
        let _ = tokio::time::timeout(wait, drain.cancelled()).await;
    }
    Ok(())
}
