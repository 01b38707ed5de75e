//! Pools of launchers.
//!
//! Takes and gives pools. Never: a private key; the pool's own never reaches the server.

use gantry_protocol::PoolId;

use super::codes::{from_json, parse, to_json};
use super::pool_keys::{self, PoolKey, key_columns};
use super::{Conn, StoreError, many};
use crate::clock::UnixMillis;
use crate::domain::EnrolmentRules;

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// The space it belongs to.
    pub space: String,
    /// Its current key.
    pub key: PoolKey,
    /// Who may become a launcher of it.
    pub enrolment: EnrolmentRules,
    /// How many looks for drift its launchers do at once; nothing is any number.
    pub drift_limit: Option<u32>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    labels: String,
    space_id: String,
    enrolment: String,
    drift_limit: Option<u32>,
    created_by: String,
    created_at: i64,
    #[sqlx(flatten)]
    key: pool_keys::Row,
}

impl TryFrom<Row> for Pool {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("pool id", &row.id)?,
            name: row.name,
            description: row.description,
            labels: from_json("labels", &row.labels)?,
            space: row.space_id,
            key: row.key.try_into()?,
            enrolment: from_json("enrolment", &row.enrolment)?,
            drift_limit: row.drift_limit,
            created_by: row.created_by,
            created_at: UnixMillis(row.created_at),
        })
    }
}

/// Adds a pool with its key.
pub async fn insert(conn: &mut Conn, pool: &Pool) -> Result<(), StoreError> {
    let sql = "INSERT INTO pools (id, name, description, labels, space_id, enrolment, created_by,
                 created_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)";
    sqlx::query(sql)
        .bind(pool.id.to_string())
        .bind(&pool.name)
        .bind(&pool.description)
        .bind(to_json(&pool.labels))
        .bind(&pool.space)
        .bind(to_json(&pool.enrolment))
        .bind(&pool.created_by)
        .bind(pool.created_at.0)
        .execute(&mut *conn)
        .await?;
    pool_keys::insert(conn, pool.id, &pool.key).await
}

/// Pools with their current keys.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT p.id, p.name, p.description, p.labels, p.space_id, p.enrolment, p.drift_limit, p.created_by,
               p.created_at, ",
            key_columns!(),
            " FROM pools p JOIN pool_keys k ON k.pool_id = p.id AND k.retires_at IS NULL ",
            $which
        )
    };
}

/// The pool of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: PoolId) -> Result<Option<Pool>, StoreError> {
    let sql = select!("WHERE p.id = $1 AND p.deleted_at IS NULL");
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(Pool::try_from).transpose()
}

/// The pool of this id.
pub async fn get(conn: &mut Conn, id: PoolId) -> Result<Pool, StoreError> {
    let missing = StoreError::NotFound {
        kind: "worker pool",
        id: id.to_string(),
    };
    find(conn, id).await?.ok_or(missing)
}

/// The pools of these ids, oldest first, without those that were deleted.
pub async fn named(conn: &mut Conn, ids: &[PoolId]) -> Result<Vec<Pool>, StoreError> {
    let sql = select!("WHERE p.id IN ($list) AND p.deleted_at IS NULL ORDER BY p.id");
    let rows: Vec<Row> = many::rows(conn, sql, ids).await?;
    rows.into_iter().map(Pool::try_from).collect()
}

/// Every pool, oldest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<Pool>, StoreError> {
    let sql = select!("WHERE p.deleted_at IS NULL ORDER BY p.id");
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Pool::try_from).collect()
}

/// Changes what people may change of a pool.
pub async fn update(conn: &mut Conn, pool: &Pool) -> Result<(), StoreError> {
    let sql = "UPDATE pools SET name = $2, description = $3, labels = $4, enrolment = $5,
                 drift_limit = $6
               WHERE id = $1";
    sqlx::query(sql)
        .bind(pool.id.to_string())
        .bind(&pool.name)
        .bind(&pool.description)
        .bind(to_json(&pool.labels))
        .bind(to_json(&pool.enrolment))
        .bind(pool.drift_limit)
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks a pool as deleted, unless stacks use it.
pub async fn delete(conn: &mut Conn, id: PoolId, at: UnixMillis) -> Result<Pool, StoreError> {
    let pool = get(conn, id).await?;
    let sql = "SELECT id FROM stacks WHERE pool_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1";
    let user: Option<(String,)> = sqlx::query_as(sql)
        .bind(id.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    if let Some((stack,)) = user {
        let by = format!("stack `{stack}` runs on it");
        return Err(StoreError::InUse {
            kind: "worker pool",
            id: id.to_string(),
            by,
        });
    }
    let sql = "UPDATE pools SET deleted_at = $2 WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(pool)
}
