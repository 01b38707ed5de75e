//! Looking whether the world still is as it was deployed, on a schedule.
//!
//! Takes schedules from people, makes previews of what was deployed when they are due, and deployments of the same commit
//! where a difference is to be undone. Never: a look at a stack that is off, held, being deleted or busy, two looks at
//! one stack at once, or a deployment that passes over what the stack's own rules ask for.

use gantry_policy::PolicyKind;
use gantry_protocol::{RunId, RunState, RunType, StackId};

use super::runtime::{resolve, settings_of};
use super::{Operate, OperationError, door};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::code_hosts::Repository;
use crate::domain::stack::Availability;
use crate::domain::{Actor, Cause, Gate, Run, Schedule, TaskInit};
use crate::error::chain;
use crate::store::audit::{self, Deed};
use crate::store::commit::Commit;
use crate::store::drift::{self, Consequence, DriftSchedule};
use crate::store::runs::{self, NewRun, RunRecord};
use crate::store::stacks::{self, Stack};
use crate::store::{Conn, StoreError, Tx, policies};

/// Who such runs say triggered them.
const TRIGGERED_BY: &str = "drift detection";

/// A schedule whose times are over is asked about again after this, in milliseconds.
const LATER: i64 = 24 * 3_600_000;

/// A schedule to set.
#[derive(Clone, Debug)]
pub struct DriftInput {
    /// Lines of cron.
    pub crons: Vec<String>,
    /// Name of their time zone.
    pub zone: String,
    /// What follows from a difference.
    pub consequence: Consequence,
}

impl Operate {
    /// Sets when a stack is looked at.
    pub async fn set_drift(
        &self,
        stack: &str,
        input: DriftInput,
    ) -> Result<DriftSchedule, OperationError> {
        let now = UnixMillis::now();
        let times = Schedule::new(&input.crons, &input.zone, now.0)?;
        let mut tx = self.app.store.begin().await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        let schedule = DriftSchedule {
            stack: stack.id,
            crons: input.crons,
            zone: input.zone,
            consequence: input.consequence,
            next_at: UnixMillis(times.next(now.0).unwrap_or(now.0.saturating_add(LATER))),
            run: None,
        };
        drift::set(&mut tx, &schedule).await?;
        self.finish_hold(tx, &schedule.stack, "stack.drift.set")
            .await?;
        Ok(schedule)
    }

    /// Looks at a stack no more; nothing if nobody asked for it.
    pub async fn remove_drift(&self, stack: &str) -> Result<Option<Stack>, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        match drift::remove(&mut tx, &stack.id).await? {
            true => {
                let done = self.finish_hold(tx, &stack.id, "stack.drift.delete");
                Ok(Some(done.await?))
            }
            false => Ok(None),
        }
    }
}

/// One turn: draws the consequences of looks that have ended, then makes those that are due.
///
/// # Errors
/// When the database fails; what was done before stays so, and the rest is done at the next turn.
pub async fn look_for_drift(app: &App, now: UnixMillis) -> Result<(), StoreError> {
    let looked = drift::looked(&mut *app.store.read().await?).await?;
    for schedule in looked {
        conclude(app, &schedule, now).await?;
    }
    let due = drift::due(&mut *app.store.read().await?, now).await?;
    for schedule in due {
        look(app, &schedule, now).await?;
    }
    Ok(())
}

async fn conclude(app: &App, schedule: &DriftSchedule, now: UnixMillis) -> Result<(), StoreError> {
    let Some(look) = schedule.run else {
        return Ok(());
    };
    let mut conn = app.store.read().await?;
    let record = runs::get(&mut conn, look).await?;
    let stack = usable(&mut conn, &schedule.stack).await?;
    drop(conn);
    let differs = record.run.state == RunState::Finished
        && record.plan.as_ref().is_some_and(|plan| plan.has_changes);
    let wanted = differs && schedule.consequence == Consequence::Reconciled;
    let new = match stack.filter(|_| wanted) {
        Some(stack) => {
            let title = format!("Reconciliation of drift that run {look} found");
            let what = (RunType::Tracked, Cause::Asked);
            Some(prepared(app, &stack, what, (title, record.commit)).await)
        }
        None => None,
    };
    let mut tx = app.store.begin().await?;
    drift::settle(&mut tx, &schedule.stack, look).await?;
    let made = match new {
        Some(Ok(new)) => make(app, &mut tx, new, now).await?,
        Some(Err(error)) => {
            let line = format!("it was not deployed away: {}", chain(&error));
            runs::add_note(&mut tx, look, &line).await?;
            None
        }
        None => None,
    };
    app.store.commit(tx).await?;
    ask(app, made).await
}

