//! Pools of VCS agents and their keys: the current one, and former ones until the overlap of a reset ends.
//!
//! Takes and gives rows. Never: a key itself, or a second current key of a pool.

use gantry_protocol::Digest;
use ulid::Ulid;

use super::codes::parse;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;
use crate::domain::{VcsPoolId, VcsPoolName};

/// A pool of VCS agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcsPool {
    /// Its id.
    pub id: VcsPoolId,
    /// The name that stands in `private://` endpoints.
    pub name: VcsPoolName,
    /// Free text.
    pub description: Option<String>,
    /// The space it belongs to.
    pub space: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When its words or its key were changed last.
    pub updated_at: UnixMillis,
}

/// A key of a pool, as its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcsPoolKey {
    /// Its id; ids sort by creation.
    pub id: Ulid,
    /// Digest of the key.
    pub hash: Digest,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it ends; the current key does not.
    pub retires_at: Option<UnixMillis>,
}

impl VcsPoolKey {
    /// Whether it counts at this time.
    pub fn is_valid(&self, at: UnixMillis) -> bool {
        self.retires_at.is_none_or(|end| at < end)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    space_id: String,
    created_by: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for VcsPool {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("VCS agent pool id", &row.id)?,
            name: parse("VCS agent pool name", &row.name)?,
            description: row.description,
            space: row.space_id,
            created_by: row.created_by,
            created_at: UnixMillis(row.created_at),
            updated_at: UnixMillis(row.updated_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: String,
    key_hash: String,
    created_by: String,
    created_at: i64,
    retires_at: Option<i64>,
}

impl TryFrom<KeyRow> for VcsPoolKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("VCS agent pool key", &row.id)?,
            hash: parse("key digest", &row.key_hash)?,
            created_by: row.created_by,
            created_at: UnixMillis(row.created_at),
            retires_at: row.retires_at.map(UnixMillis),
        })
    }
}

/// Adds a pool; its key comes by [`insert_key`]. A name is free again once its pool is deleted.
pub async fn insert(conn: &mut Conn, pool: &VcsPool) -> Result<(), StoreError> {
    let sql = "INSERT INTO vcs_pools (id, name, description, space_id, created_by, created_at, updated_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)";
    let done = sqlx::query(sql)
        .bind(pool.id.to_string())
        .bind(pool.name.as_str())
        .bind(&pool.description)
        .bind(&pool.space)
        .bind(&pool.created_by)
        .bind(pool.created_at.0)
        .bind(pool.updated_at.0)
        .execute(conn)
        .await;
    taken(done, &pool.name)
}

/// Changes a pool's words and space.
pub async fn update(conn: &mut Conn, pool: &VcsPool) -> Result<(), StoreError> {
    let sql = "UPDATE vcs_pools SET name = $2, description = $3, space_id = $4, updated_at = $5
               WHERE id = $1 AND deleted_at IS NULL";
    let done = sqlx::query(sql)
        .bind(pool.id.to_string())
        .bind(pool.name.as_str())
        .bind(&pool.description)
        .bind(&pool.space)
        .bind(pool.updated_at.0)
        .execute(conn)
        .await;
    taken(done, &pool.name)
}

fn taken<T>(done: Result<T, sqlx::Error>, name: &VcsPoolName) -> Result<(), StoreError> {
    match done {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(StoreError::Taken {
                kind: "VCS agent pool",
                id: name.to_string(),
            })
        }
        done => Ok(done.map(drop)?),
    }
}

/// The pool of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: VcsPoolId) -> Result<Option<VcsPool>, StoreError> {
    let sql = "SELECT * FROM vcs_pools WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(VcsPool::try_from).transpose()
}

/// The pool of this name, unless it was deleted.
pub async fn by_name(conn: &mut Conn, name: &VcsPoolName) -> Result<Option<VcsPool>, StoreError> {
    let sql = "SELECT * FROM vcs_pools WHERE name = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(name.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(VcsPool::try_from).transpose()
}

