//! The control channel's requests, each with the answers that its caller has to tell apart.

use bytes::Bytes;
use gantry_protocol::control::inbox::{Batch, Poll};
use gantry_protocol::control::manifest::WorkerManifest;
use gantry_protocol::control::run::{
    EnterPhase, Entered, GrantAnswer, GrantRequest, Lease, LogStored, PlanTaken, Renew, Renewed,
    ResultTaken, RunResult,
};
use gantry_protocol::control::workspace;
use gantry_protocol::crypto::{EdPublic, jws};
use gantry_protocol::ids::Digest;
use gantry_protocol::socket::{MAX_BODY, StateOp};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tracing::warn;

use super::{CallError, Session};
use crate::backoff::Backoff;
use crate::quiet::Quiet;
use crate::report::Chain;

/// Answer of the managed-state endpoint, in the terms of Terraform's `http` backend.
#[derive(Debug)]
pub struct StateAnswer {
    /// HTTP status for the tool.
    pub status: u16,
    /// Body for the tool.
    pub body: Bytes,
}

/// A request that is repeated until it has its answer, or is refused for good.
pub type Asked<T> = Result<T, CallError>;

/// Transfers of sealed workspaces and executables may take this long.
const TRANSFER: Duration = Duration::from_secs(30 * 60);

impl Session {
    /// One long poll.
    ///
    /// # Errors
    /// See [`CallError`]; the caller waits and polls again.
    pub async fn poll(&self, poll: &Poll) -> Asked<Batch> {
        let wait = Duration::from_secs(u64::from(poll.wait_seconds) + 15);
        let request = self.authorised(Method::POST, "/v1/inbox").await?;
        self.json(request.timeout(wait).json(poll)).await
    }

    /// Renews leases once.
    ///
    /// # Errors
    /// See [`CallError`]; the caller tries again at its next tick.
    pub async fn renew_leases(&self, leases: Vec<Lease>) -> Asked<Renewed> {
        let request = self.authorised(Method::POST, "/v1/leases").await?;
        self.json(
            request
                .timeout(Duration::from_secs(10))
                .json(&Renew { leases }),
        )
        .await
    }

    /// Reports a phase, until taken.
    ///
    /// # Errors
    /// A refusal for good.
    pub async fn enter(&self, lease: Lease, phase: &EnterPhase) -> Asked<Entered> {
        self.insist(Method::POST, &path(lease, "phase"), phase)
            .await
    }

    /// Asks for a grant, until answered.
    ///
    /// # Errors
    /// A refusal for good.
    pub async fn grant(&self, lease: Lease, request: &GrantRequest) -> Asked<GrantAnswer> {
        self.insist(Method::POST, &path(lease, "grant"), request)
            .await
    }

    /// Reports the end, until taken.
    ///
    /// # Errors
    /// A refusal for good.
    pub async fn result(&self, lease: Lease, result: &RunResult) -> Asked<ResultTaken> {
        self.insist(Method::POST, &path(lease, "result"), result)
            .await
    }

    /// Asks how far a log section is stored, until answered.
    ///
    /// # Errors
    /// A refusal for good.
    pub async fn log_stored(&self, lease: Lease, section: u32) -> Asked<LogStored> {
        self.insist(Method::GET, &path(lease, &format!("log/{section}")), &())
            .await
    }

    /// Stores the masked bytes of the raw range `from..to` of a section, until stored.
    ///
    /// # Errors
    /// A refusal for good.
    pub async fn store_log(
        &self,
        lease: Lease,
        section: u32,
        range: (u64, u64),
        masked: Bytes,
    ) -> Asked<LogStored> {
        let path = path(
            lease,
            &format!("log/{section}?from={}&to={}", range.0, range.1),
        );
        self.until_taken(|| async {
            let request = self.authorised(Method::POST, &path).await?;
            self.json(request.body(masked.clone())).await
        })
        .await
    }

