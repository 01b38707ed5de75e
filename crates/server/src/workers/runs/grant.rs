//! Grants: the durable permission to change the world.
//!
//! Takes a request of the attempt that has the run, gives an answer that is on the disk before it is given.
//! The same request again gets the same answer. Never: two grants of one phase, a grant for a run that a
//! person asked to stop, an unattended apply of a stack whose autodeploy is off *now* or that a person holds, or of a plan
//! that a plan policy denies, warns about or could not be asked about.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use gantry_policy::PolicyKind;
use gantry_protocol::control::run::{GrantAnswer, GrantRequest};
use gantry_protocol::{Attempt, RunId, RunState, RunType};

use super::held;
use super::phase::{entered, open, section_id};
use super::verdict::bounded;
use crate::clock::UnixMillis;
use crate::domain::{
    Approval, GrantedPhase, IllegalTransition, PlanSays, PlanVerdict, Run, RunEvent, Scope, Stop,
};
use crate::store::logs::SectionId;
use crate::store::runs::RunRecord;
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, policies, runs};
use crate::workers::control::Control;
use crate::workers::problem::Refusal;
use crate::workers::session::Speaker;

pub(in crate::workers) async fn grant(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    Path((run, attempt)): Path<(RunId, Attempt)>,
    body: Result<Json<GrantRequest>, JsonRejection>,
) -> Result<Json<GrantAnswer>, Refusal> {
    let Json(request) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    let phase = phase(request.state)?;
    let id = section_id(run, attempt, request.section)?;
    loop {
        let verdict = verdict(&control, speaker, (run, attempt)).await?;
        let answer = decide(&control, speaker, (id, phase), &request, &verdict).await?;
        if let Some(answer) = answer {
            return Ok(Json(answer));
        }
    }
}

/// What plan policies say about a plan that wants to go on by itself. They are asked without holding the writer.
async fn verdict(
    control: &Control,
    speaker: Speaker,
    (run, attempt): (RunId, Attempt),
) -> Result<PlanVerdict, Refusal> {
    let held = held(&mut *control.store.read().await?, speaker, run, attempt).await?;
    match held.record.run.state {
        RunState::Planning => Ok(control.judge.about_plan(run, attempt).await?),
        _ => Ok(PlanVerdict::default()),
    }
}

/// The answer; none when the policies that were asked are not those that are to be asked any more.
async fn decide(
    control: &Control,
    speaker: Speaker,
    (id, phase): (SectionId, GrantedPhase),
    request: &GrantRequest,
    verdict: &PlanVerdict,
) -> Result<Option<GrantAnswer>, Refusal> {
    let (run, attempt, now) = (id.run, id.attempt, UnixMillis::now());
    let mut tx = control.store.begin().await?;
    let mut held = held(&mut tx, speaker, run, attempt).await?;
    if let Some(known) = entered(&mut tx, id, request.state).await? {
        return Ok(Some(GrantAnswer::Granted {
            state_version: known.version.0,
        }));
    }
    held = held.current()?;
    held.alive(&mut tx, now).await?;
    if held.record.run.state == RunState::Planning
        && !control
            .judge
            .plan_verdict_holds(&mut tx, &held.record, verdict)
            .await?
    {
        return Ok(None);
    }
    let stack = stacks::find(&mut tx, &held.record.run.stack).await?;
    let asked = match &stack {
        Some(stack) => !policies::about(&mut tx, stack, PolicyKind::Approval)
            .await?
            .is_empty(),
        None => false,
    };
    if let Some(answer) = withheld(&held.record, stack.as_ref(), asked, verdict) {
        control.store.commit(tx).await?;
        return Ok(Some(answer));
    }
    if let Some(plan) = &request.plan {
        runs::record_plan(&mut tx, run, plan).await?;
    }
    let event = RunEvent::Granted(attempt, phase);
    let answer = match open(&mut tx, &held, &event, id, now).await {
        Ok(state_version) => {
            control.store.commit(tx).await?;
            GrantAnswer::Granted { state_version }
        }
        Err(StoreError::Illegal(illegal)) => denied(illegal)?,
        Err(error) => return Err(error.into()),
    };
    Ok(Some(answer))
}

