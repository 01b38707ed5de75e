//! Failures of engine calls: what was attempted, and which kind of failure it was.
//!
//! Takes nothing, gives the error type. Never: a credential in a message.

use std::time::Duration;

/// An engine call that failed. Displays the operation with its object; the kind is the source.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation}")]
pub struct EngineError {
    operation: String,
    #[source]
    kind: ErrorKind,
}

impl EngineError {
    /// `operation` reads after "could not" and names its object: ``pull image `x` ``.
    pub(super) fn new(operation: impl Into<String>, kind: ErrorKind) -> Self {
        Self {
            operation: operation.into(),
            kind,
        }
    }

    /// Which kind of failure.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether the engine failed, rather than said no.
    pub fn is_the_engines_fault(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable { .. }
            | ErrorKind::Timeout { .. }
            | ErrorKind::Garbled { .. } => true,
            ErrorKind::Refused { status, .. } => status >= 500,
            ErrorKind::Address { .. }
            | ErrorKind::TooOld { .. }
            | ErrorKind::NotFound { .. }
            | ErrorKind::Unauthorized { .. }
            | ErrorKind::Conflict { .. }
            | ErrorKind::BadPlatform { .. } => false,
        }
    }

    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable { .. } | ErrorKind::Timeout { .. }
        )
    }
}

/// Kinds of failure.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// No connection, or it broke.
    #[error(
        "the container engine at `{host}` can't be reached: is it running, and may this user use it?"
    )]
    Unreachable {
        /// Address of the engine.
        host: String,
        /// What the connection said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine did not answer in time.
    #[error("the container engine gave no answer within {} s", limit.as_secs())]
    Timeout {
        /// The limit that passed.
        limit: Duration,
    },
    /// The address of the engine can't be used.
    #[error(
        "`{host}` is no address of a container engine: expected unix:///path or tcp://host:port"
    )]
    Address {
        /// As configured.
        host: String,
    },
    /// The engine is too old.
    #[error(
        "the container engine speaks API {found}, and 1.41 (Docker 20.10) is the oldest that works"
    )]
    TooOld {
        /// Its API version.
        found: String,
    },
    /// No such container, image, network or manifest.
    #[error("it does not exist: {message}")]
    NotFound {
        /// The engine's words.
        message: String,
    },
    /// The registry refused the credentials, or their absence.
    #[error("the registry refused the credentials: {message}")]
    Unauthorized {
        /// The engine's words.
        message: String,
    },
    /// The name is taken, or the object is in a state that does not allow this.
    #[error("it is in use or in another state: {message}")]
    Conflict {
        /// The engine's words.
        message: String,
    },
    /// The image is not made for the engine's platform.
    #[error("the image is made for {found}, and the container engine runs {wanted}")]
    BadPlatform {
        /// What the engine runs.
        wanted: String,
        /// What the image is made for.
        found: String,
    },
    /// Anything else that the engine answered.
    #[error("the container engine answered with status {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The answer was not what the API promises.
    #[error("the container engine's answer is not understood: {message}")]
    Garbled {
        /// What was wrong.
        message: String,
    },
}
