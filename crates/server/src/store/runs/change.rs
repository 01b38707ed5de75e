//! Changing runs: the domain decides, one transaction makes it so.
//!
//! Takes an open write transaction, gives the run afterwards and what became runnable by it. Never: a
//! write that does not name the state version it was decided on, or a step without its line in the history.

use gantry_protocol::socket::PlanSummary;
use gantry_protocol::{PoolId, RunId, RunState, StackId};

use super::read::{get, unfinished};
use super::record::{RunRecord, RunSettings};
use crate::clock::UnixMillis;
use crate::domain::{
    Actor, Cause, Gate, MetadataEntry, Run, RunEvent, StateVersion, Step, Urgency, lock,
};
use crate::store::codes::{Code, to_json};
use crate::store::commit::Commit;
use crate::store::{StoreError, Tx, outbox, run_overrides, stacks};

/// What a new run is made of.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its first place, from [`Run::queued`].
    pub run: Run,
    /// The pool that will execute it.
    pub pool: PoolId,
    /// What lists show.
    pub title: String,
    /// The commit it executes.
    pub commit: Commit,
    /// Who or what triggered it.
    pub triggered_by: Option<String>,
    /// Task only: the command.
    pub command: Option<String>,
    /// Entries that users attached.
    pub metadata: Vec<String>,
    /// The stack's settings of this moment.
    pub settings: RunSettings,
    /// Whether an approval policy is asked before it may leave `QUEUED`.
    pub gate: Gate,
    /// Why it exists.
    pub cause: Cause,
    /// Variables for this run alone, over the stack's: name and sealed value.
    pub overrides: Vec<(String, String)>,
    /// What people should know about how it was made.
    pub note: Option<String>,
}

impl NewRun {
    /// The record that it would have, for looking at it before it exists.
    pub fn unsaved(self, at: UnixMillis) -> RunRecord {
        RunRecord {
            run: self.run,
            pool: self.pool,
            title: self.title,
            commit: self.commit,
            triggered_by: self.triggered_by,
            command: self.command,
            metadata: self.metadata,
            settings: self.settings,
            image: None,
            plan: None,
            note: self.note,
            stop_note: None,
            gate: self.gate,
            cause: self.cause,
            urgency: Urgency::Normal,
            targets: Vec::new(),
            created_at: at,
            entered_at: at,
        }
    }
}

/// What [`apply`] did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The run afterwards.
    pub record: RunRecord,
    /// What changed about it.
    pub step: Step,
    /// Runs of the same stack that became `READY` because of it.
    pub unblocked: Vec<RunId>,
}

/// Adds a run as `QUEUED`, and makes it `READY` at once if nothing blocks it.
pub async fn create(
    tx: &mut Tx,
    new: &NewRun,
    by: &Actor,
    at: UnixMillis,
) -> Result<RunRecord, StoreError> {
    insert(tx, new, at).await?;
    run_overrides::insert(tx, new.run.id, &new.overrides).await?;
    if let Some(note) = &new.note {
        add_note(tx, new.run.id, note).await?;
    }
    write_history(tx, &new.run, by.username(), None, at).await?;
    hand_over(tx, &new.run.stack, at).await?;
    get(tx, new.run.id).await
}

/// Lets a run that approval policies kept in `QUEUED` go on as soon as the stack's lock lets it.
pub async fn open_gate(tx: &mut Tx, run: &Run, at: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET gate = 'OPEN' WHERE id = $1")
        .bind(run.id.to_string())
        .execute(&mut **tx)
        .await?;
    hand_over(tx, &run.stack, at).await?;
    Ok(())
}

/// Applies an event to a run: row, history and hand-over of the stack's lock, all or nothing.
pub async fn apply(
    tx: &mut Tx,
    id: RunId,
    event: &RunEvent,
    by: &Actor,
    note: Option<&str>,
    at: UnixMillis,
) -> Result<Applied, StoreError> {
    let before = get(tx, id).await?.run;
    let transition = before.apply_by(event, by)?;
    write(tx, &before, &transition.run, at).await?;
    match transition.step {
        Step::Entered(_) => write_history(tx, &transition.run, by.username(), note, at).await?,
        Step::StopAsked => write_stop_note(tx, id, note).await?,
        Step::ContactLost | Step::ContactRestored => {}
    }
    if transition.run.state.is_terminal() {
        stacks::destroyed(tx, &transition.run, at).await?;
        run_overrides::drop(tx, id).await?;
    }
    let freed = before.holds_stack_lock() && !transition.run.holds_stack_lock();
    let left_queue = before.state == RunState::Queued;
    let unblocked = if freed || left_queue {
        hand_over(tx, &before.stack, at).await?
    } else {
        Vec::new()
    };
    Ok(Applied {
        record: get(tx, id).await?,
        step: transition.step,
        unblocked,
    })
}