fn phase(state: RunState) -> Result<GrantedPhase, Refusal> {
    match state {
        RunState::Applying => Ok(GrantedPhase::Apply),
        RunState::Performing => Ok(GrantedPhase::Perform),
        RunState::Destroying => Ok(GrantedPhase::Destroy),
        other => Err(Refusal::malformed(format!(
            "{other} is no phase that needs a grant"
        ))),
    }
}

/// What keeps a run from its phase beyond the state machine's own rules.
fn withheld(
    record: &RunRecord,
    stack: Option<&Stack>,
    asked: bool,
    verdict: &PlanVerdict,
) -> Option<GrantAnswer> {
    let run = &record.run;
    if run.stop == Stop::Asked {
        let reason = "a person asked to stop the run".to_owned();
        return Some(GrantAnswer::Denied { reason });
    }
    let Some(stack) = stack else {
        let reason = format!("stack {} was deleted", run.stack);
        return Some(GrantAnswer::Denied { reason });
    };
    let says = verdict.says();
    if says == PlanSays::Denies {
        let reason = bounded(&verdict.denials.join("; "));
        return Some(GrantAnswer::Denied { reason });
    }
    let warned = says == PlanSays::Warns;
    waits_for_person(run, stack, asked || warned).then_some(GrantAnswer::Park)
}

/// Straight from its plan a run goes on only while autodeploy is on, no person holds the stack, no approval
/// policy has to be asked and no plan policy warns. Once a person confirmed, neither matters any more.
fn waits_for_person(run: &Run, stack: &Stack, asked: bool) -> bool {
    let decided = matches!(run.run_type, RunType::Tracked | RunType::Destroy);
    let unattended = run.state == RunState::Planning && decided;
    let may = run.approval == Approval::Automatic
        && stack.settings.approval == Approval::Automatic
        && run.scope == Scope::Whole
        && stack.locked_by.is_none()
        && !asked;
    unattended && !may
}

fn denied(illegal: IllegalTransition) -> Result<GrantAnswer, Refusal> {
    match illegal {
        IllegalTransition::NotNow { .. } | IllegalTransition::StopAsked { .. } => {
            Ok(GrantAnswer::Denied {
                reason: illegal.to_string(),
            })
        }
        illegal => Err(illegal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Contact, StateVersion, TaskInit};
    use crate::store::testing::sample_stack;

    #[test]
    fn autodeploy_is_asked_again_at_the_grant() {
        use Approval::{Automatic, Person};
        use RunState::{Initializing, Planning, PreparingApply};
        use RunType::{Destroy, Task, Testing, Tracked};
        #[rustfmt::skip]
        let cases = [
            (Planning, Tracked, Automatic, Automatic, None, false),
            (Planning, Tracked, Automatic, Person, None, true),
            (Planning, Tracked, Person, Automatic, None, true),
            (Planning, Tracked, Automatic, Automatic, Some("ann"), true),
            (Planning, Destroy, Automatic, Person, None, true),
            (Planning, Testing, Person, Person, None, false),
            (PreparingApply, Tracked, Person, Person, Some("ann"), false),
            (Initializing, Task, Person, Person, None, false),
        ];
        for (state, run_type, run_approval, stack_approval, locked, waits) in cases {
            let id: RunId = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
            let slug: gantry_protocol::StackId = "net".parse().unwrap();
            let queued = Run::queued(id, slug.clone(), run_type, run_approval, TaskInit::Run);
            let run = Run {
                state,
                version: StateVersion(4),
                attempt: Attempt(1),
                contact: Contact::Live,
                ..queued
            };
            let mut stack = sample_stack(&slug, "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap());
            stack.settings.approval = stack_approval;
            stack.locked_by = locked.map(str::to_owned);
            assert_eq!(
                waits_for_person(&run, &stack, false),
                waits,
                "{state} {run_type} {locked:?}"
            );
            let decided = matches!(run_type, Tracked | Destroy) && state == Planning;
            assert_eq!(waits_for_person(&run, &stack, true), waits || decided);
        }
    }
}
