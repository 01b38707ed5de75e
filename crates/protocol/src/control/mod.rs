//! The control channel (launcher → server, HTTPS with JSON): paths, messages, signed documents.
//!
//! | step | request | body → answer |
//! |---|---|---|
//! | nonce | `POST /v1/nonce` | – → [`session::Nonce`] |
//! | enrol | `POST /v1/enrol` | [`session::EnrolRequest`] → [`session::Enrolled`] |
//! | session | `POST /v1/session` | [`session::SessionRequest`] → [`session::Session`] |
//! | inbox | `POST /v1/inbox` | [`inbox::Poll`] → [`inbox::Batch`] |
//! | leases | `POST /v1/leases` | [`run::Renew`] → [`run::Renewed`] |
//! | phase | `POST /v1/runs/{run}/{attempt}/phase` | [`run::EnterPhase`] → [`run::Entered`] |
//! | grant | `POST /v1/runs/{run}/{attempt}/grant` | [`run::GrantRequest`] → [`run::GrantAnswer`] |
//! | log | `POST /v1/runs/{run}/{attempt}/log/{section}?from=&to=` | masked bytes → [`run::LogStored`] |
//! | log position | `GET /v1/runs/{run}/{attempt}/log/{section}` | – → [`run::LogStored`] |
//! | workspace | `PUT`/`GET /v1/runs/{run}/{attempt}/workspace` | sealed bytes, signature in [`workspace::HEADER`] |
//! | left-over state | `PUT /v1/runs/{run}/{attempt}/errored-state` | sealed bytes of a state that the tool could not write |
//! | state | `POST /v1/runs/{run}/{attempt}/state/{read,write,lock,unlock}` | as Terraform's `http` backend |
//! | result | `POST /v1/runs/{run}/{attempt}/result` | [`run::RunResult`] → [`run::ResultTaken`] |
//! | worker | `GET /v1/worker/{arch}` , `GET /v1/worker/{arch}/{digest}` | signed [`manifest::WorkerManifest`], bytes |
//!
//! All but `nonce` and `enrol` and `session` carry `Authorization: Bearer <session token>`. Refusals are
//! [`Problem`] with a 4xx status.

pub mod envelope;
pub mod inbox;
pub mod manifest;
pub mod run;
pub mod session;
pub mod token;
pub mod workspace;

use serde::{Deserialize, Serialize};

/// Body of every refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind: the launcher decides by this, never by the text.
    pub code: ProblemCode,
    /// One sentence that names the thing and what to do.
    pub message: String,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 426: the protocol version is not spoken here.
    Version,
    /// 401: no valid session; make a new one.
    Session,
    /// 401: the proof does not fit (key, nonce, audience, time).
    Proof,
    /// 403: this launcher was revoked, or its pool is gone; enrolling again is for a person to decide.
    Revoked,
    /// 403: two processes use one identity; both are shut out until a person looks.
    Quarantined,
    /// 409: a newer process of this launcher exists; this one must end.
    Fenced,
    /// 409: a newer attempt of the run exists; this one must stop without a trace.
    StaleAttempt,
    /// 409: the run is in a state that does not allow it.
    Conflict,
    /// 404: no such thing, or not yours.
    NotFound,
    /// 400: the request can't be understood.
    Malformed,
    /// 413: over a limit.
    TooLarge,
    /// 423: the managed state is locked by another run.
    Locked,
    /// 429: over a rate or count limit; try later.
    Limited,
    /// 507: the server can't store it (disk full); try later.
    Storage,
    /// 500: the server failed; try later.
    Internal,
    /// Any code of a newer server.
    #[serde(other)]
    Unknown,
}
