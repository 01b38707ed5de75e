//! Refusals: what a launcher is told when the answer is no.
//!
//! Takes errors of the layers below, gives a status and a [`Problem`]. Never: a cause that is the server's
//! own business; that goes to the server's log.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gantry_protocol::control::{Problem, ProblemCode};

use crate::blobs::BlobError;
use crate::domain::IllegalTransition;
use crate::error::chain;
use crate::logstore::LogError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// A request that is not done, and why.
#[derive(Debug)]
pub struct Refusal {
    code: ProblemCode,
    message: String,
    internal: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal whose reason the launcher may know whole.
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            internal: None,
        }
    }

    /// A request that can't be understood.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ProblemCode::Malformed, message)
    }

    /// Something that is not there, or is somebody else's: the two are not told apart.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(
            ProblemCode::NotFound,
            format!("{what} does not exist, or is not yours"),
        )
    }

    /// The server failed; the launcher tries again later.
    pub fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            code: ProblemCode::Internal,
            message: "the server failed; its log says why; try again later".to_owned(),
            internal: Some(Box::new(error)),
        }
    }

    fn storage(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            code: ProblemCode::Storage,
            message:
                "the server can't store anything now (its disk is full or failing); try again later"
                    .to_owned(),
            internal: Some(Box::new(error)),
        }
    }

    /// What kind it is.
    pub fn code(&self) -> ProblemCode {
        self.code
    }

    fn status(&self) -> StatusCode {
        match self.code {
            ProblemCode::Version => StatusCode::UPGRADE_REQUIRED,
            ProblemCode::Session | ProblemCode::Proof => StatusCode::UNAUTHORIZED,
            ProblemCode::Revoked | ProblemCode::Quarantined => StatusCode::FORBIDDEN,
            ProblemCode::Fenced | ProblemCode::StaleAttempt | ProblemCode::Conflict => {
                StatusCode::CONFLICT
            }
            ProblemCode::NotFound => StatusCode::NOT_FOUND,
            ProblemCode::Malformed => StatusCode::BAD_REQUEST,
            ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ProblemCode::Locked => StatusCode::LOCKED,
            ProblemCode::Limited => StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::Storage => StatusCode::INSUFFICIENT_STORAGE,
            ProblemCode::Internal | ProblemCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Some(error) = &self.internal {
            tracing::error!(error = %chain(error.as_ref()), "a launcher's request failed");
        }
        let status = self.status();
        let problem = Problem {
            code: self.code,
            message: self.message,
        };
        (status, Json(problem)).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Illegal(illegal) => illegal.into(),
            StoreError::NotFound { kind, id } => Self::not_found(format!("{kind} `{id}`")),
            StoreError::Raced { .. } => Self::new(ProblemCode::Conflict, error.to_string()),
            error if error.storage_fault().is_some() => Self::storage(error),
            error => Self::internal(error),
        }
    }
}

impl From<IllegalTransition> for Refusal {
    fn from(error: IllegalTransition) -> Self {
        let code = match error {
            IllegalTransition::StaleAttempt { .. } => ProblemCode::StaleAttempt,
            IllegalTransition::Ended { .. }
            | IllegalTransition::StopAsked { .. }
            | IllegalTransition::NotNow { .. }
            | IllegalTransition::WrongActor { .. } => ProblemCode::Conflict,
        };
        Self::new(code, error.to_string())
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::TooLong { .. } => Self::new(ProblemCode::TooLarge, error.to_string()),
            BlobError::Missing { .. } => Self::new(ProblemCode::NotFound, error.to_string()),
            BlobError::Sender { .. } => Self::malformed("the upload broke off; send it again"),
            BlobError::Storage {
                operation: "write" | "finish",
                ..
            } => Self::storage(error),
            error => Self::internal(error),
        }
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        Self::internal(error)
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(error) => error.into(),
            LogError::Blob(error) => error.into(),
            LogError::Batch(_) => Self::storage(error),
            LogError::Unknown { .. } => Self::new(ProblemCode::NotFound, error.to_string()),
            LogError::Token { .. } => Self::malformed(error.to_string()),
            LogError::Stopped => Self::internal(error),
        }
    }
}
