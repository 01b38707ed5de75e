//! Leases: which launcher has which attempt of which run, and when it was last renewed.
//!
//! Takes and gives rows. Never: the decision that a lease is over (`dispatch::expiry`).

use std::collections::HashMap;

use gantry_protocol::payload::Stage;
use gantry_protocol::{Attempt, LauncherId, PoolId, RunId, RunType, StackId};

use super::codes::{Code, parse, unreadable};
use super::{Conn, StoreError, many};
use crate::clock::UnixMillis;
use crate::domain::{Cause, Urgency};

/// One attempt of a run in a launcher's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// The run.
    pub run: RunId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Who has it.
    pub launcher: LauncherId,
    /// Which part of the run.
    pub stage: Stage,
    /// How it stands.
    pub standing: LeaseStanding,
    /// Since when.
    pub standing_at: UnixMillis,
    /// Last sign of life.
    pub renewed_at: UnixMillis,
    /// When it was handed out.
    pub leased_at: UnixMillis,
}

/// How a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseStanding {
    /// Held.
    Live,
    /// Granted and silent: its late result still counts.
    Lost,
    /// Over.
    Ended,
}

impl Code for LeaseStanding {
    const COLUMN: &'static str = "leases.standing";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Live, "LIVE"),
        (Self::Lost, "LOST"),
        (Self::Ended, "ENDED"),
    ];
}

impl Code for Stage {
    const COLUMN: &'static str = "stage";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Start, "START"),
        (Self::Apply, "APPLY"),
        (Self::Replan, "REPLAN"),
    ];
}

#[derive(sqlx::FromRow)]
struct Row {
    run_id: String,
    attempt: i64,
    launcher_id: String,
    stage: String,
    standing: String,
    standing_at: i64,
    renewed_at: i64,
    leased_at: i64,
}

impl TryFrom<Row> for LeaseRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let attempt = u32::try_from(row.attempt);
        Ok(Self {
            run: parse("run id", &row.run_id)?,
            attempt: Attempt(attempt.map_err(|_| unreadable("attempt", ""))?),
            launcher: parse("launcher id", &row.launcher_id)?,
            stage: Stage::decode(&row.stage)?,
            standing: LeaseStanding::decode(&row.standing)?,
            standing_at: UnixMillis(row.standing_at),
            renewed_at: UnixMillis(row.renewed_at),
            leased_at: UnixMillis(row.leased_at),
        })
    }
}

