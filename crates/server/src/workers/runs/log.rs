//! Pieces of logs.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::LogStored;
use gantry_protocol::{Attempt, RunId};
use serde::{Deserialize, Serialize};

use super::{MAX_LOG, held};
use crate::logstore::Appended;
use crate::store::logs::SectionId;
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

/// The raw range that a piece covers.
#[derive(Debug, Deserialize)]
pub(in crate::workers) struct Range {
    from: u64,
    to: u64,
}

/// A piece that leaves a gap: a refusal that also says where to go on.
#[derive(Serialize)]
struct Gap {
    offset: u64,
    code: ProblemCode,
    message: String,
}

pub(in crate::workers) async fn position(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt, section)): Path<(RunId, Attempt, u32)>,
) -> Result<Json<LogStored>, Refusal> {
    held(&mut *control.store.read().await?, speaker, run, attempt).await?;
    let offset = control
        .logs
        .stored(SectionId {
            run,
            attempt,
            section,
        })
        .await?;
    Ok(Json(LogStored { offset }))
}

pub(in crate::workers) async fn append(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt, section)): Path<(RunId, Attempt, u32)>,
    Query(range): Query<Range>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("a piece of a log has at most {MAX_LOG} bytes");
            Refusal::new(ProblemCode::TooLarge, text)
        }
        _ => Refusal::malformed("the piece broke off; send it again"),
    })?;
    let Range { from, to } = range;
    if to < from || (to == from && !body.is_empty()) {
        let text = format!(
            "a piece of {} bytes can't stand for the range {from}..{to}",
            body.len()
        );
        return Err(Refusal::malformed(text));
    }
    held(&mut *control.store.read().await?, speaker, run, attempt).await?;
    let id = SectionId {
        run,
        attempt,
        section,
    };
    match control.logs.append(id, from..to, body).await? {
        Appended::Stored(offset) => Ok(Json(LogStored { offset }).into_response()),
        Appended::Gap(offset) => {
            let message = format!(
                "section {section} of run {run} is stored up to {offset}: the piece {from}..{to} does not follow"
            );
            let code = ProblemCode::Conflict;
            Ok((
                StatusCode::CONFLICT,
                Json(Gap {
                    offset,
                    code,
                    message,
                }),
            )
                .into_response())
        }
    }
}
