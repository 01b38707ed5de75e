//! Runs and plans that are kept no longer.
//!
//! Takes a point in time, gives what ended before it and may go; removes one thing at a time. Never: a run that the view
//! `spent_runs` does not name, a line of the audit trail, or an object (the caller's, before its row goes).

use gantry_protocol::{Attempt, RunId};

use super::codes::{parse, unreadable};
use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// What a plan says of itself once its document is gone.
const REMOVED: &str = "it was removed: plans are kept only so long";

/// Up to `limit` runs that ended before `before` and that nothing needs, the longest ended first.
pub async fn runs(
    conn: &mut Conn,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let sql = "SELECT id FROM spent_runs
               WHERE entered_at < $1 ORDER BY entered_at LIMIT $2";
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(before.0)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|(id,)| parse("run id", id)).collect()
}

/// Keys of all objects that belong to a run.
pub async fn objects(conn: &mut Conn, run: RunId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT blob FROM log_chunks WHERE run_id = $1 AND blob IS NOT NULL
               UNION SELECT blob FROM run_plans WHERE run_id = $1 AND blob IS NOT NULL
               UNION SELECT blob FROM local_workspaces WHERE run_id = $1 AND blob IS NOT NULL";
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|(blob,)| blob).collect())
}

/// Removes a run with all that belongs to it; `false`, and nothing is changed, if something needs it by now.
pub async fn remove_run(conn: &mut Conn, run: RunId) -> Result<bool, StoreError> {
    let run = run.to_string();
    let spent: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM spent_runs WHERE id = $1")
        .bind(&run)
        .fetch_optional(&mut *conn)
        .await?;
    if spent.is_none() {
        return Ok(false);
    }
    for sql in [
        "DELETE FROM log_chunks WHERE run_id = $1",
        "DELETE FROM log_sections WHERE run_id = $1",
        "DELETE FROM run_plans WHERE run_id = $1",
        "DELETE FROM local_workspaces WHERE run_id = $1",
        "DELETE FROM run_overrides WHERE run_id = $1",
        "DELETE FROM run_flags WHERE run_id = $1",
        "DELETE FROM run_reviews WHERE run_id = $1",
        "DELETE FROM run_results WHERE run_id = $1",
        "DELETE FROM run_transitions WHERE run_id = $1",
        "DELETE FROM deliveries WHERE run_id = $1",
        "DELETE FROM leases WHERE run_id = $1",
        "DELETE FROM runs WHERE id = $1",
    ] {
        sqlx::query(sql).bind(&run).execute(&mut *conn).await?;
    }
    Ok(true)
}

/// A plan whose document may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentPlan {
    /// The run.
    pub run: RunId,
    /// The attempt that planned.
    pub attempt: Attempt,
    /// Key of the sealed object.
    pub blob: String,
}

/// Up to `limit` plans of runs that ended before `before`, the oldest first; not those of runs that wrote the newest state
/// of their stack, which say where its values come from.
pub async fn plans(
    conn: &mut Conn,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<SpentPlan>, StoreError> {
    let sql = "SELECT p.run_id, p.attempt, p.blob FROM run_plans p JOIN runs r ON r.id = p.run_id
               WHERE p.blob IS NOT NULL AND p.stored_at < $1 AND r.entered_at < $1
                 AND r.state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED', 'SKIPPED')
                 AND NOT EXISTS (SELECT 1 FROM state_versions s WHERE s.run_id = p.run_id
                   AND s.version = (SELECT MAX(n.version) FROM state_versions n
                                    WHERE n.stack_id = s.stack_id))
               ORDER BY p.stored_at LIMIT $2";
    let rows: Vec<(String, i64, String)> = sqlx::query_as(sql)
        .bind(before.0)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let plan = |(run, attempt, blob): (String, i64, String)| {
        let number = u32::try_from(attempt).map_err(|_| unreadable("attempt", ""))?;
        Ok(SpentPlan {
            run: parse("run id", &run)?,
            attempt: Attempt(number),
            blob,
        })
    };
    rows.into_iter().map(plan).collect()
}

/// A plan's document is gone; what it found and what policies said of it stays.
pub async fn forget_plan(conn: &mut Conn, plan: &SpentPlan) -> Result<(), StoreError> {
    let sql = "UPDATE run_plans SET blob = NULL, withheld = $4, size = 0
               WHERE run_id = $1 AND attempt = $2 AND blob = $3";
    sqlx::query(sql)
        .bind(plan.run.to_string())
        .bind(plan.attempt.0)
        .bind(&plan.blob)
        .bind(REMOVED)
        .execute(conn)
        .await?;
    Ok(())
}