/// Every pool, in order of the names.
pub async fn list(conn: &mut Conn) -> Result<Vec<VcsPool>, StoreError> {
    let sql = "SELECT * FROM vcs_pools WHERE deleted_at IS NULL ORDER BY name";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(VcsPool::try_from).collect()
}

/// Refuses if `private://NAME/…` stands in a stack or an integration.
pub async fn check_unused(conn: &mut Conn, pool: &VcsPool) -> Result<(), StoreError> {
    let whole = format!("private://{}", pool.name);
    let from = format!("{whole}/");
    // What begins with the one lies between the two: `0` comes after `/`.
    let until = format!("private://{}0", pool.name);
    for (what, sql) in [
        (
            "stack",
            "SELECT id FROM stacks WHERE url = $3 AND deleted_at IS NULL
             UNION ALL SELECT id FROM stacks WHERE url >= $1 AND url < $2 AND deleted_at IS NULL
             LIMIT 1",
        ),
        (
            "VCS integration",
            "SELECT id FROM integrations WHERE (url_prefix = $3 OR (url_prefix >= $1 AND url_prefix < $2)) AND deleted_at IS NULL LIMIT 1",
        ),
        (
            "VCS integration",
            "SELECT id FROM integrations WHERE (api_url = $3 OR (api_url >= $1 AND api_url < $2)) AND deleted_at IS NULL LIMIT 1",
        ),
    ] {
        let user: Option<(String,)> = sqlx::query_as(sql)
            .bind(&from)
            .bind(&until)
            .bind(&whole)
            .fetch_optional(&mut *conn)
            .await?;
        if let Some((user,)) = user {
            return Err(StoreError::InUse {
                kind: "VCS agent pool",
                id: pool.name.to_string(),
                by: format!("{what} `{user}` goes through it"),
            });
        }
    }
    Ok(())
}

/// Marks a pool as deleted; its keys end and its access log goes.
pub async fn delete(conn: &mut Conn, id: VcsPoolId, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "UPDATE vcs_pools SET deleted_at = $2 WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
    let sql = "DELETE FROM vcs_requests WHERE pool_id = $1";
    let query = sqlx::query(sql).bind(id.to_string());
    query.execute(&mut *conn).await?;
    retire(conn, id, at).await
}

/// Adds a pool's current key; whatever was current before has to end first.
pub async fn insert_key(
    conn: &mut Conn,
    pool: VcsPoolId,
    key: &VcsPoolKey,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO vcs_pool_keys (id, pool_id, key_hash, created_by, created_at, retires_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(key.id.to_string())
        .bind(pool.to_string())
        .bind(key.hash.to_string())
        .bind(&key.created_by)
        .bind(key.created_at.0)
        .bind(key.retires_at.map(|at| at.0))
        .execute(conn)
        .await?;
    Ok(())
}

/// Every key of a pool, newest first.
pub async fn keys(conn: &mut Conn, pool: VcsPoolId) -> Result<Vec<VcsPoolKey>, StoreError> {
    let sql = "SELECT id, key_hash, created_by, created_at, retires_at FROM vcs_pool_keys
               WHERE pool_id = $1 ORDER BY id DESC";
    let rows: Vec<KeyRow> = sqlx::query_as(sql)
        .bind(pool.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(VcsPoolKey::try_from).collect()
}

/// The keys of a pool that count at this time, newest first; none of a deleted pool does.
pub async fn valid_keys(
    conn: &mut Conn,
    pool: VcsPoolId,
    at: UnixMillis,
) -> Result<Vec<VcsPoolKey>, StoreError> {
    let all = keys(conn, pool).await?;
    Ok(all.into_iter().filter(|key| key.is_valid(at)).collect())
}

/// The current key ends at `at`; one that ends already keeps the earlier of its ends.
pub async fn retire(conn: &mut Conn, pool: VcsPoolId, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "UPDATE vcs_pool_keys SET retires_at = $2
               WHERE pool_id = $1 AND (retires_at IS NULL OR retires_at > $2)";
    sqlx::query(sql)
        .bind(pool.to_string())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}
