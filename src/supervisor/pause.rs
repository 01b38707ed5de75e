//! Why a launcher takes no runs.
//!
//! Gives names for metrics and sentences for people. Never: a closed intake without a reason.

use std::fmt;

use gantry_protocol::control::inbox::Condition;

use crate::room::Shortage;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// A signal told it to stop.
    Stopping,
    /// The server told it to start anew.
    Cycling,
    /// A person drained it.
    Drained,
    /// The spot instance is to be taken away.
    Spot {
        /// What the notice says.
        notice: String,
    },
    /// Too little disk.
    Room(Shortage),
    /// The container engine misbehaves.
    Engine {
        /// How.
        why: String,
    },
}

impl Pause {
    /// Every name that [`Pause::name`] gives.
    pub const NAMES: [&'static str; 6] =
        ["stopping", "cycling", "drained", "spot", "room", "engine"];

    /// A short name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Cycling => "cycling",
            Self::Drained => "drained",
            Self::Spot { .. } => "spot",
            Self::Room(_) => "room",
            Self::Engine { .. } => "engine",
        }
    }

    /// What the server is told; nothing where it knows already.
    pub(super) fn condition(&self) -> Option<Condition> {
        let reason = self.to_string();
        match self {
            Self::Drained => None,
            Self::Engine { .. } => Some(Condition::Unhealthy { reason }),
            Self::Stopping | Self::Cycling | Self::Spot { .. } | Self::Room(_) => {
                Some(Condition::Paused { reason })
            }
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("the launcher was told to stop"),
            Self::Cycling => f.write_str("the launcher was told to start anew"),
            Self::Drained => f.write_str("a person drained it"),
            Self::Spot { notice } => write!(f, "the instance is to be interrupted: {notice}"),
            Self::Room(shortage) => write!(f, "{shortage}"),
            Self::Engine { why } => write!(f, "the container engine fails: {why}"),
        }
    }
}
