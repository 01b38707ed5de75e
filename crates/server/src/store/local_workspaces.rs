//! Files that people upload for previews: who may send them until when, where they are, which run has them.
//!
//! Takes and gives rows; bytes are objects elsewhere. Never: an upload replaced by another, or given to two runs.

use gantry_protocol::payload::UploadedArchive;
use gantry_protocol::{Digest, RunId, StackId};

use super::codes::parse;
use super::launchers::as_i64;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// Files that no run was made of are kept for this long, in milliseconds.
pub const KEPT: i64 = 24 * 3_600_000;

/// Rows that one turn of upkeep takes.
const BATCH: u32 = 200;

/// A place for one upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalWorkspace {
    /// Its id: `[A-Za-z0-9_-]`, never used before.
    pub id: String,
    /// The stack that it is for.
    pub stack: StackId,
    /// Digest of what the sender has to know.
    pub permission: Digest,
    /// Until when it may be sent.
    pub upload_until: UnixMillis,
    /// What was sent.
    pub archive: Option<UploadedArchive>,
    /// The run that has it.
    pub run: Option<RunId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    stack_id: String,
    permission: String,
    upload_until: i64,
    digest: Option<String>,
    size: Option<i64>,
    run_id: Option<String>,
}

impl TryFrom<Row> for LocalWorkspace {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let archive = match (row.digest, row.size) {
            (Some(digest), Some(size)) => Some(UploadedArchive {
                digest: parse("digest", &digest)?,
                bytes: u64::try_from(size).unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            stack: parse("stack id", &row.stack_id)?,
            permission: parse("permission", &row.permission)?,
            upload_until: UnixMillis(row.upload_until),
            archive,
            run: row.run_id.map(|id| parse("run id", &id)).transpose()?,
        })
    }
}

/// Makes a place.
pub async fn insert(
    conn: &mut Conn,
    workspace: &LocalWorkspace,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO local_workspaces (id, stack_id, permission, upload_until, created_at)
               VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(&workspace.id)
        .bind(workspace.stack.as_str())
        .bind(workspace.permission.to_string())
        .bind(workspace.upload_until.0)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The place of this id.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<LocalWorkspace>, StoreError> {
    let row: Option<Row> = sqlx::query_as("SELECT * FROM local_workspaces WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await?;
    row.map(LocalWorkspace::try_from).transpose()
}

/// Places of a stack that no run has.
pub async fn waiting(conn: &mut Conn, stack: &StackId) -> Result<u32, StoreError> {
    let sql = "SELECT COUNT(*) FROM local_workspaces WHERE stack_id = $1 AND run_id IS NULL";
    let (count,): (i64,) = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_one(conn)
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Notes what was sent; `false` if something was sent before.
pub async fn stored(
    conn: &mut Conn,
    id: &str,
    blob: &str,
    archive: &UploadedArchive,
) -> Result<bool, StoreError> {
    let sql = "UPDATE local_workspaces SET blob = $2, digest = $3, size = $4
               WHERE id = $1 AND blob IS NULL";
    let done = sqlx::query(sql)
        .bind(id)
        .bind(blob)
        .bind(archive.digest.to_string())
        .bind(as_i64(archive.bytes))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives what was sent to a run; `false` if another one has it.
pub async fn claim(conn: &mut Conn, id: &str, run: RunId) -> Result<bool, StoreError> {
    let sql = "UPDATE local_workspaces SET run_id = $2
               WHERE id = $1 AND run_id IS NULL AND blob IS NOT NULL";
    let done = sqlx::query(sql)
        .bind(id)
        .bind(run.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Key of the object that a run has.
pub async fn blob_of(conn: &mut Conn, run: RunId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT blob FROM local_workspaces WHERE run_id = $1";
    let row: Option<(Option<String>,)> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.and_then(|(blob,)| blob))
}

/// Ids and objects that nobody can use any more: of runs that ended, and those without a run made before `before`.
pub async fn spent(
    conn: &mut Conn,
    before: UnixMillis,
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let sql = "SELECT w.id, w.blob FROM local_workspaces w LEFT JOIN runs r ON r.id = w.run_id
               WHERE (w.run_id IS NULL AND w.created_at < $1)
                 OR r.state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED', 'SKIPPED')
               LIMIT $2";
    Ok(sqlx::query_as(sql)
        .bind(before.0)
        .bind(BATCH)
        .fetch_all(conn)
        .await?)
}

/// Forgets a place.
pub async fn drop(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM local_workspaces WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await?;
    Ok(())
}
