//! Results: the end of a lease.
//!
//! Takes what the launcher says at the end, gives the run's state and whether the result counted. The same
//! result again gets the same answer. A result of a run that ended meanwhile is kept as a note and changes
//! nothing else.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{Outcome, ResultTaken, RunResult};
use gantry_protocol::{Attempt, Digest, RunId};

use super::verdict::{bounded, may_park, verdict};
use super::workspace::attested;
use super::{Held, held};
use crate::clock::UnixMillis;
use crate::domain::Actor;
use crate::store::leases::{self, LeaseStanding};
use crate::store::{Tx, artifacts, inbox, runs};
use crate::tfstate;
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

pub(in crate::workers) async fn result(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
    body: Result<Json<RunResult>, JsonRejection>,
) -> Result<Json<ResultTaken>, Refusal> {
    let Json(result) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    let now = UnixMillis::now();
    let mut tx = control.store.begin().await?;
    let held = held(&mut tx, speaker, run, attempt).await?;
    let known = artifacts::find_result::<RunResult>(&mut tx, run, attempt).await?;
    if let Some((_, counted)) = known {
        let state = held.record.run.state;
        return Ok(Json(ResultTaken { state, counted }));
    }
    let taken = if held.record.run.state.is_terminal() {
        keep_as_note(&mut tx, &held, &result, now).await?
    } else {
        take(&mut tx, held.current()?, &result, now).await?
    };
    control.store.commit(tx).await?;
    let logs = control.logs.clone();
    tokio::spawn(async move { logs.gather_attempt(run, attempt).await });
    Ok(Json(taken))
}

/// The run was given up, or its lease taken back and the run ended by a person.
async fn keep_as_note(
    tx: &mut Tx,
    held: &Held,
    result: &RunResult,
    now: UnixMillis,
) -> Result<ResultTaken, Refusal> {
    let (run, attempt) = (held.record.run.id, held.lease.attempt);
    artifacts::insert_result(tx, run, attempt, result, false, now).await?;
    let line = format!(
        "too late to count, attempt {attempt} reported: {}",
        bounded(&words(&result.outcome))
    );
    runs::add_note(tx, run, &line).await?;
    Ok(ResultTaken {
        state: held.record.run.state,
        counted: false,
    })
}

async fn take(
    tx: &mut Tx,
    held: Held,
    result: &RunResult,
    now: UnixMillis,
) -> Result<ResultTaken, Refusal> {
    let (run, attempt) = (held.record.run.id, held.lease.attempt);
    if let Outcome::Parked { attestation } = &result.outcome
        && may_park(&held.record.run)
    {
        check_workspace(tx, &held, attestation).await?;
    }
    if let Some(plan) = &result.plan {
        runs::record_plan(tx, run, plan).await?;
    }
    if let Some(image) = result.image.as_deref().filter(|image| is_pinned(image)) {
        runs::record_image(tx, run, image).await?;
    }
    let verdict = verdict(&held.record.run, result);
    let by = Actor::Launcher(held.lease.launcher);
    let mut note = verdict.note;
    if let Some(left) = tfstate::release(tx, &held.record, attempt).await? {
        note = Some(note.map_or(left.clone(), |note| format!("{note}; {left}")));
    }
    let applied = runs::apply(tx, run, &verdict.event, &by, note.as_deref(), now).await?;
    if let Some(note) = &note {
        runs::add_note(tx, run, note).await?;
    }
    leases::stand(tx, run, attempt, LeaseStanding::Ended, now).await?;
    inbox::withdraw(tx, run, attempt).await?;
    artifacts::insert_result(tx, run, attempt, result, true, now).await?;
    Ok(ResultTaken {
        state: applied.record.run.state,
        counted: true,
    })
}

/// A parked run's workspace has to be here, and to be the one that the launcher attests.
async fn check_workspace(tx: &mut Tx, held: &Held, attestation: &str) -> Result<(), Refusal> {
    let (run, attempt) = (held.record.run.id, held.lease.attempt);
    let missing = || {
        let text = format!(
            "attempt {attempt} of run {run} stored no workspace with this attestation; upload it first"
        );
        Refusal::new(ProblemCode::Conflict, text)
    };
    let row = artifacts::workspace(tx, run, attempt)
        .await?
        .ok_or_else(missing)?;
    let (attested, _) = attested(tx, held, attestation).await?;
    if attested.sealed == row.sealed {
        Ok(())
    } else {
        Err(missing())
    }
}

/// What ran is told by digest or not at all.
fn is_pinned(image: &str) -> bool {
    image.len() <= 1024
        && image
            .rsplit_once('@')
            .is_some_and(|(_, digest)| digest.parse::<Digest>().is_ok())
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "success".to_owned(),
        Outcome::Parked { .. } => "a plan with changes".to_owned(),
        Outcome::Refused { message, .. } => format!("refused: {message}"),
        Outcome::Failed { message, .. } => format!("failed: {message}"),
        Outcome::Stopped { message } => format!("stopped: {message}"),
    }
}
