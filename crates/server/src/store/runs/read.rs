//! Looking at runs.
//!
//! Takes ids and places in a list, gives records. Never: a change.

use gantry_protocol::{RunId, RunType, StackId};

use super::record::{HistoryRow, Row};
use super::{RunRecord, TransitionRow};
use crate::store::codes::parse;
use crate::store::{Conn, StoreError};

/// Which runs of a stack a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All of them.
    All,
    /// Those of one type.
    Only(RunType),
}

/// The run of this id, if there is one.
pub async fn find(conn: &mut Conn, id: RunId) -> Result<Option<RunRecord>, StoreError> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM runs WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(RunRecord::try_from).transpose()
}

/// The run of this id.
pub async fn get(conn: &mut Conn, id: RunId) -> Result<RunRecord, StoreError> {
    let missing = StoreError::NotFound {
        kind: "run",
        id: id.to_string(),
    };
    find(conn, id).await?.ok_or(missing)
}

/// Up to `limit` runs of a stack, newest first, older than `before`.
pub async fn list(
    conn: &mut Conn,
    stack: &StackId,
    which: Listing,
    before: Option<RunId>,
    limit: u32,
) -> Result<Vec<RunRecord>, StoreError> {
    // ULIDs are made of characters below `~`.
    let before = before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    let rows: Vec<Row> = match which {
        Listing::All => {
            let sql = "SELECT * FROM runs WHERE stack_id = $1 AND id < $2
                       ORDER BY id DESC LIMIT $3";
            sqlx::query_as(sql)
                .bind(stack.as_str())
                .bind(before)
                .bind(limit)
                .fetch_all(conn)
                .await?
        }
        Listing::Only(run_type) => {
            let sql = "SELECT * FROM runs WHERE stack_id = $1 AND id < $2 AND run_type = $4
                       ORDER BY id DESC LIMIT $3";
            sqlx::query_as(sql)
                .bind(stack.as_str())
                .bind(before)
                .bind(limit)
                .bind(run_type.as_str())
                .fetch_all(conn)
                .await?
        }
    };
    rows.into_iter().map(RunRecord::try_from).collect()
}

/// The run that holds the stack's lock.
pub async fn lock_holder(
    conn: &mut Conn,
    stack: &StackId,
) -> Result<Option<RunRecord>, StoreError> {
    let sql = "SELECT * FROM runs WHERE stack_id = $1 AND holds_lock";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(RunRecord::try_from).transpose()
}

/// The runs that an approval policy keeps in `QUEUED`, oldest first.
pub async fn behind_gate(conn: &mut Conn) -> Result<Vec<RunId>, StoreError> {
    let sql = "SELECT id FROM runs WHERE gate = 'CLOSED' AND state = 'QUEUED' ORDER BY id";
    ids(conn, sql).await
}

/// The previews that wait for reviews of their warnings, oldest first.
pub async fn in_review(conn: &mut Conn) -> Result<Vec<RunId>, StoreError> {
    let sql = "SELECT id FROM runs WHERE state = 'PENDING_REVIEW' ORDER BY id";
    ids(conn, sql).await
}

async fn ids(conn: &mut Conn, sql: &'static str) -> Result<Vec<RunId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.iter().map(|(id,)| parse("run id", id)).collect()
}

/// The run of a stack that changed the world last and ended well, before `before` was made.
pub async fn last_applied(
    conn: &mut Conn,
    stack: &StackId,
    before: RunId,
) -> Result<Option<RunRecord>, StoreError> {
    let sql = "SELECT * FROM runs WHERE stack_id = $1 AND id < $2 AND run_type <> 'PROPOSED'
                 AND run_type IN ('TRACKED', 'DESTROY') AND state = 'FINISHED'
                 AND EXISTS (SELECT 1 FROM run_transitions WHERE run_id = runs.id
                             AND state IN ('APPLYING', 'DESTROYING'))
               ORDER BY id DESC LIMIT 1";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(before.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(RunRecord::try_from).transpose()
}

/// A stack's runs that have not ended, oldest first.
pub async fn unfinished(conn: &mut Conn, stack: &StackId) -> Result<Vec<RunRecord>, StoreError> {
    let sql = "SELECT * FROM runs WHERE stack_id = $1 AND state IN ('QUEUED', 'READY', 'PREPARING',
                 'PREPARING_APPLY', 'PREPARING_REPLAN', 'INITIALIZING', 'PLANNING',
                 'PENDING_REVIEW', 'UNCONFIRMED', 'REPLAN_REQUESTED', 'CONFIRMED', 'APPLYING',
                 'PERFORMING', 'DESTROYING')
               ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(RunRecord::try_from).collect()
}

/// A run's history, newest first.
pub async fn history(conn: &mut Conn, id: RunId) -> Result<Vec<TransitionRow>, StoreError> {
    let sql = "SELECT state_version, state, entered_at, username, note FROM run_transitions
               WHERE run_id = $1 ORDER BY state_version DESC";
    let rows: Vec<HistoryRow> = sqlx::query_as(sql)
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(TransitionRow::try_from).collect()
}
