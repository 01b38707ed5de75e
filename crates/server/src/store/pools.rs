//! Pools of launchers.
//!
//! Takes and gives pools. Never: a private key; the pool's own never reaches the server.

use gantry_protocol::PoolId;

use super::codes::{from_json, parse, to_json};
use super::{Conn, StoreError};
use crate::clock::UnixMillis;

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
    /// The signing request it was made from, PEM.
    pub csr: String,
    /// The certificate issued for it, PEM.
    pub certificate: String,
    /// The pool's public key, PEM (SubjectPublicKeyInfo).
    pub public_key: String,
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
    csr: String,
    certificate: String,
    public_key: String,
    created_by: String,
    created_at: i64,
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
            csr: row.csr,
            certificate: row.certificate,
            public_key: row.public_key,
            created_by: row.created_by,
            created_at: UnixMillis(row.created_at),
        })
    }
}

/// Adds a pool.
pub async fn insert(conn: &mut Conn, pool: &Pool) -> Result<(), StoreError> {
    let sql = "INSERT INTO pools (id, name, description, labels, space_id, csr, certificate,
                 public_key, created_by, created_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL)";
    sqlx::query(sql)
        .bind(pool.id.to_string())
        .bind(&pool.name)
        .bind(&pool.description)
        .bind(to_json(&pool.labels))
        .bind(&pool.space)
        .bind(&pool.csr)
        .bind(&pool.certificate)
        .bind(&pool.public_key)
        .bind(&pool.created_by)
        .bind(pool.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The pool of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: PoolId) -> Result<Option<Pool>, StoreError> {
    let sql = "SELECT id, name, description, labels, space_id, csr, certificate, public_key,
                 created_by, created_at
               FROM pools WHERE id = $1 AND deleted_at IS NULL";
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

/// Every pool, oldest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<Pool>, StoreError> {
    let sql = "SELECT id, name, description, labels, space_id, csr, certificate, public_key,
                 created_by, created_at
               FROM pools WHERE deleted_at IS NULL ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Pool::try_from).collect()
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
