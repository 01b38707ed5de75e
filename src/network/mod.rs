//! The networks that runs get: one of the launcher's own for each run at a time, or the one that the host named.
//!
//! Takes the configured choice, gives each container its [`Network`]. Never: two running containers in one of the
//! launcher's own networks, an address of the engine's own pools, more networks than runs at a time.

mod block;
mod firewall;
mod host;
mod plan;
mod slots;

pub use firewall::FirewallError;
pub use plan::PoolTaken;
pub use slots::{Setup, Slots};

use crate::container::{InvalidNetwork, Network};
use crate::engine::{Docker, EngineError};

/// What is so where the launcher can set no rules of its own.
pub const DOCKER_ALONE: &str = "runs are kept apart by Docker's rules alone, which it lifts for milliseconds each time a network is made on this host";

/// Whether this process may look at the kernel's rules, and so set its own.
///
/// # Errors
/// [`FirewallError`]: no iptables, or not permitted.
pub async fn can_set_rules() -> Result<(), FirewallError> {
    firewall::table(block::MANGLE).await.map(drop)
}

/// Why there is no network for a run.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The named network is none for runs.
    #[error("SPACELIFT_WORKER_NETWORK")]
    Invalid(#[from] InvalidNetwork),
    /// The range is used by others.
    #[error(transparent)]
    Taken(#[from] PoolTaken),
    /// The engine failed.
    #[error(
        "the runs' networks could not be made ready (GANTRY_NETWORK_POOL, SPACELIFT_WORKER_NETWORK)"
    )]
    Engine(#[from] EngineError),
    /// Link-local addresses could not be blocked.
    #[error(
        "GANTRY_BLOCK_METADATA: link-local addresses can't be blocked (or unset it, and block 169.254.0.0/16 elsewhere)"
    )]
    Block(#[source] FirewallError),
    /// Runs could be kept apart at the start, and no more.
    #[error("runs can't be kept apart")]
    Apart(#[source] FirewallError),
    /// Every network has a container in it.
    #[error(
        "all {count} networks of this launcher are in use, by {}; remove what does not belong there",
        holders.join(", ")
    )]
    AllHeld {
        /// How many there are.
        count: usize,
        /// Containers in them.
        holders: Vec<String>,
    },
}

/// Gives containers their networks.
#[derive(Debug)]
pub enum Networks {
    /// The same for all.
    Named(Network),
    /// One of the launcher's own each.
    Own(Box<Slots>),
}

impl Networks {
    /// The network that the host's owner named, confirmed by the engine.
    ///
    /// # Errors
    /// [`NetworkError::Invalid`] when it turns out to be the host's own.
    pub async fn named(engine: &Docker, network: &Network) -> Result<Self, NetworkError> {
        let view = engine.network(network.as_str()).await?;
        Ok(Self::Named(network.clone().confirm(&view)?))
    }

    /// The network for the container of this name. Asked again for the same name, the answer is the same.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn take(&self, container: &str) -> Result<Network, NetworkError> {
        match self {
            Self::Named(network) => Ok(network.clone()),
            Self::Own(slots) => slots.take(container).await,
        }
    }

    /// The container of this name is gone.
    pub fn release(&self, container: &str) {
        match self {
            Self::Named(_) => {}
            Self::Own(slots) => slots.release(container),
        }
    }
}
