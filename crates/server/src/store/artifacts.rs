//! What launchers hand in about a run beside its logs, and what the server hands out to launchers: results,
//! packed workspaces, rescued states, worker binaries.
//!
//! Takes and gives rows; bytes are objects elsewhere. Never: anything opened that is sealed to a pool.

use gantry_protocol::{Attempt, Digest, RunId};
use ulid::Ulid;

use super::codes::{from_json, parse, to_json, unreadable};
use super::launchers::as_i64;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// A packed workspace, as the packing launcher attested it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// The run.
    pub run: RunId,
    /// The attempt that packed it.
    pub attempt: Attempt,
    /// Key of the sealed object.
    pub blob: String,
    /// SHA-256 of the sealed object.
    pub sealed: Digest,
    /// SHA-256 of the plan file in it.
    pub plan: Digest,
    /// The launcher's signed attestation.
    pub attestation: String,
    /// Size of the sealed object in bytes.
    pub size: u64,
    /// The pool's key that it is sealed to.
    pub key: Ulid,
}

/// An executable that launchers may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerBinary {
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// SHA-256 of the executable.
    pub digest: Digest,
    /// Its version.
    pub version: String,
    /// The signed manifest.
    pub manifest: String,
    /// Size in bytes.
    pub size: u64,
    /// Key of the object.
    pub blob: String,
}

#[derive(sqlx::FromRow)]
struct WorkspaceColumns {
    run_id: String,
    attempt: i64,
    blob: String,
    sealed: String,
    plan: String,
    attestation: String,
    size: i64,
    key_id: String,
}

#[derive(sqlx::FromRow)]
struct BinaryColumns {
    arch: String,
    digest: String,
    version: String,
    manifest: String,
    size: i64,
    blob: String,
}

impl TryFrom<WorkspaceColumns> for WorkspaceRow {
    type Error = StoreError;

    fn try_from(row: WorkspaceColumns) -> Result<Self, StoreError> {
        let attempt = u32::try_from(row.attempt).map_err(|_| unreadable("attempt", ""))?;
        Ok(Self {
            run: parse("run id", &row.run_id)?,
            attempt: Attempt(attempt),
            blob: row.blob,
            sealed: parse("sealed", &row.sealed)?,
            plan: parse("plan", &row.plan)?,
            attestation: row.attestation,
            size: u64::try_from(row.size).unwrap_or_default(),
            key: parse("workspaces.key_id", &row.key_id)?,
        })
    }
}

impl TryFrom<BinaryColumns> for WorkerBinary {
    type Error = StoreError;

    fn try_from(row: BinaryColumns) -> Result<Self, StoreError> {
        Ok(Self {
            arch: row.arch,
            digest: parse("digest", &row.digest)?,
            version: row.version,
            manifest: row.manifest,
            size: u64::try_from(row.size).unwrap_or_default(),
            blob: row.blob,
        })
    }
}

