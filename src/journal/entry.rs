//! One lease as the journal keeps it.

use std::time::Duration;

use gantry_protocol::control::inbox::SealedRun;
use gantry_protocol::control::run::{Lease, RunResult};
use gantry_protocol::ids::Digest;
use gantry_protocol::socket::Phase;
use serde::{Deserialize, Serialize};

/// A lease: what came, still sealed, and how far it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub lease: Lease,
    /// What came.
    pub sealed: SealedRun,
    /// End of the envelope's life, Unix seconds.
    pub expires: i64,
    /// Name of the container that waited for this run and serves it; `None` for one made under the lease's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How far it got.
    pub progress: Progress,
}

/// How far a lease got. Each step is written before it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// Accepted; nothing was started. After a restart it begins anew.
    Accepted,
    /// A container may exist under the lease's name. After a restart it is adopted.
    Started(Started),
    /// The end is known and has to be told.
    Ended {
        /// What to tell.
        result: Box<RunResult>,
    },
}

impl Progress {
    /// What is known of the container, if one may exist.
    pub fn started(&self) -> Option<&Started> {
        match self {
            Self::Started(started) => Some(started),
            Self::Accepted | Self::Ended { .. } => None,
        }
    }
}

/// What is needed to adopt a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Image as it runs: repository and digest.
    pub image: String,
    /// Digest of the worker executable.
    pub worker: Digest,
    /// Its version; empty in entries of launchers that did not write it.
    #[serde(default)]
    pub worker_version: String,
    /// Digest of the tool's executable, where this host brought it.
    #[serde(default)]
    pub tool: Option<Digest>,
    /// The run socket's session; `None` until the worker's first connection.
    pub session: Option<SessionRecord>,
    /// Phases that change the world: asked for, and maybe granted.
    pub grants: Vec<GrantRecord>,
    /// When the container was about to be made, in Unix seconds: time limits outlive a launcher.
    #[serde(default)]
    pub began: i64,
}

impl Started {
    /// How long ago the container was made; nothing where that is not known.
    pub fn age(&self) -> Duration {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let seconds = match self.began {
            0 => 0,
            began => u64::try_from(now - began).unwrap_or(0),
        };
        Duration::from_secs(seconds)
    }
}

/// The session of the run socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Digest of the session key.
    pub key: Digest,
    /// Written `false` before order and key leave this process, `true` afterwards.
    pub given: bool,
}

/// One phase that changes the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The phase.
    pub phase: Phase,
    /// Its log section.
    pub section: u32,
    /// Written `false` before the server is asked, `true` before the worker is told.
    pub granted: bool,
}

impl Entry {
    /// A lease at its first acceptance.
    pub fn accepted(lease: Lease, sealed: SealedRun, expires: i64) -> Self {
        Self {
            lease,
            sealed,
            expires,
            container: None,
            progress: Progress::Accepted,
        }
    }
}

impl Started {
    /// Whether any phase that changes the world was granted.
    pub fn has_any_grant(&self) -> bool {
        self.grants.iter().any(|grant| grant.granted)
    }
}
