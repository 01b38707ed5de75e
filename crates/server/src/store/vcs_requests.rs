//! What went lately through pools of VCS agents.
//!
//! Takes and gives lines, and keeps as many as were asked for. Never: a query string, a header or a body.

use super::codes::{Code, parse};
use super::{Conn, StoreError};
use crate::clock::UnixMillis;
use crate::domain::VcsPoolId;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The code host answered, whatever its status.
    Answered,
    /// An agent said no, or could not reach the code host.
    Refused,
    /// No agent was there.
    NoAgent,
    /// Too many were waiting.
    Full,
    /// It took too long.
    Late,
    /// The agent was lost.
    Lost,
    /// Whoever asked went away.
    GivenUp,
    /// It could not be sent, or the answer was none.
    Broken,
}

impl Code for Outcome {
    const COLUMN: &'static str = "outcome";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Answered, "ANSWERED"),
        (Self::Refused, "REFUSED"),
        (Self::NoAgent, "NO_AGENT"),
        (Self::Full, "FULL"),
        (Self::Late, "LATE"),
        (Self::Lost, "LOST"),
        (Self::GivenUp, "GIVEN_UP"),
        (Self::Broken, "BROKEN"),
    ];
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLine {
    /// The pool.
    pub pool: VcsPoolId,
    /// Its id, as the agent's log has it; ids sort by time.
    pub id: String,
    /// When it was asked.
    pub at: UnixMillis,
    /// What it was for.
    pub purpose: String,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so, unless it was answered.
    pub detail: Option<String>,
    /// The code host's status.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Bytes of the answer's body that arrived.
    pub received: u64,
    /// Milliseconds from the question to the end of the answer.
    pub millis: u64,
    /// The agent that had it last.
    pub agent: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    pool_id: String,
    id: String,
    at: i64,
    purpose: String,
    method: String,
    path: String,
    outcome: String,
    detail: Option<String>,
    status: Option<i64>,
    bytes_sent: i64,
    bytes_received: i64,
    millis: i64,
    agent: Option<String>,
}

impl TryFrom<Row> for AccessLine {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Self {
            pool: parse("VCS agent pool id", &row.pool_id)?,
            id: row.id,
            at: UnixMillis(row.at),
            purpose: row.purpose,
            method: row.method,
            path: row.path,
            outcome: Outcome::decode(&row.outcome)?,
            detail: row.detail,
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            sent: count(row.bytes_sent),
            received: count(row.bytes_received),
            millis: count(row.millis),
            agent: row.agent,
        })
    }
}

/// Adds a line, unless its pool is gone.
pub async fn insert(conn: &mut Conn, line: &AccessLine) -> Result<(), StoreError> {
    let stored = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let sql =
        "INSERT INTO vcs_requests (pool_id, id, at, purpose, method, path, outcome, detail, status,
                 bytes_sent, bytes_received, millis, agent)
               SELECT p.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
               FROM vcs_pools p WHERE p.id = $1 AND p.deleted_at IS NULL";
    sqlx::query(sql)
        .bind(line.pool.to_string())
        .bind(&line.id)
        .bind(line.at.0)
        .bind(&line.purpose)
        .bind(&line.method)
        .bind(&line.path)
        .bind(line.outcome.code())
        .bind(&line.detail)
        .bind(line.status)
        .bind(stored(line.sent))
        .bind(stored(line.received))
        .bind(stored(line.millis))
        .bind(&line.agent)
        .execute(conn)
        .await?;
    Ok(())
}

/// The newest lines of a pool, newest first.
pub async fn newest(
    conn: &mut Conn,
    pool: VcsPoolId,
    limit: u32,
) -> Result<Vec<AccessLine>, StoreError> {
    let sql = "SELECT * FROM vcs_requests WHERE pool_id = $1 ORDER BY id DESC LIMIT $2";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(pool.to_string())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(AccessLine::try_from).collect()
}

/// Forgets the lines of a pool that are older than `before`, and those beyond the newest `kept`.
pub async fn forget(
    conn: &mut Conn,
    pool: VcsPoolId,
    kept: u32,
    before: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM vcs_requests WHERE pool_id = $1 AND at < $2";
    let query = sqlx::query(sql).bind(pool.to_string()).bind(before.0);
    query.execute(&mut *conn).await?;
    let sql = "DELETE FROM vcs_requests WHERE pool_id = $1 AND id <=
                 (SELECT v.id FROM vcs_requests v WHERE v.pool_id = $1 ORDER BY v.id DESC LIMIT 1 OFFSET $2)";
    let query = sqlx::query(sql).bind(pool.to_string()).bind(kept);
    query.execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::World;
    use crate::store::vcs_pools::{self, VcsPool};

    fn line(pool: VcsPoolId, n: i64) -> AccessLine {
        AccessLine {
            pool,
            id: format!("01JB8M6Q7N4T0V2X5Y8Z9A1{n:03}"),
            at: UnixMillis(n),
            purpose: "test".to_owned(),
            method: "GET".to_owned(),
            path: "/a".to_owned(),
            outcome: Outcome::Refused,
            detail: Some("no".to_owned()),
            status: Some(404),
            sent: 1,
            received: 2,
            millis: 3,
            agent: None,
        }
    }

    #[tokio::test]
    async fn the_newest_are_kept_and_a_deleted_pool_has_none() {
        let World { store, .. } = &World::new().await;
        let mut tx = store.begin().await.unwrap();
        let pool = VcsPool {
            id: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
            name: "git".parse().unwrap(),
            description: None,
            space: "root".to_owned(),
            created_by: "t".to_owned(),
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
        };
        vcs_pools::insert(&mut tx, &pool).await.unwrap();
        for n in 0..10 {
            insert(&mut tx, &line(pool.id, n)).await.unwrap();
        }
        forget(&mut tx, pool.id, 5, UnixMillis(0)).await.unwrap();
        let left = newest(&mut tx, pool.id, 100).await.unwrap();
        assert_eq!(left.len(), 5);
        assert_eq!(left[0], line(pool.id, 9));
        forget(&mut tx, pool.id, 5, UnixMillis(8)).await.unwrap();
        assert_eq!(newest(&mut tx, pool.id, 100).await.unwrap().len(), 2);
        vcs_pools::delete(&mut tx, pool.id, UnixMillis(1))
            .await
            .unwrap();
        insert(&mut tx, &line(pool.id, 11)).await.unwrap();
        assert_eq!(newest(&mut tx, pool.id, 100).await.unwrap(), []);
        // The name is free again.
        let again = VcsPool {
            id: "01JB8M6Q7N4T0V2X5Y8Z9A1B2D".parse().unwrap(),
            ..pool
        };
        vcs_pools::insert(&mut tx, &again).await.unwrap();
        let twice = VcsPool {
            id: "01JB8M6Q7N4T0V2X5Y8Z9A1B2E".parse().unwrap(),
            ..again
        };
        let refused = vcs_pools::insert(&mut tx, &twice).await.unwrap_err();
        assert!(
            refused.to_string().contains("`git` already exists"),
            "{refused}"
        );
    }
}