/// Keeps a launcher's result, once per attempt.
pub async fn insert_result<T: serde::Serialize>(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
    body: &T,
    counted: bool,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO run_results (run_id, attempt, counted, body, received_at)
               VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .bind(counted)
        .bind(to_json(body))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The result of an attempt and whether it counted, if it came.
pub async fn find_result<T: serde::de::DeserializeOwned>(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<Option<(T, bool)>, StoreError> {
    let sql = "SELECT body, counted FROM run_results WHERE run_id = $1 AND attempt = $2";
    let row: Option<(String, bool)> = sqlx::query_as(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .fetch_optional(conn)
        .await?;
    row.map(|(body, counted)| Ok((from_json("run_results.body", &body)?, counted)))
        .transpose()
}

/// Keeps a packed workspace; an earlier one of the same attempt is replaced.
pub async fn put_workspace(
    conn: &mut Conn,
    row: &WorkspaceRow,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO workspaces (run_id, attempt, blob, sealed, plan, attestation, size,
                 stored_at, key_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (run_id, attempt) DO UPDATE SET blob = excluded.blob,
                 sealed = excluded.sealed, plan = excluded.plan,
                 attestation = excluded.attestation, size = excluded.size,
                 stored_at = excluded.stored_at, key_id = excluded.key_id";
    sqlx::query(sql)
        .bind(row.run.to_string())
        .bind(row.attempt.0)
        .bind(&row.blob)
        .bind(row.sealed.to_string())
        .bind(row.plan.to_string())
        .bind(&row.attestation)
        .bind(as_i64(row.size))
        .bind(at.0)
        .bind(row.key.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The workspace that this attempt packed.
pub async fn workspace(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<Option<WorkspaceRow>, StoreError> {
    let sql = "SELECT * FROM workspaces WHERE run_id = $1 AND attempt = $2";
    let row: Option<WorkspaceColumns> = sqlx::query_as(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .fetch_optional(conn)
        .await?;
    row.map(WorkspaceRow::try_from).transpose()
}

/// The newest workspace that any attempt of the run packed.
pub async fn newest_workspace(
    conn: &mut Conn,
    run: RunId,
) -> Result<Option<WorkspaceRow>, StoreError> {
    let sql = "SELECT * FROM workspaces WHERE run_id = $1 ORDER BY attempt DESC LIMIT 1";
    let row: Option<WorkspaceColumns> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(WorkspaceRow::try_from).transpose()
}

/// Workspaces of runs that have ended, the oldest first.
pub async fn spent_workspaces(conn: &mut Conn) -> Result<Vec<WorkspaceRow>, StoreError> {
    let sql = "SELECT workspaces.* FROM workspaces JOIN runs ON runs.id = workspaces.run_id
               WHERE runs.state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED',
                 'SKIPPED')
               ORDER BY workspaces.run_id LIMIT 100";
    let rows: Vec<WorkspaceColumns> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(WorkspaceRow::try_from).collect()
}

/// Forgets a workspace whose object is gone.
pub async fn drop_workspace(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM workspaces WHERE run_id = $1 AND attempt = $2")
        .bind(run.to_string())
        .bind(attempt.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps a state that a tool could not write back; `false` when this attempt handed the same one in before.
pub async fn put_errored_state(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
    object: (&str, Digest, u64),
    at: UnixMillis,
) -> Result<bool, StoreError> {
    let (blob, digest, size) = object;
    let sql = "INSERT INTO errored_states (run_id, attempt, blob, digest, size, stored_at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (run_id, attempt) DO UPDATE SET blob = excluded.blob,
                 digest = excluded.digest, size = excluded.size, stored_at = excluded.stored_at
                 WHERE errored_states.digest <> excluded.digest";
    let done = sqlx::query(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .bind(blob)
        .bind(digest.to_string())
        .bind(as_i64(size))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Offers a worker binary.
pub async fn put_binary(
    conn: &mut Conn,
    row: &WorkerBinary,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO worker_binaries (arch, digest, version, manifest, size, blob, added_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (arch, digest) DO UPDATE SET version = excluded.version,
                 manifest = excluded.manifest, added_at = excluded.added_at";
    sqlx::query(sql)
        .bind(&row.arch)
        .bind(row.digest.to_string())
        .bind(&row.version)
        .bind(&row.manifest)
        .bind(as_i64(row.size))
        .bind(&row.blob)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Every binary of an architecture, oldest first.
pub async fn binaries(conn: &mut Conn, arch: &str) -> Result<Vec<WorkerBinary>, StoreError> {
    let sql = "SELECT * FROM worker_binaries WHERE arch = $1 ORDER BY added_at, digest";
    let rows: Vec<BinaryColumns> = sqlx::query_as(sql).bind(arch).fetch_all(conn).await?;
    rows.into_iter().map(WorkerBinary::try_from).collect()
}

/// One binary.
pub async fn binary(
    conn: &mut Conn,
    arch: &str,
    digest: Digest,
) -> Result<Option<WorkerBinary>, StoreError> {
    let sql = "SELECT * FROM worker_binaries WHERE arch = $1 AND digest = $2";
    let row: Option<BinaryColumns> = sqlx::query_as(sql)
        .bind(arch)
        .bind(digest.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(WorkerBinary::try_from).transpose()
}
