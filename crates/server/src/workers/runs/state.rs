//! The managed-state endpoint, in the terms of Terraform's `http` backend.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use gantry_protocol::control::{Problem, ProblemCode};
use gantry_protocol::{Attempt, RunId};
use serde::Deserialize;

use super::{Held, held};
use crate::tfstate::{LockAnswer, MAX_STATE, StateError, WriteAnswer};
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

/// The lock that a write names.
#[derive(Debug, Deserialize)]
pub(in crate::workers) struct Named {
    #[serde(rename = "ID")]
    id: Option<String>,
}

pub(in crate::workers) async fn state(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt, verb)): Path<(RunId, Attempt, String)>,
    Query(named): Query<Named>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            ProblemCode::TooLarge,
            format!("a state has at most {MAX_STATE} bytes"),
        ),
        _ => Refusal::malformed("the request broke off; send it again"),
    })?;
    let asked = Asked {
        control,
        speaker,
        run,
        attempt,
    };
    match verb.as_str() {
        "read" => asked.read().await,
        "write" => asked.write(named.id.as_deref(), body).await,
        "lock" => asked.lock(&body).await,
        "unlock" => asked.unlock(&body).await,
        other => Err(Refusal::not_found(format!("state operation `{other}`"))),
    }
}

struct Asked {
    control: Arc<Control>,
    speaker: Speaker,
    run: RunId,
    attempt: Attempt,
}

impl Asked {
    async fn held(&self, conn: &mut crate::store::Conn) -> Result<Held, Refusal> {
        let held = held(conn, self.speaker, self.run, self.attempt)
            .await?
            .current()?;
        if held.record.settings.managed_state {
            return Ok(held);
        }
        Err(Refusal::not_found(format!(
            "managed state of stack {}",
            held.record.run.stack
        )))
    }

    async fn read(&self) -> Result<Response, Refusal> {
        let held = self.held(&mut *self.control.store.read().await?).await?;
        let state = self
            .control
            .state
            .read(&held.record.run.stack)
            .await
            .map_err(refused)?;
        Ok(match state {
            Some(bytes) => json(StatusCode::OK, bytes),
            None => StatusCode::NO_CONTENT.into_response(),
        })
    }

    async fn write(&self, lock_id: Option<&str>, body: Bytes) -> Result<Response, Refusal> {
        let held = self.held(&mut *self.control.store.read().await?).await?;
        if let Some(no) = write_right(&held) {
            return Ok(no);
        }
        let stack = held.record.run.stack;
        let prepared = self
            .control
            .state
            .prepare(&stack, &body)
            .await
            .map_err(refused)?;
        let mut tx = self.control.store.begin().await?;
        // Looked at again inside the transaction: sealing took a while.
        let held = self.held(&mut tx).await?;
        if let Some(no) = write_right(&held) {
            drop(tx);
            self.control.state.discard(prepared).await;
            return Ok(no);
        }
        let answer =
            self.control
                .state
                .write(&mut tx, &held.record, self.attempt, lock_id, &prepared);
        let written = answer.await.map_err(refused)?;
        let fresh = matches!(written, WriteAnswer::Written { fresh: true, .. });
        if fresh {
            self.control.store.commit(tx).await?;
        } else {
            drop(tx);
            self.control.state.discard(prepared).await;
        }
        Ok(match written {
            WriteAnswer::Written { .. } => StatusCode::OK.into_response(),
            WriteAnswer::Held(info) => json(StatusCode::LOCKED, info.into()),
            WriteAnswer::LockGone => conflict(format!(
                "the lock that the write of run {} names is not held any more",
                self.run
            )),
            WriteAnswer::Outdated { newest, sent } => conflict(format!(
                "stack {stack} already has a state with serial {newest}; the one that was sent has serial {sent}"
            )),
        })
    }

    async fn lock(&self, info: &[u8]) -> Result<Response, Refusal> {
        let mut tx = self.control.store.begin().await?;
        let held = self.held(&mut tx).await?;
        let state = &self.control.state;
        let answer = state
            .lock(&mut tx, &held.record, self.attempt, info)
            .await
            .map_err(refused)?;
        self.control.store.commit(tx).await?;
        locked(answer)
    }

    async fn unlock(&self, info: &[u8]) -> Result<Response, Refusal> {
        let mut tx = self.control.store.begin().await?;
        let held = self.held(&mut tx).await?;
        let answer = self
            .control
            .state
            .unlock(&mut tx, &held.record, info)
            .await
            .map_err(refused)?;
        self.control.store.commit(tx).await?;
        locked(answer)
    }
}

/// Writing needs this attempt's grant; the launcher enforces the same.
fn write_right(held: &Held) -> Option<Response> {
    let run = &held.record.run;
    if run.state.needs_grant() {
        return None;
    }
    let message = format!(
        "run {} is {}: it may write the state of stack {} only while it applies, performs or destroys",
        run.id, run.state, run.stack
    );
    let problem = Problem {
        code: ProblemCode::Conflict,
        message,
    };
    Some((StatusCode::FORBIDDEN, axum::Json(problem)).into_response())
}

fn locked(answer: LockAnswer) -> Result<Response, Refusal> {
    match answer {
        LockAnswer::Done => Ok(StatusCode::OK.into_response()),
        LockAnswer::Held(info) => Ok(json(StatusCode::LOCKED, info.into())),
        LockAnswer::Malformed => Err(Refusal::malformed(
            "the lock's description is not JSON with an `ID`",
        )),
    }
}

fn conflict(message: String) -> Response {
    Refusal::new(ProblemCode::Conflict, message).into_response()
}

fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn refused(error: StateError) -> Refusal {
    match error {
        StateError::Store(error) => Refusal::from(error),
        StateError::Blob(error) => Refusal::from(error),
        StateError::Vault(error) => Refusal::from(error),
        StateError::NotState(error) => Refusal::malformed(error.to_string()),
    }
}