/// Makes `READY` whatever the stack's lock lets through.
async fn hand_over(tx: &mut Tx, stack: &StackId, at: UnixMillis) -> Result<Vec<RunId>, StoreError> {
    let runs: Vec<Run> = unfinished(tx, stack)
        .await?
        .into_iter()
        .filter(|record| record.gate == Gate::Open || record.run.state != RunState::Queued)
        .map(|record| record.run)
        .collect();
    let next = lock::unblockable(&runs);
    for run in runs.iter().filter(|run| next.contains(&run.id)) {
        let transition = run.apply_by(&RunEvent::Unblocked, &Actor::Server)?;
        write(tx, run, &transition.run, at).await?;
        write_history(tx, &transition.run, None, None, at).await?;
    }
    Ok(next)
}

async fn insert(tx: &mut Tx, new: &NewRun, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "INSERT INTO runs (id, stack_id, pool_id, run_type, state, state_version, attempt,
                 contact, approval, task_init, stop, stop_note, holds_lock, title, commit_info,
                 triggered_by, command, metadata, settings, image, plan, note, gate, created_at,
                 entered_at, cause, urgency, scope, targets)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL, $12, $13, $14, $15, $16,
                 $17, $18, NULL, NULL, NULL, $19, $20, $20, $21, 'NORMAL', $22, '[]')";
    let run = &new.run;
    sqlx::query(sql)
        .bind(run.id.to_string())
        .bind(run.stack.as_str())
        .bind(new.pool.to_string())
        .bind(run.run_type.as_str())
        .bind(run.state.as_str())
        .bind(run.version.0)
        .bind(run.attempt.0)
        .bind(run.contact.code())
        .bind(run.approval.code())
        .bind(run.task_init.code())
        .bind(run.stop.code())
        .bind(run.holds_stack_lock())
        .bind(&new.title)
        .bind(to_json(&new.commit))
        .bind(&new.triggered_by)
        .bind(&new.command)
        .bind(to_json(&new.metadata))
        .bind(to_json(&new.settings))
        .bind(new.gate.code())
        .bind(at.0)
        .bind(new.cause.code())
        .bind(run.scope.code())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Compare and set: the row has to stand where the decision was made.
async fn write(tx: &mut Tx, before: &Run, after: &Run, at: UnixMillis) -> Result<(), StoreError> {
    let sql =
        "UPDATE runs SET state = $2, state_version = $3, attempt = $4, contact = $5, stop = $6,
                 holds_lock = $7, scope = $13,
                 entered_at = CASE WHEN state_version = $3 THEN entered_at ELSE $8 END
               WHERE id = $1 AND state_version = $9 AND attempt = $10 AND contact = $11
                 AND stop = $12";
    let done = sqlx::query(sql)
        .bind(before.id.to_string())
        .bind(after.state.as_str())
        .bind(after.version.0)
        .bind(after.attempt.0)
        .bind(after.contact.code())
        .bind(after.stop.code())
        .bind(after.holds_stack_lock())
        .bind(at.0)
        .bind(before.version.0)
        .bind(before.attempt.0)
        .bind(before.contact.code())
        .bind(before.stop.code())
        .bind(after.scope.code())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Raced { run: before.id })
    }
}

async fn write_history(
    tx: &mut Tx,
    run: &Run,
    username: Option<&str>,
    note: Option<&str>,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let StateVersion(version) = run.version;
    let sql =
        "INSERT INTO run_transitions (run_id, state_version, state, entered_at, username, note)
               VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(run.id.to_string())
        .bind(version)
        .bind(run.state.as_str())
        .bind(at.0)
        .bind(username)
        .bind(note)
        .execute(&mut **tx)
        .await?;
    outbox::news(tx, run.id, run.version).await
}

async fn write_stop_note(tx: &mut Tx, id: RunId, note: Option<&str>) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET stop_note = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(note)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Appends a user's entry to the run's metadata. The database refuses any other change of that column.
pub async fn add_metadata(tx: &mut Tx, id: RunId, entry: &MetadataEntry) -> Result<(), StoreError> {
    let metadata = entry.append_to(id, &get(tx, id).await?.metadata)?;
    sqlx::query("UPDATE runs SET metadata = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_json(&metadata))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Appends a line to the run's note; also long after its end.
pub async fn add_note(tx: &mut Tx, id: RunId, line: &str) -> Result<(), StoreError> {
    let note = match get(tx, id).await?.note {
        Some(note) => format!("{note}\n{line}"),
        None => line.to_owned(),
    };
    sqlx::query("UPDATE runs SET note = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(note)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Records the addresses that the run's next plan is limited to.
pub async fn set_targets(tx: &mut Tx, id: RunId, targets: &[String]) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET targets = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_json(&targets))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Moves a run ahead in its pool's queue, or back.
pub async fn set_urgency(tx: &mut Tx, id: RunId, urgency: Urgency) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET urgency = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(urgency.code())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Records the image that the run executes in: repository and digest.
pub async fn record_image(tx: &mut Tx, id: RunId, image: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET image = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(image)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Records what the run's plan found.
pub async fn record_plan(tx: &mut Tx, id: RunId, plan: &PlanSummary) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET plan = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_json(plan))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
