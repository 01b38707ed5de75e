//! Why a request through agents was not answered.
//!
//! Takes names and measures, gives sentences for people. Never: a query string, or an agent's word without a bound.

use std::time::Duration;

use crate::store::StoreError;
use crate::store::vcs_requests::Outcome;

/// The longest text of an agent that is handed on, in characters.
const TEXT_LIMIT: usize = 500;

/// A request that was not answered, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The pool does not exist.
    #[error("VCS agent pool `{id}` does not exist")]
    NoPool {
        /// Its id.
        id: String,
    },
    /// Nobody is there to send it.
    #[error(
        "no agent of VCS agent pool `{pool}` is connected: start `gantry-vcs-agent` with the pool's token, or look at its log"
    )]
    NoAgent {
        /// The pool's name.
        pool: String,
    },
    /// Too many are waiting.
    #[error(
        "VCS agent pool `{pool}` has {waiting} requests waiting: start more agents, or let them send more at a time (`--parallelism`)"
    )]
    Full {
        /// The pool's name.
        pool: String,
        /// How many wait.
        waiting: usize,
    },
    /// It took too long.
    #[error("VCS agent pool `{pool}` did not answer `{request}` within {} s ({stage})", limit.as_secs())]
    Late {
        /// The pool's name.
        pool: String,
        /// Method and path.
        request: String,
        /// How long it might have taken.
        limit: Duration,
        /// What it waited for.
        stage: &'static str,
    },
    /// The agent is gone, and the request may have been done.
    #[error(
        "the agent of VCS agent pool `{pool}` that had `{request}` was lost before its answer was whole"
    )]
    Lost {
        /// The pool's name.
        pool: String,
        /// Method and path.
        request: String,
    },
    /// The agent said no.
    #[error("an agent of VCS agent pool `{pool}` did not do `{request}`: {text}")]
    Refused {
        /// The pool's name.
        pool: String,
        /// Method and path.
        request: String,
        /// Why, in the agent's words.
        text: String,
    },
    /// The agent broke the protocol.
    #[error(
        "an agent of VCS agent pool `{pool}` answered `{request}` with what is no answer: {what}"
    )]
    Breach {
        /// The pool's name.
        pool: String,
        /// Method and path.
        request: String,
        /// What it did.
        what: &'static str,
    },
    /// The request can't be sent.
    #[error("`{request}` can't be sent through VCS agent pool `{pool}`: {rule}")]
    Unsendable {
        /// The pool's name.
        pool: String,
        /// Method and path.
        request: String,
        /// What is expected.
        rule: &'static str,
    },
    /// Whoever asked went away.
    #[error("nobody waits for the answer to `{request}` any more")]
    GivenUp {
        /// Method and path.
        request: String,
    },
    /// The server stops.
    #[error("the server stops: ask again in a moment")]
    Stopping,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GatewayError {
    /// How the access log has it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::NoAgent { .. } | Self::NoPool { .. } => Outcome::NoAgent,
            Self::Full { .. } => Outcome::Full,
            Self::Late { .. } => Outcome::Late,
            Self::Lost { .. } | Self::Stopping => Outcome::Lost,
            Self::Refused { .. } => Outcome::Refused,
            Self::GivenUp { .. } => Outcome::GivenUp,
            Self::Breach { .. } | Self::Unsendable { .. } | Self::Store(_) => Outcome::Broken,
        }
    }

    /// Whether the text may be shown to the person who asked.
    pub fn is_for_people(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

/// An agent's text as others may see it.
pub(super) fn bounded(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(TEXT_LIMIT).collect()
}
