//! Managed state of stacks: versions and the one lock.
//!
//! Takes and gives rows; the bytes are sealed objects elsewhere. Never: who may write (`crate::tfstate`).

use gantry_protocol::{Attempt, Digest, RunId, StackId};

use super::codes::{parse, unreadable};
use super::launchers::as_i64;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// One accepted write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersionRow {
    /// Counts per stack from 1.
    pub version: u64,
    /// The run that wrote it.
    pub run: RunId,
    /// Its attempt.
    pub attempt: Attempt,
    /// The state's lineage.
    pub lineage: String,
    /// The state's serial.
    pub serial: u64,
    /// SHA-256 of the state as the tool wrote it.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Key of the sealed object.
    pub blob: String,
    /// When.
    pub created_at: UnixMillis,
}

/// The lock, as its holder described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLock {
    /// The tool's lock id.
    pub id: String,
    /// The run that holds it.
    pub run: RunId,
    /// Its attempt.
    pub attempt: Attempt,
    /// The tool's own description, JSON as it came.
    pub info: String,
    /// When.
    pub taken_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct Row {
    version: i64,
    run_id: String,
    attempt: i64,
    lineage: String,
    serial: i64,
    digest: String,
    size: i64,
    blob: String,
    created_at: i64,
}

#[derive(sqlx::FromRow)]
struct LockRow {
    lock_id: String,
    run_id: String,
    attempt: i64,
    info: String,
    taken_at: i64,
}

fn attempt(value: i64) -> Result<Attempt, StoreError> {
    u32::try_from(value)
        .map(Attempt)
        .map_err(|_| unreadable("attempt", &value.to_string()))
}

impl TryFrom<Row> for StateVersionRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: u64::try_from(row.version).unwrap_or_default(),
            run: parse("run id", &row.run_id)?,
            attempt: attempt(row.attempt)?,
            lineage: row.lineage,
            serial: u64::try_from(row.serial).unwrap_or_default(),
            digest: parse("digest", &row.digest)?,
            size: u64::try_from(row.size).unwrap_or_default(),
            blob: row.blob,
            created_at: UnixMillis(row.created_at),
        })
    }
}

impl TryFrom<LockRow> for StateLock {
    type Error = StoreError;

    fn try_from(row: LockRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.lock_id,
            run: parse("run id", &row.run_id)?,
            attempt: attempt(row.attempt)?,
            info: row.info,
            taken_at: UnixMillis(row.taken_at),
        })
    }
}

/// The newest version of a stack's state.
pub async fn newest(
    conn: &mut Conn,
    stack: &StackId,
) -> Result<Option<StateVersionRow>, StoreError> {
    let sql = "SELECT * FROM state_versions WHERE stack_id = $1 ORDER BY version DESC LIMIT 1";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(StateVersionRow::try_from).transpose()
}

/// The newest `limit` versions of a stack's state, newest first.
pub async fn versions(
    conn: &mut Conn,
    stack: &StackId,
    limit: u32,
) -> Result<Vec<StateVersionRow>, StoreError> {
    let sql = "SELECT * FROM state_versions WHERE stack_id = $1 ORDER BY version DESC LIMIT $2";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(StateVersionRow::try_from).collect()
}

/// One version of a stack's state.
pub async fn version(
    conn: &mut Conn,
    stack: &StackId,
    version: u64,
) -> Result<Option<StateVersionRow>, StoreError> {
    let sql = "SELECT * FROM state_versions WHERE stack_id = $1 AND version = $2";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(as_i64(version))
        .fetch_optional(conn)
        .await?;
    row.map(StateVersionRow::try_from).transpose()
}

/// Up to `limit` versions of a stack's state, newest first, older than `before`.
pub async fn older(
    conn: &mut Conn,
    stack: &StackId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<StateVersionRow>, StoreError> {
    let sql = "SELECT * FROM state_versions WHERE stack_id = $1 AND version < $2
               ORDER BY version DESC LIMIT $3";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(before.map_or(i64::MAX, as_i64))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(StateVersionRow::try_from).collect()
}

/// Up to `limit` versions of a stack's state beyond the newest `kept`, the oldest first.
pub async fn beyond(
    conn: &mut Conn,
    stack: &StackId,
    kept: u64,
    limit: u32,
) -> Result<Vec<StateVersionRow>, StoreError> {
    let sql = "SELECT * FROM state_versions WHERE stack_id = $1 AND version <= $2
               ORDER BY version LIMIT $3";
    let Some(newest) = newest(&mut *conn, stack).await? else {
        return Ok(Vec::new());
    };
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(as_i64(newest.version.saturating_sub(kept)))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(StateVersionRow::try_from).collect()
}

/// Forgets a version.
pub async fn remove(conn: &mut Conn, stack: &StackId, version: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM state_versions WHERE stack_id = $1 AND version = $2")
        .bind(stack.as_str())
        .bind(as_i64(version))
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds a version.
pub async fn insert(
    conn: &mut Conn,
    stack: &StackId,
    row: &StateVersionRow,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO state_versions (stack_id, version, run_id, attempt, lineage, serial,
                 digest, size, blob, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    sqlx::query(sql)
        .bind(stack.as_str())
        .bind(as_i64(row.version))
        .bind(row.run.to_string())
        .bind(row.attempt.0)
        .bind(&row.lineage)
        .bind(as_i64(row.serial))
        .bind(row.digest.to_string())
        .bind(as_i64(row.size))
        .bind(&row.blob)
        .bind(row.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Who holds the lock.
pub async fn lock(conn: &mut Conn, stack: &StackId) -> Result<Option<StateLock>, StoreError> {
    let sql =
        "SELECT lock_id, run_id, attempt, info, taken_at FROM state_locks WHERE stack_id = $1";
    let row: Option<LockRow> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(StateLock::try_from).transpose()
}

/// Takes the lock; the caller saw inside the same transaction that it is free.
pub async fn take_lock(
    conn: &mut Conn,
    stack: &StackId,
    lock: &StateLock,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO state_locks (stack_id, lock_id, run_id, attempt, info, taken_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(stack.as_str())
        .bind(&lock.id)
        .bind(lock.run.to_string())
        .bind(lock.attempt.0)
        .bind(&lock.info)
        .bind(lock.taken_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives the lock back.
pub async fn drop_lock(conn: &mut Conn, stack: &StackId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM state_locks WHERE stack_id = $1")
        .bind(stack.as_str())
        .execute(conn)
        .await?;
    Ok(())
}
