//! Schedules of looks for drift.
//!
//! Takes and gives rows. Never: the decision what follows from a look.

use std::collections::HashMap;

use gantry_protocol::{RunId, StackId};

use super::codes::{Code, from_json, parse, to_json};
use super::{Conn, StoreError, many};
use crate::clock::UnixMillis;

/// Schedules that one turn takes.
const BATCH: u32 = 100;

/// What follows from a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// People see it.
    Shown,
    /// What was deployed is deployed again.
    Reconciled,
}

impl Code for Consequence {
    const COLUMN: &'static str = "reconcile";
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Shown, "SHOWN"), (Self::Reconciled, "RECONCILED")];
}

/// When a stack is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftSchedule {
    /// The stack.
    pub stack: StackId,
    /// Lines of cron.
    pub crons: Vec<String>,
    /// Name of their time zone.
    pub zone: String,
    /// What follows from a difference.
    pub consequence: Consequence,
    /// When the next look is due.
    pub next_at: UnixMillis,
    /// The look that no consequence was drawn from yet.
    pub run: Option<RunId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    stack_id: String,
    crons: String,
    zone: String,
    reconcile: String,
    next_at: i64,
    run_id: Option<String>,
}

impl TryFrom<Row> for DriftSchedule {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            stack: parse("stack id", &row.stack_id)?,
            crons: from_json("crons", &row.crons)?,
            zone: row.zone,
            consequence: Consequence::decode(&row.reconcile)?,
            next_at: UnixMillis(row.next_at),
            run: row.run_id.map(|id| parse("run id", &id)).transpose()?,
        })
    }
}

/// Sets a stack's schedule; a look on its way stays known.
pub async fn set(conn: &mut Conn, schedule: &DriftSchedule) -> Result<(), StoreError> {
    let sql = "INSERT INTO drift_schedules (stack_id, crons, zone, reconcile, next_at, run_id)
               VALUES ($1, $2, $3, $4, $5, NULL)
               ON CONFLICT (stack_id) DO UPDATE SET crons = excluded.crons, zone = excluded.zone,
                 reconcile = excluded.reconcile, next_at = excluded.next_at";
    sqlx::query(sql)
        .bind(schedule.stack.as_str())
        .bind(to_json(&schedule.crons))
        .bind(&schedule.zone)
        .bind(schedule.consequence.code())
        .bind(schedule.next_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The schedules of these stacks.
pub async fn of_stacks(
    conn: &mut Conn,
    stacks: &[StackId],
) -> Result<HashMap<StackId, DriftSchedule>, StoreError> {
    let sql = "SELECT * FROM drift_schedules WHERE stack_id IN ($list)";
    let rows: Vec<Row> = many::rows(conn, sql, stacks).await?;
    let schedule = |row: Row| {
        let schedule = DriftSchedule::try_from(row)?;
        Ok((schedule.stack.clone(), schedule))
    };
    rows.into_iter().map(schedule).collect()
}

/// Forgets a stack's schedule; `false` if it had none.
pub async fn remove(conn: &mut Conn, stack: &StackId) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM drift_schedules WHERE stack_id = $1")
        .bind(stack.as_str())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Schedules that are due, the longest waiting first.
pub async fn due(conn: &mut Conn, now: UnixMillis) -> Result<Vec<DriftSchedule>, StoreError> {
    let sql = "SELECT * FROM drift_schedules WHERE next_at <= $1 ORDER BY next_at LIMIT $2";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(now.0)
        .bind(BATCH)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(DriftSchedule::try_from).collect()
}

/// Schedules whose look has ended and had no consequence yet.
pub async fn looked(conn: &mut Conn) -> Result<Vec<DriftSchedule>, StoreError> {
    let sql = "SELECT d.* FROM drift_schedules d JOIN runs r ON r.id = d.run_id
               WHERE d.run_id IS NOT NULL
                 AND r.state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED', 'SKIPPED')
               LIMIT $1";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(BATCH).fetch_all(conn).await?;
    rows.into_iter().map(DriftSchedule::try_from).collect()
}

/// Moves a schedule on, to its next time and the look that it made; none keeps the one before.
pub async fn advance(
    conn: &mut Conn,
    stack: &StackId,
    next_at: UnixMillis,
    run: Option<RunId>,
) -> Result<(), StoreError> {
    let sql = "UPDATE drift_schedules SET next_at = $2, run_id = COALESCE($3, run_id)
               WHERE stack_id = $1";
    sqlx::query(sql)
        .bind(stack.as_str())
        .bind(next_at.0)
        .bind(run.map(|run| run.to_string()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Nothing more follows from a look.
pub async fn settle(conn: &mut Conn, stack: &StackId, run: RunId) -> Result<(), StoreError> {
    let sql = "UPDATE drift_schedules SET run_id = NULL WHERE stack_id = $1 AND run_id = $2";
    sqlx::query(sql)
        .bind(stack.as_str())
        .bind(run.to_string())
        .execute(conn)
        .await?;
    Ok(())
}