async fn look(app: &App, schedule: &DriftSchedule, now: UnixMillis) -> Result<(), StoreError> {
    let times = Schedule::new(&schedule.crons, &schedule.zone, now.0).ok();
    let next = times.and_then(|times| times.next(now.0));
    let next = UnixMillis(next.unwrap_or(now.0.saturating_add(LATER)));
    let mut conn = app.store.read().await?;
    let stack = usable(&mut conn, &schedule.stack).await?;
    drop(conn);
    // One look at a time: the one before may not have ended, or nobody has drawn its consequence.
    let stack = stack.filter(|_| schedule.run.is_none());
    let tracked = stack.as_ref().and_then(|stack| stack.tracked.clone());
    let new = match stack.zip(tracked) {
        Some((stack, tracked)) => {
            let title = format!("Drift detection of {}", stack.id);
            let what = (RunType::Proposed, Cause::Drift);
            let new = prepared(app, &stack, what, (title, tracked.commit)).await;
            let failed = |error: &OperationError| {
                let (stack, error) = (&stack.id, chain(error));
                tracing::warn!(%stack, error, "a look for drift could not be made");
            };
            new.inspect_err(failed).ok()
        }
        None => None,
    };
    let mut tx = app.store.begin().await?;
    let made = match new {
        Some(new) => make(app, &mut tx, new, now).await?,
        None => None,
    };
    let run = made.as_ref().map(|record| record.run.id);
    drift::advance(&mut tx, &schedule.stack, next, run).await?;
    app.store.commit(tx).await?;
    ask(app, made).await
}

/// The stack, if it may get runs that no person asked for: nobody holds it, and no run does.
async fn usable(conn: &mut Conn, id: &StackId) -> Result<Option<Stack>, StoreError> {
    let Some(stack) = stacks::find(conn, id).await? else {
        return Ok(None);
    };
    let free = stack.availability == Availability::Enabled
        && stack.deleted_by.is_none()
        && stack.locked_by.is_none()
        && stack.settings.pool.is_some()
        && runs::lock_holder(conn, id).await?.is_none();
    Ok(free.then_some(stack))
}

/// A run with its settings, which the repository has a say in.
async fn prepared(
    app: &App,
    stack: &Stack,
    (run_type, cause): (RunType, Cause),
    (title, commit): (String, Commit),
) -> Result<NewRun, OperationError> {
    let missing = || OperationError::NoPool {
        stack: stack.id.to_string(),
    };
    let id = RunId::from_ulid(app.store.new_id());
    let approval = stack.settings.approval;
    let settings = (settings_of(stack), commit.clone());
    let (url, space) = (&stack.settings.code.url, &stack.settings.space);
    let repository = Repository::of(app, url, space).await?;
    let applied = resolve(&repository, stack, settings, None).await?;
    Ok(NewRun {
        run: Run::queued(id, stack.id.clone(), run_type, approval, TaskInit::Run),
        pool: stack.settings.pool.ok_or_else(missing)?,
        title,
        commit,
        triggered_by: Some(TRIGGERED_BY.to_owned()),
        command: None,
        metadata: Vec::new(),
        settings: applied.settings,
        gate: Gate::Open,
        cause,
        overrides: Vec::new(),
        note: applied.note,
    })
}

/// Makes the run, unless its stack was taken meanwhile.
async fn make(
    app: &App,
    tx: &mut Tx,
    mut new: NewRun,
    now: UnixMillis,
) -> Result<Option<RunRecord>, StoreError> {
    let Some(stack) = usable(tx, &new.run.stack).await? else {
        return Ok(None);
    };
    let asked = policies::about(tx, &stack, PolicyKind::Approval).await?;
    if !asked.is_empty() {
        new.gate = Gate::Closed;
    }
    let record = runs::create(tx, &new, &Actor::Server, now).await?;
    let deed = Deed {
        actor: &Actor::Server,
        action: "run.create",
        subject: format!("run:{}", new.run.id),
        detail: serde_json::json!({ "by": TRIGGERED_BY }),
    };
    audit::record(&app.store, tx, deed).await?;
    Ok(Some(record))
}

/// Asks approval policies about a run that was made, as about any other.
async fn ask(app: &App, made: Option<RunRecord>) -> Result<(), StoreError> {
    if made.is_some_and(|record| record.gate == Gate::Closed) {
        app.judge.settle_waiting().await;
    }
    Ok(())
}