    /// Uploads a sealed workspace once from `file`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn put_workspace(
        &self,
        lease: Lease,
        attestation: &str,
        file: tokio::fs::File,
    ) -> Asked<()> {
        let request = self
            .authorised(Method::PUT, &path(lease, "workspace"))
            .await?;
        let request = request
            .header(workspace::HEADER, attestation)
            .timeout(TRANSFER);
        self.done(request.body(file)).await
    }

    /// Opens the download of the run's sealed workspace: attestation and body.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_workspace(&self, lease: Lease) -> Asked<(String, Response)> {
        let request = self
            .authorised(Method::GET, &path(lease, "workspace"))
            .await?;
        let response = self
            .settle(self.transport.send(request.timeout(TRANSFER)).await)
            .await?;
        let header = response.headers().get(workspace::HEADER);
        let attestation = header
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Ok((attestation.to_owned(), response))
    }

    /// Uploads a plan as data, until taken.
    ///
    /// # Errors
    /// A refusal for good; `not_found` also of a server that does not take plans.
    pub async fn put_plan(&self, lease: Lease, plan: Bytes) -> Asked<PlanTaken> {
        let path = path(lease, "plan");
        self.until_taken(|| async {
            let request = self.authorised(Method::PUT, &path).await?;
            let request = request.header(CONTENT_TYPE, "application/json");
            let request = request.timeout(TRANSFER).body(plan.clone());
            match self.json(request).await {
                // Asking a server again that has never heard of plans would hold the run up for ever.
                Err(error) if error.is_unknown_request() => Ok(Err(error)),
                answer => answer.map(Ok),
            }
        })
        .await?
    }

    /// Opens the download of the files that a person uploaded for the run.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_upload(&self, lease: Lease) -> Asked<Response> {
        let request = self.authorised(Method::GET, &path(lease, "upload")).await?;
        self.settle(self.transport.send(request.timeout(TRANSFER)).await)
            .await
    }

    /// Uploads a sealed `errored.tfstate`, until taken.
    ///
    /// # Errors
    /// A refusal for good.
    pub async fn put_errored_state(&self, lease: Lease, sealed: Bytes) -> Asked<()> {
        let path = path(lease, "errored-state");
        self.until_taken(|| async {
            let request = self.authorised(Method::PUT, &path).await?;
            self.done(request.timeout(TRANSFER).body(sealed.clone()))
                .await
        })
        .await
    }

    /// Carries one managed-state request, until the server has decided.
    ///
    /// # Errors
    /// A refusal for good that is no answer to the tool (revoked, stale attempt).
    pub async fn state(&self, lease: Lease, op: &StateOp, body: Bytes) -> Asked<StateAnswer> {
        let (verb, lock_id) = match op {
            StateOp::Read => ("read", None),
            StateOp::Write { lock_id } => ("write", lock_id.as_deref()),
            StateOp::Lock => ("lock", None),
            StateOp::Unlock => ("unlock", None),
        };
        let path = path(lease, &format!("state/{verb}"));
        let query: Vec<_> = lock_id.map(|id| ("ID", id)).into_iter().collect();
        self.until_taken(|| async {
            let request = self.authorised(Method::POST, &path).await?;
            let request = request.timeout(TRANSFER).query(&query);
            self.state_once(request.body(body.clone())).await
        })
        .await
    }

    /// 409 and 423 are answers to the tool, not failures of the channel.
    async fn state_once(&self, request: RequestBuilder) -> Asked<StateAnswer> {
        let response = request
            .send()
            .await
            .map_err(|source| CallError::Unreachable {
                endpoint: self.transport.endpoint().to_owned(),
                source: source.without_url(),
            })?;
        let status = response.status();
        let for_the_tool = status.is_success()
            || matches!(
                status,
                StatusCode::LOCKED | StatusCode::FORBIDDEN | StatusCode::CONFLICT
            );
        let body = response.bytes().await.unwrap_or_default();
        if let Ok(problem) = serde_json::from_slice(&body)
            && !status.is_success()
        {
            let endpoint = self.transport.endpoint().to_owned();
            let refused = CallError::Refused { endpoint, problem };
            let about_us = refused.final_code().is_some()
                || matches!(
                    refused.code(),
                    Some(gantry_protocol::control::ProblemCode::StaleAttempt)
                );
            if about_us || !for_the_tool {
                return self.settle(Err(refused)).await;
            }
        } else if !for_the_tool {
            let endpoint = self.transport.endpoint().to_owned();
            let found = "no answer of the state endpoint".to_owned();
            return Err(CallError::Garbage {
                endpoint,
                status: status.as_u16(),
                found,
            });
        }
        Ok(StateAnswer {
            status: status.as_u16(),
            body: body.slice(..body.len().min(MAX_BODY)),
        })
    }

    /// The newest worker's manifest for an architecture, if it is signed by one of `keys`.
    ///
    /// # Errors
    /// See [`CallError`]; an unsigned manifest is given back as text for the caller's error.
    pub async fn worker_manifest(
        &self,
        arch: &str,
        keys: &[EdPublic],
    ) -> Asked<Result<WorkerManifest, gantry_protocol::crypto::JwsError>> {
        let request = self
            .authorised(Method::GET, &format!("/v1/worker/{arch}"))
            .await?;
        let (_, body) = self
            .settle(self.transport.bytes(request, 64 << 10).await)
            .await?;
        Ok(jws::verify_ed(String::from_utf8_lossy(&body).trim(), keys))
    }

    /// Opens the download of a worker executable.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn worker(&self, arch: &str, digest: Digest) -> Asked<Response> {
        let path = format!("/v1/worker/{arch}/{digest}");
        let request = self.authorised(Method::GET, &path).await?.timeout(TRANSFER);
        self.settle(self.transport.send(request).await).await
    }

    async fn authorised(&self, method: Method, path: &str) -> Asked<RequestBuilder> {
        let token = self.token().await?;
        Ok(self
            .transport
            .request(method, path)
            .bearer_auth(token.expose()))
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Asked<T> {
        self.settle(self.transport.json(request).await).await
    }

    async fn done(&self, request: RequestBuilder) -> Asked<()> {
        let answer = self.transport.send(request).await.map(drop);
        self.settle(answer).await
    }

    async fn insist<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Asked<T> {
        self.until_taken(|| async {
            let request = self.authorised(method.clone(), path).await?;
            let request = if method == Method::GET {
                request
            } else {
                request.json(body)
            };
            self.json(request).await
        })
        .await
    }

    async fn until_taken<T, F>(&self, mut ask: impl FnMut() -> F) -> Asked<T>
    where
        F: Future<Output = Asked<T>>,
    {
        let (mut backoff, mut quiet) = (Backoff::default(), Quiet::default());
        loop {
            match ask().await {
                Err(error) if error.is_passing() => {
                    let error = Chain(&error).to_string();
                    if let Some(unsaid) = quiet.due(&error) {
                        warn!(%error, unsaid, "asking again");
                    }
                    tokio::time::sleep(backoff.wait()).await;
                }
                answer => return answer,
            }
        }
    }

    /// An expired session is renewed before the next request; an ended one is remembered.
    async fn settle<T>(&self, answer: Asked<T>) -> Asked<T> {
        if let Err(error) = &answer
            && error.code() == Some(gantry_protocol::control::ProblemCode::Session)
        {
            self.forget_token().await;
        }
        self.noted(answer)
    }

    fn noted<T>(&self, answer: Asked<T>) -> Asked<T> {
        answer.inspect_err(|error| self.note(error))
    }
}

fn path(lease: Lease, what: &str) -> String {
    format!("/v1/runs/{}/{}/{what}", lease.run, lease.attempt)
}
