//! Results: the end of a lease.
//!
//! Takes what the launcher says at the end, gives the run's state and whether the result counted. The same
//! result again gets the same answer. A result of a run that ended meanwhile is kept as a note and changes
//! nothing else.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use gantry_policy::PolicyKind;
use gantry_protocol::control::ProblemCode;
use gantry_protocol::control::run::{Outcome, ResultTaken, RunResult};
use gantry_protocol::{Attempt, Digest, RunId, RunState};

use super::verdict::{Said, bounded, may_park, verdict};
use super::workspace::attested;
use super::{Held, held};
use crate::clock::UnixMillis;
use crate::domain::Actor;
use crate::store::leases::{self, LeaseStanding};
use crate::store::{Tx, artifacts, inbox, policies, runs, stacks};
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
    loop {
        let said = said(&control, speaker, (run, attempt), &result).await?;
        let taken = settle(&control, speaker, (run, attempt), &result, &said).await?;
        if let Some(taken) = taken {
            return Ok(Json(taken));
        }
    }
}

/// What plan policies say about a plan that came to its end. They are asked without holding the writer.
async fn said(
    control: &Control,
    speaker: Speaker,
    (run, attempt): (RunId, Attempt),
    result: &RunResult,
) -> Result<Said, Refusal> {
    let mut conn = control.store.read().await?;
    let held = held(&mut conn, speaker, run, attempt).await?;
    let planned = held.record.run.state == RunState::Planning
        && matches!(result.outcome, Outcome::Succeeded | Outcome::Parked { .. });
    if !planned {
        return Ok(Said::default());
    }
    let stack = stacks::find(&mut conn, &held.record.run.stack).await?;
    let reviewed = match &stack {
        Some(stack) => !policies::about(&mut conn, stack, PolicyKind::Approval)
            .await?
            .is_empty(),
        None => false,
    };
    drop(conn);
    Ok(Said {
        asked: true,
        plan: control.judge.about_plan(run, attempt).await?,
        reviewed,
    })
}

/// Takes the result; none when the policies that were asked are not those that are to be asked any more.
async fn settle(
    control: &Control,
    speaker: Speaker,
    (run, attempt): (RunId, Attempt),
    result: &RunResult,
    said: &Said,
) -> Result<Option<ResultTaken>, Refusal> {
    let now = UnixMillis::now();
    let mut tx = control.store.begin().await?;
    let held = held(&mut tx, speaker, run, attempt).await?;
    let known = artifacts::find_result::<RunResult>(&mut tx, run, attempt).await?;
    if let Some((_, counted)) = known {
        let state = held.record.run.state;
        return Ok(Some(ResultTaken { state, counted }));
    }
    let judge = &control.judge;
    if said.asked
        && !judge
            .plan_verdict_holds(&mut tx, &held.record, &said.plan)
            .await?
    {
        return Ok(None);
    }
    let taken = if held.record.run.state.is_terminal() {
        keep_as_note(&mut tx, &held, result, now).await?
    } else {
        take(&mut tx, held.current()?, result, said, now).await?
    };
    control.store.commit(tx).await?;
    if taken.counted && matches!(taken.state, RunState::Unconfirmed | RunState::PendingReview) {
        // What policies say without anybody's review. The launcher does not wait for it.
        let judge = control.judge.clone();
        tokio::spawn(async move { judge.settle_alone(run).await });
    }
    let logs = control.logs.clone();
    tokio::spawn(async move { logs.gather_attempt(run, attempt).await });
    Ok(Some(taken))
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
    said: &Said,
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
    let verdict = verdict(&held.record.run, result, said);
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