/// Hands a run out.
pub async fn insert(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
    launcher: LauncherId,
    stage: Stage,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO leases (run_id, attempt, launcher_id, stage, standing, standing_at,
                 renewed_at, leased_at, stop_sent)
               VALUES ($1, $2, $3, $4, 'LIVE', $5, $5, $5, FALSE)";
    sqlx::query(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .bind(launcher.to_string())
        .bind(stage.code())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The lease of this attempt, if it was ever handed out.
pub async fn find(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<Option<LeaseRow>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM leases WHERE run_id = $1 AND attempt = $2")
            .bind(run.to_string())
            .bind(attempt.0)
            .fetch_optional(conn)
            .await?;
    row.map(LeaseRow::try_from).transpose()
}

/// The newest attempt that was handed out.
pub async fn newest(conn: &mut Conn, run: RunId) -> Result<Option<LeaseRow>, StoreError> {
    let sql = "SELECT * FROM leases WHERE run_id = $1 ORDER BY attempt DESC LIMIT 1";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(LeaseRow::try_from).transpose()
}

/// Renews a lease that is not over; `false` when it is over or another launcher's.
pub async fn renew(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
    launcher: LauncherId,
    at: UnixMillis,
) -> Result<bool, StoreError> {
    let sql = "UPDATE leases SET renewed_at = $4
               WHERE run_id = $1 AND attempt = $2 AND launcher_id = $3 AND standing <> 'ENDED'";
    let done = sqlx::query(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .bind(launcher.to_string())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Changes how a lease stands.
pub async fn stand(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
    standing: LeaseStanding,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "UPDATE leases SET standing = $3, standing_at = $4
               WHERE run_id = $1 AND attempt = $2";
    sqlx::query(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .bind(standing.code())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Held leases that were last renewed before `before`, the longest silent first.
pub async fn silent(conn: &mut Conn, before: UnixMillis) -> Result<Vec<LeaseRow>, StoreError> {
    let sql = "SELECT * FROM leases WHERE standing = 'LIVE' AND renewed_at < $1
               ORDER BY renewed_at LIMIT 1000";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(before.0).fetch_all(conn).await?;
    rows.into_iter().map(LeaseRow::try_from).collect()
}

/// Leases that were lost before `before`.
pub async fn lost(conn: &mut Conn, before: UnixMillis) -> Result<Vec<LeaseRow>, StoreError> {
    let sql = "SELECT * FROM leases WHERE standing = 'LOST' AND standing_at < $1
               ORDER BY renewed_at LIMIT 1000";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(before.0).fetch_all(conn).await?;
    rows.into_iter().map(LeaseRow::try_from).collect()
}

/// What a launcher has in hand.
pub async fn held(conn: &mut Conn, launcher: LauncherId) -> Result<Vec<LeaseRow>, StoreError> {
    let sql = "SELECT * FROM leases WHERE launcher_id = $1 AND standing IN ('LIVE', 'LOST')
               ORDER BY run_id";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(launcher.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(LeaseRow::try_from).collect()
}

/// Leases whose runs were asked to stop and whose launchers were not told yet, with what the person wrote.
pub async fn unsent_stops(conn: &mut Conn) -> Result<Vec<(LeaseRow, String)>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Asked {
        #[sqlx(flatten)]
        lease: Row,
        stop_note: Option<String>,
    }
    let sql = "SELECT leases.*, runs.stop_note AS stop_note
               FROM leases JOIN runs ON runs.id = leases.run_id AND runs.attempt = leases.attempt
               WHERE leases.standing IN ('LIVE', 'LOST') AND NOT leases.stop_sent
                 AND runs.stop = 'ASKED'";
    let rows: Vec<Asked> = sqlx::query_as(sql).fetch_all(conn).await?;
    let pair = |row: Asked| Ok((row.lease.try_into()?, row.stop_note.unwrap_or_default()));
    rows.into_iter().map(pair).collect()
}

/// Remembers that the launcher's inbox holds the stop.
pub async fn mark_stop_sent(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE leases SET stop_sent = TRUE WHERE run_id = $1 AND attempt = $2")
        .bind(run.to_string())
        .bind(attempt.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// What a launcher is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many runs it has.
    pub leases: u32,
    /// When it last had one; nothing before its first.
    pub idle_since: Option<UnixMillis>,
}

/// What each of these launchers is busy with.
pub async fn held_by(
    conn: &mut Conn,
    launchers: &[LauncherId],
) -> Result<HashMap<LauncherId, Held>, StoreError> {
    let sql = "SELECT id,
                 (SELECT COUNT(*) FROM leases WHERE launcher_id = launchers.id
                    AND standing IN ('LIVE', 'LOST')),
                 (SELECT MAX(standing_at) FROM leases WHERE launcher_id = launchers.id
                    AND standing = 'ENDED')
               FROM launchers WHERE id IN ($list)";
    let rows: Vec<(String, u32, Option<i64>)> = many::rows(conn, sql, launchers).await?;
    let held = |(id, leases, ended): (String, u32, Option<i64>)| {
        let idle_since = ended.map(UnixMillis);
        Ok((parse("launcher id", &id)?, Held { leases, idle_since }))
    };
    rows.into_iter().map(held).collect()
}

/// Pools that have runs waiting for a launcher.
pub async fn pools_with_waiting_runs(conn: &mut Conn) -> Result<Vec<PoolId>, StoreError> {
    let sql = "SELECT DISTINCT pool_id FROM runs
               WHERE state IN ('READY', 'CONFIRMED', 'REPLAN_REQUESTED')";
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.iter().map(|(id,)| parse("pool id", id)).collect()
}

/// How many looks for drift a pool's launchers do now.
pub async fn drift_looks(conn: &mut Conn, pool: PoolId) -> Result<u32, StoreError> {
    let sql = "SELECT COUNT(*) FROM runs WHERE pool_id = $1 AND cause = 'DRIFT'
                 AND state IN ('PREPARING', 'INITIALIZING', 'PLANNING')";
    let (count,) = sqlx::query_as(sql)
        .bind(pool.to_string())
        .fetch_one(conn)
        .await?;
    Ok(count)
}

/// A run that waits for a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRun {
    /// The run.
    pub run: RunId,
    /// Its stack.
    pub stack: StackId,
    /// What it is for.
    pub run_type: RunType,
    /// Why it exists.
    pub cause: Cause,
    /// Whether a person moved it ahead.
    pub urgency: Urgency,
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    id: String,
    stack_id: String,
    run_type: String,
    cause: String,
    urgency: String,
}

/// A pool's runs that wait for a launcher, most urgent first, at most 1000.
pub async fn waiting_runs(conn: &mut Conn, pool: PoolId) -> Result<Vec<WaitingRun>, StoreError> {
    let sql = "SELECT id, stack_id, run_type, cause, urgency FROM runs
               WHERE pool_id = $1 AND state IN ('READY', 'CONFIRMED', 'REPLAN_REQUESTED')
               ORDER BY CASE urgency WHEN 'PRIORITISED' THEN 0 ELSE 1 END,
                 CASE WHEN cause = 'DRIFT' THEN 2 WHEN run_type = 'PROPOSED' THEN 1 ELSE 0 END,
                 id
               LIMIT 1000";
    let rows: Vec<WaitingRow> = sqlx::query_as(sql)
        .bind(pool.to_string())
        .fetch_all(conn)
        .await?;
    let waiting = |row: WaitingRow| {
        Ok(WaitingRun {
            run: parse("run id", &row.id)?,
            stack: parse("stack id", &row.stack_id)?,
            run_type: parse("run_type", &row.run_type)?,
            cause: Cause::decode(&row.cause)?,
            urgency: Urgency::decode(&row.urgency)?,
        })
    };
    rows.into_iter().map(waiting).collect()
}
