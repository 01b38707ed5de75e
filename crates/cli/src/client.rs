//! The one door to the server: GraphQL over HTTPS.
//!
//! Takes an operation and its variables, gives its data. Exchanges the API key for a session and renews it
//! before it ends. Never: a mutation sent twice, a secret in an error.

use std::time::Duration;

use gantry_net::{ClientError, ClientOptions};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::model::{Session, UploadPlace};
use crate::ops::{self, Op};
use crate::profile::Login;

/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for sending files.
const UPLOAD: Duration = Duration::from_secs(30 * 60);
/// Longest time for a file.
const LONG: Duration = Duration::from_secs(3600);
/// How long a query is tried again while the server can't be reached.
const PATIENCE: Duration = Duration::from_secs(180);
/// A session is renewed when it has less than this left, in seconds.
const RENEW_BEFORE: i64 = 30;
/// Header of the text to keep with a run.
const METADATA: &str = "Spacelift-User-Provided-Run-Metadata";
/// How a refusal of a known caller begins.
const FORBIDDEN: &str = "unauthorized: ";
/// Longest piece of an unexpected answer that an error shows, in characters.
const SHOWN: usize = 200;

/// Why the server gave no data.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The endpoint is not a URL.
    #[error("`{endpoint}` is not a URL; expected something like https://gantry.example.org")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What the parser said.
        source: <Url as std::str::FromStr>::Err,
    },
    /// The endpoint may not be spoken to, or TLS can't be set up.
    #[error(transparent)]
    Setup(#[from] ClientError),
    /// The HTTP client can't be made.
    #[error("cannot set up HTTP for `{server}`")]
    Client {
        /// Host and port.
        server: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// No answer.
    #[error("cannot reach the server at `{server}`")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// An answer, but not 200.
    #[error("the server at `{server}` answered {status}: {text}")]
    Status {
        /// Host and port.
        server: String,
        /// The status.
        status: StatusCode,
        /// The beginning of the body.
        text: String,
    },
    /// An answer that is not what the operation promises.
    #[error(
        "the server at `{server}` gave an unexpected answer to `{operation}`; is it a Gantry server?"
    )]
    Unexpected {
        /// Host and port.
        server: String,
        /// The operation.
        operation: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The server says no, and why.
    #[error("{0}")]
    Refused(String),
    /// The login is right, and lacks the right; what the server says.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The login is wrong or was taken back.
    #[error("`{server}` does not accept the API key `{key_id}`; `gantry login` takes another")]
    Unauthorized {
        /// Host and port.
        server: String,
        /// The key's id.
        key_id: String,
    },
}

impl ApiError {
    /// Whether the same query may succeed a little later.
    fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }
}

/// A session with one server.
pub struct Api {
    http: reqwest::Client,
    url: Url,
    server: String,
    login: Login,
    session: Mutex<Option<Session>>,
}

/// A file on its way.
pub struct Download<'a> {
    api: &'a Api,
    response: reqwest::Response,
}

