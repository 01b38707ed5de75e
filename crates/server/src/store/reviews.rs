//! What reviewers said about runs.
//!
//! Takes and gives reviews, in order. Never: one that is changed or taken back; a newer one of the same person
//! takes its place in the count.

use std::collections::HashMap;

use gantry_protocol::{RunId, RunState};
use ulid::Ulid;

use super::codes::{Code, parse, unreadable};
use super::{Conn, StoreError, many};
use crate::auth::Role;
use crate::clock::UnixMillis;
use crate::domain::{Review, StateVersion};

/// One review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewRow {
    /// Its id; they sort by time.
    pub id: Ulid,
    /// The run.
    pub run: RunId,
    /// The state that the run was in.
    pub state: RunState,
    /// That state's place in the run's history.
    pub version: StateVersion,
    /// What was decided.
    pub decision: Review,
    /// Why.
    pub note: String,
    /// Id of the reviewer's key.
    pub author_id: String,
    /// Name of the reviewer's key.
    pub author: String,
    /// What the reviewer may do.
    pub role: Role,
    /// When.
    pub given_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    run_id: String,
    state: String,
    state_version: i64,
    decision: String,
    note: String,
    author_id: String,
    author: String,
    role: String,
    given_at: i64,
}

impl TryFrom<Row> for ReviewRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let version = u32::try_from(row.state_version)
            .map_err(|_| unreadable("state_version", &row.state_version.to_string()))?;
        Ok(Self {
            id: parse("review id", &row.id)?,
            run: parse("run id", &row.run_id)?,
            state: parse("state", &row.state)?,
            version: StateVersion(version),
            decision: Review::decode(&row.decision)?,
            note: row.note,
            author_id: row.author_id,
            author: row.author,
            role: parse("role", &row.role)?,
            given_at: UnixMillis(row.given_at),
        })
    }
}

/// Adds a review.
pub async fn insert(conn: &mut Conn, review: &ReviewRow) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO run_reviews (id, run_id, state, state_version, decision, note, author_id,
                 author, role, given_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    sqlx::query(sql)
        .bind(review.id.to_string())
        .bind(review.run.to_string())
        .bind(review.state.as_str())
        .bind(review.version.0)
        .bind(review.decision.code())
        .bind(&review.note)
        .bind(&review.author_id)
        .bind(&review.author)
        .bind(review.role.as_str())
        .bind(review.given_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// All reviews of a run, oldest first.
pub async fn list(conn: &mut Conn, run: RunId) -> Result<Vec<ReviewRow>, StoreError> {
    let sql = "SELECT * FROM run_reviews WHERE run_id = $1 ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(ReviewRow::try_from).collect()
}

/// All reviews of each of these runs, oldest first.
pub async fn of_runs(
    conn: &mut Conn,
    runs: &[RunId],
) -> Result<HashMap<RunId, Vec<ReviewRow>>, StoreError> {
    let sql = "SELECT run_id AS owner, * FROM run_reviews WHERE run_id IN ($list) ORDER BY id";
    many::grouped::<Row, _, _>(conn, ("run id", sql), runs).await
}
