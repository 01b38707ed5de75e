//! Plans as data.
//!
//! Takes what a launcher sends of a plan while its run is planning, keeps it sealed, asks the plan policies about it and
//! gives what they say, for the run's log. The same plan again gets the same answer. Never: another plan than the one
//! that was kept, once the run went on.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::PlanTaken;
use gantry_protocol::plan::MAX_PLAN_DATA;
use gantry_protocol::{Attempt, Digest, RunId, RunState};

use super::{Held, held};
use crate::clock::UnixMillis;
use crate::plans::PlanKeeperError;
use crate::store::plans::{self, PlanRow};
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

pub(in crate::workers) async fn put(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<PlanTaken>, Refusal> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("a plan as data has at most {MAX_PLAN_DATA} bytes");
            Refusal::new(ProblemCode::TooLarge, text)
        }
        _ => Refusal::malformed("the plan broke off; send it again"),
    })?;
    let known = {
        let mut conn = control.store.read().await?;
        let held = held(&mut conn, speaker, run, attempt).await?.current()?;
        let known = plans::find(&mut conn, run, attempt).await?;
        fits(&held, known.as_ref(), Digest::of(&body))?
    };
    if known == Kept::No {
        keep(&control, speaker, (run, attempt), body).await?;
    }
    let verdict = control.judge.about_plan(run, attempt).await?;
    Ok(Json(PlanTaken {
        notes: verdict.lines(),
    }))
}

/// Whether a plan is kept already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

fn fits(held: &Held, known: Option<&PlanRow>, digest: Digest) -> Result<Kept, Refusal> {
    match known {
        Some(row) if row.digest == digest => Ok(Kept::Yes),
        _ if held.record.run.state == RunState::Planning => Ok(Kept::No),
        _ => {
            let (run, state) = (held.record.run.id, held.record.run.state);
            let text = format!("run {run} is {state}: its plan is not taken any more");
            Err(Refusal::new(ProblemCode::Conflict, text))
        }
    }
}

async fn keep(
    control: &Control,
    speaker: Speaker,
    (run, attempt): (RunId, Attempt),
    body: Bytes,
) -> Result<(), Refusal> {
    let prepared = control.plans.prepare(run, body).await?;
    let mut tx = control.store.begin().await?;
    let held = held(&mut tx, speaker, run, attempt).await?.current()?;
    let before = plans::find(&mut tx, run, attempt).await?;
    if fits(&held, before.as_ref(), prepared.digest)? == Kept::Yes {
        // The same request came twice at once.
        drop(tx);
        control.plans.discard(&prepared.content).await;
        return Ok(());
    }
    let row = PlanRow {
        run,
        attempt,
        digest: prepared.digest,
        content: prepared.content,
        verdict: None,
    };
    plans::put(&mut tx, &row, UnixMillis::now()).await?;
    control.store.commit(tx).await?;
    if let Some(before) = before {
        control.plans.discard(&before.content).await;
    }
    Ok(())
}

impl From<PlanKeeperError> for Refusal {
    fn from(error: PlanKeeperError) -> Self {
        match error {
            PlanKeeperError::Store(error) => error.into(),
            PlanKeeperError::Blob(error) => error.into(),
            PlanKeeperError::Vault(error) => error.into(),
            PlanKeeperError::NotData { .. } | PlanKeeperError::Plan { .. } => {
                Self::malformed(crate::error::chain(&error))
            }
            PlanKeeperError::Damaged { .. } => Self::internal(error),
        }
    }
}
