//! The exporter's requests, over our own HTTPS client.
//!
//! Takes requests on the exporter's thread, sends them in our runtime. Never: an answer read without a bound, a
//! collector that is away told of more than once a minute.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use gantry_net::egress::LauncherPurpose;
use gantry_net::{ClientError, ClientOptions, Outside};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Url;
use tokio::runtime::Handle;
use tracing::warn;

use super::DEADLINE;
use crate::quiet::Quiet;
use crate::report::Chain;

/// Answers of collectors are small.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    runtime: Handle,
    quiet: Arc<Mutex<Quiet>>,
}

impl Client {
    /// Needs a runtime: its tasks send what the exporter's own thread hands over.
    pub(super) fn new(base: &Url, outside: &Outside) -> Result<Self, ClientError> {
        let agent = concat!("gantry-launcher/", env!("CARGO_PKG_VERSION"));
        let options = ClientOptions::new(LauncherPurpose::Traces, agent, outside);
        let http = gantry_net::client_builder(base, &options)?.build();
        Ok(Self {
            http: http.expect("invariant: a builder with its own TLS configuration builds"),
            runtime: Handle::current(),
            quiet: Arc::default(),
        })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self
            .http
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .timeout(DEADLINE)
            .body(body);
        let mut answer = request.send().await.map_err(|error| self.complain(error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.complain(error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err("the collector's answer has no end".into());
            }
        }
        self.judge(status);
        let response = Response::builder().status(status);
        Ok(response.body(bytes.into())?)
    }

    fn judge(&self, status: reqwest::StatusCode) {
        if status.is_success() {
            self.quiet().over();
        } else {
            self.say(format!("the collector answered {status}"));
        }
    }

    fn complain(&self, error: reqwest::Error) -> HttpError {
        let error = error.without_url();
        self.say(Chain(&error).to_string());
        error.into()
    }

    fn say(&self, why: String) {
        if let Some(unsaid) = self.quiet().due(&why) {
            warn!(%why, unsaid, "traces are lost: the collector at OTEL_EXPORTER_OTLP_ENDPOINT does not take them");
        }
    }

    fn quiet(&self) -> std::sync::MutexGuard<'_, Quiet> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let sending = self.runtime.spawn(self.clone().send(request));
        Box::pin(async move { sending.await? })
    }
}
