//! Phases that need no grant: init and plan.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{EnterPhase, Entered};
use gantry_protocol::{Attempt, RunId, RunState};

use super::{Held, held};
use crate::clock::UnixMillis;
use crate::domain::{Actor, RunEvent};
use crate::store::logs::{self, Section, SectionId};
use crate::store::{StoreError, Tx, runs};
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

pub(in crate::workers) async fn enter(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
    body: Result<Json<EnterPhase>, JsonRejection>,
) -> Result<Json<Entered>, Refusal> {
    let Json(phase) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    let event = match phase.state {
        RunState::Initializing => RunEvent::InitStarted(attempt),
        RunState::Planning => RunEvent::PlanStarted(attempt),
        other => {
            let text = format!("{other} is no phase that begins without a grant");
            return Err(Refusal::malformed(text));
        }
    };
    let now = UnixMillis::now();
    let id = section_id(run, attempt, phase.section)?;
    let mut tx = control.store.begin().await?;
    let mut held = held(&mut tx, speaker, run, attempt).await?;
    if let Some(known) = entered(&mut tx, id, phase.state).await? {
        return Ok(Json(Entered {
            state_version: known.version.0,
        }));
    }
    held = held.current()?;
    held.alive(&mut tx, now).await?;
    let version = open(&mut tx, &held, &event, id, now).await?;
    control.store.commit(tx).await?;
    Ok(Json(Entered {
        state_version: version,
    }))
}

/// The log section of a phase; 0 is the launcher's own and opens with the lease.
pub(super) fn section_id(run: RunId, attempt: Attempt, section: u32) -> Result<SectionId, Refusal> {
    if section == 0 {
        return Err(Refusal::malformed(
            "log section 0 is the launcher's own; phases count from 1",
        ));
    }
    Ok(SectionId {
        run,
        attempt,
        section,
    })
}

/// The section, if this phase was entered before; another phase under its number is a mistake.
pub(super) async fn entered(
    tx: &mut Tx,
    id: SectionId,
    state: RunState,
) -> Result<Option<Section>, Refusal> {
    match logs::find(tx, id).await? {
        Some(section) if section.state == state => Ok(Some(section)),
        Some(section) => {
            let (number, of) = (id.section, section.state);
            let text = format!(
                "log section {number} of run {} is {of}, not {state}",
                id.run
            );
            Err(Refusal::new(ProblemCode::Conflict, text))
        }
        None => Ok(None),
    }
}

/// Enters the phase and opens its section; gives the state version.
pub(super) async fn open(
    tx: &mut Tx,
    held: &Held,
    event: &RunEvent,
    id: SectionId,
    now: UnixMillis,
) -> Result<u32, StoreError> {
    let by = Actor::Launcher(held.lease.launcher);
    let run = runs::apply(tx, id.run, event, &by, None, now)
        .await?
        .record
        .run;
    logs::open(tx, id, run.state, run.version).await?;
    Ok(run.version.0)
}
