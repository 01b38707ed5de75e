//! The one door to the server: HTTPS requests, and what their answers mean.

use std::time::Duration;

use bytes::Bytes;
use gantry_net::Outside;
use gantry_net::egress::LauncherPurpose;
use gantry_protocol::control::{Problem, ProblemCode};
use gantry_protocol::version;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Requests that the server answers at once have to be answered within this time.
const DEADLINE: Duration = Duration::from_secs(60);

/// Longest answer that is read into memory: a run's envelope with mounted files.
const MAX_ANSWER: usize = 96 << 20;

/// An HTTP client bound to one server.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    endpoint: String,
}

/// Why a request gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server said no, and why.
    #[error("server {endpoint} refused: {}", problem.message)]
    Refused {
        /// The server.
        endpoint: String,
        /// Its words.
        problem: Problem,
    },
    /// No connection, or it broke.
    #[error("server {endpoint} can't be reached")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Something answered that is not a Gantry server.
    #[error(
        "server {endpoint} answered {status} with something that is not of Gantry's protocol: {found}; check the endpoint and what stands in between (proxy, load balancer)"
    )]
    Garbage {
        /// The server.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// The beginning of what came.
        found: String,
    },
}

impl CallError {
    /// The server said by itself that a lease is no longer ours.
    pub(crate) fn lost() -> Self {
        let message = "the lease is no longer this launcher's".to_owned();
        let problem = Problem {
            code: ProblemCode::StaleAttempt,
            message,
        };
        Self::Refused {
            endpoint: "(lease renewal)".to_owned(),
            problem,
        }
    }

    /// The refusal's code, if it is one.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Refused { problem, .. } => Some(problem.code),
            Self::Unreachable { .. } | Self::Garbage { .. } => None,
        }
    }

    /// Whether the same request may succeed later: the server is away, overloaded or out of disk.
    pub fn is_passing(&self) -> bool {
        match self.code() {
            // A log offset that does not fit is answered 409 without a problem; asking again changes nothing.
            None => !self.is_conflict(),
            Some(code) => matches!(
                code,
                ProblemCode::Internal
                    | ProblemCode::Storage
                    | ProblemCode::Limited
                    | ProblemCode::Session
            ),
        }
    }

    /// Whether the server says that this lease is not ours (any more): leave no trace.
    pub fn is_lost_lease(&self) -> bool {
        self.final_code().is_some()
            || matches!(
                self.code(),
                Some(ProblemCode::StaleAttempt | ProblemCode::NotFound)
            )
    }

    /// Whether whoever answered has no such request, and no word of ours for it: a server from before it.
    pub fn is_unknown_request(&self) -> bool {
        matches!(
            self,
            Self::Garbage {
                status: 404 | 405,
                ..
            }
        )
    }

    /// Whether the server's log is at another offset than the request assumed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Garbage { status: 409, .. })
            || self.code() == Some(ProblemCode::Conflict)
    }

    /// The code of a refusal that ends this process's session for good.
    pub fn final_code(&self) -> Option<ProblemCode> {
        self.code().filter(|code| {
            matches!(
                code,
                ProblemCode::Revoked | ProblemCode::Quarantined | ProblemCode::Fenced
            )
        })
    }
}

impl Transport {
    /// A client for one server, reached by `outside`.
    ///
    /// # Errors
    /// When the TLS roots can't be set up.
    pub fn new(
        endpoint: &str,
        url: &reqwest::Url,
        outside: &Outside,
    ) -> Result<Self, gantry_net::ClientError> {
        let agent = concat!("gantry-launcher/", env!("CARGO_PKG_VERSION"));
        let options = gantry_net::ClientOptions::new(LauncherPurpose::Server, agent, outside);
        let http = gantry_net::client_builder(url, &options)?.build();
        let http = http.expect("invariant: a builder with its own TLS configuration builds");
        Ok(Self {
            http,
            endpoint: endpoint.to_owned(),
        })
    }

    /// The server's base URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A request with the protocol's version; the caller adds what it carries.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.endpoint))
            .header(version::CONTROL_HEADER, version::CONTROL)
            .timeout(DEADLINE)
    }

    /// Posts JSON, reads JSON.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CallError> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// Sends, and reads the answer as JSON.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let (status, body) = self.bytes(request, MAX_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|_| self.garbage(status, &body))
    }

    /// Sends, and reads an answer of at most `limit` bytes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn bytes(
        &self,
        request: RequestBuilder,
        limit: usize,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let response = self.send(request).await?;
        let status = response.status();
        Ok((status, self.body(response, limit).await?))
    }

    /// Sends, and gives back a response whose status is a success.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response, 1 << 20).await?;
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(CallError::Refused {
                endpoint: self.endpoint.clone(),
                problem,
            }),
            Err(_) => Err(self.garbage(status, &body)),
        }
    }

    async fn body(&self, mut response: Response, limit: usize) -> Result<Bytes, CallError> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.unreachable(source))?
        {
            if body.len() + chunk.len() > limit {
                return Err(self.garbage(status, b"a body over the limit"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    fn unreachable(&self, source: reqwest::Error) -> CallError {
        // The URL stands in our own message already.
        CallError::Unreachable {
            endpoint: self.endpoint.clone(),
            source: source.without_url(),
        }
    }

    fn garbage(&self, status: StatusCode, body: &[u8]) -> CallError {
        let text = String::from_utf8_lossy(&body[..body.len().min(80)]);
        let found = format!("`{}`", text.escape_debug());
        CallError::Garbage {
            endpoint: self.endpoint.clone(),
            status: status.as_u16(),
            found,
        }
    }
}
