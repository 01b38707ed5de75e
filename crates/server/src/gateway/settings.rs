//! The gateway's measures.
//!
//! Takes nothing, gives numbers that fit together. Never: a wait without an end.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` that tokens of pools name; nothing if no agent can connect.
    pub address: Option<String>,
    /// Proxies whose word about an agent's address is believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// How long a request waits for a first agent of its pool.
    pub grace: Duration,
    /// Requests of one pool that may wait.
    pub waiting: usize,
    /// Streams that one pool may have.
    pub streams: usize,
    /// How long a connection may take to prove whose agent it is.
    pub prove_within: Duration,
    /// After how much silence an idle stream is asked whether it is still there.
    pub ping_every: Duration,
    /// How long it may take to say so.
    pub ping_within: Duration,
    /// How long an agent may go on with a request that nobody waits for any more.
    pub give_up: Duration,
    /// How often HTTP/2 asks whether a connection is still there, and how long that may take.
    pub keepalive: (Duration, Duration),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: None,
            trusted_proxies: Arc::default(),
            grace: Duration::from_secs(5),
            waiting: 256,
            streams: 1024,
            prove_within: Duration::from_secs(20),
            ping_every: Duration::from_secs(30),
            ping_within: Duration::from_secs(20),
            // The agents that exist give up after 25 s themselves.
            give_up: Duration::from_secs(60),
            keepalive: (Duration::from_secs(20), Duration::from_secs(10)),
        }
    }
}