impl Download<'_> {
    /// The next piece; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|source| self.api.unreachable(source))?;
        Ok(piece.map(|bytes| bytes.to_vec()))
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Api {
    /// Prepares; nothing is sent yet.
    pub fn new(login: Login, options: &ClientOptions) -> Result<Self, ApiError> {
        let base = login.endpoint.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/graphql"));
        let url = url.map_err(|source| ApiError::Endpoint {
            endpoint: base.to_owned(),
            source,
        })?;
        let builder = gantry_net::client_builder(&url, options)?.timeout(TIMEOUT);
        let server = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let http = builder.build();
        let http = http.map_err(|source| ApiError::Client {
            server: server.clone(),
            source,
        })?;
        Ok(Self {
            http,
            url,
            server,
            login,
            session: Mutex::new(None),
        })
    }

    /// Host and port of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends an operation once.
    pub async fn call<D: DeserializeOwned>(&self, op: &Op<D>, vars: Value) -> Result<D, ApiError> {
        self.call_with(op, vars, None).await
    }

    /// Sends an operation once, with a text to keep with the run.
    pub async fn call_with<D: DeserializeOwned>(
        &self,
        op: &Op<D>,
        vars: Value,
        metadata: Option<&str>,
    ) -> Result<D, ApiError> {
        let jwt = self.jwt().await?;
        self.send(op, vars, Some(&jwt), metadata).await
    }

    /// Sends a query, again while the server is away, for minutes. For reading only.
    pub async fn query_patiently<D: DeserializeOwned>(
        &self,
        op: &Op<D>,
        vars: Value,
        waiting: impl Fn(&ApiError),
    ) -> Result<D, ApiError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(500);
        loop {
            match self.call(op, vars.clone()).await {
                Err(error) if error.passes() && tokio::time::Instant::now() < deadline => {
                    waiting(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                done => return done,
            }
        }
    }

    /// Sends an archive to where the server said, once. Whoever knows the address may: no login goes with it.
    pub async fn upload(
        &self,
        place: &UploadPlace,
        archive: std::fs::File,
        length: u64,
    ) -> Result<(), ApiError> {
        let body = reqwest::Body::from(tokio::fs::File::from_std(archive));
        let mut request = self.http.put(&place.upload_url).timeout(UPLOAD).body(body);
        request = request.header(CONTENT_LENGTH, length);
        for header in &place.upload_headers.entries {
            request = request.header(&header.key, &header.value);
        }
        let unreachable = |source: reqwest::Error| ApiError::Unreachable {
            server: self.server.clone(),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status == StatusCode::OK || status == StatusCode::CREATED {
            return Ok(());
        }
        let text = response.text().await.map_err(unreachable)?;
        Err(ApiError::Status {
            server: self.server.clone(),
            status,
            text: text.trim().chars().take(SHOWN).collect(),
        })
    }

    /// Begins to read a file of the server that may be long.
    pub async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Download<'_>, ApiError> {
        let jwt = self.jwt().await?;
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches("graphql").to_owned();
        url.set_path(&format!("{base}{path}"));
        url.query_pairs_mut().extend_pairs(query).finish();
        let request = self.http.get(url).bearer_auth(jwt).timeout(LONG);
        let sent = request.send().await;
        let response = sent.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(Download {
                api: self,
                response,
            });
        }
        let text = response.text().await;
        let text = text.map_err(|source| self.unreachable(source))?;
        if status == StatusCode::FORBIDDEN {
            return Err(self.refusal(text.trim_end()));
        }
        Err(match status {
            StatusCode::UNAUTHORIZED => self.unauthorized(),
            _ => ApiError::Status {
                server: self.server.clone(),
                status,
                text: text.chars().take(SHOWN).collect(),
            },
        })
    }

    fn unreachable(&self, source: reqwest::Error) -> ApiError {
        ApiError::Unreachable {
            server: self.server.clone(),
            source: source.without_url(),
        }
    }

    /// The session's token; a new session when there is none or it ends soon.
    async fn jwt(&self) -> Result<String, ApiError> {
        let mut session = self.session.lock().await;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if let Some(session) = session
            .as_ref()
            .filter(|s| now + RENEW_BEFORE < s.valid_until)
        {
            return Ok(session.jwt.expose().to_owned());
        }
        let vars = json!({ "id": self.login.key_id, "secret": self.login.key_secret.expose() });
        let exchanged = self.send(&ops::API_KEY_USER, vars, None, None).await?;
        let fresh = exchanged.api_key_user.ok_or_else(|| self.unauthorized())?;
        let jwt = fresh.jwt.expose().to_owned();
        *session = Some(fresh);
        Ok(jwt)
    }

    async fn send<D: DeserializeOwned>(
        &self,
        op: &Op<D>,
        vars: Value,
        jwt: Option<&str>,
        metadata: Option<&str>,
    ) -> Result<D, ApiError> {
        let body = json!({ "query": op.text, "variables": vars });
        let mut request = self.http.post(self.url.clone()).json(&body);
        if let Some(jwt) = jwt {
            request = request.bearer_auth(jwt);
        }
        if let Some(metadata) = metadata {
            request = request.header(METADATA, metadata);
        }
        let unreachable = |source| self.unreachable(source);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        self.read(op, status, &text)
    }

    fn read<D: DeserializeOwned>(
        &self,
        op: &Op<D>,
        status: StatusCode,
        text: &str,
    ) -> Result<D, ApiError> {
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.unauthorized());
        }
        if status != StatusCode::OK {
            let text = text.chars().take(SHOWN).collect();
            return Err(ApiError::Status {
                server: self.server.clone(),
                status,
                text,
            });
        }
        let unexpected = |source| ApiError::Unexpected {
            server: self.server.clone(),
            operation: op.name,
            source,
        };
        let answer: Answer = serde_json::from_str(text).map_err(unexpected)?;
        if let Some(problem) = answer.errors.first() {
            return Err(self.refusal(&problem.message));
        }
        serde_json::from_value(answer.data.unwrap_or_default()).map_err(unexpected)
    }

    fn refusal(&self, message: &str) -> ApiError {
        match message.split_once(FORBIDDEN) {
            Some(("", reason)) => ApiError::Forbidden(reason.to_owned()),
            _ if message.contains("unauthorized") => self.unauthorized(),
            _ => ApiError::Refused(message.to_owned()),
        }
    }

    fn unauthorized(&self) -> ApiError {
        ApiError::Unauthorized {
            server: self.server.clone(),
            key_id: self.login.key_id.clone(),
        }
    }
}
