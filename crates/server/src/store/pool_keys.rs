//! Keys of pools: the current one, and former ones until the overlap of a reset ends.
//!
//! Takes and gives rows. Never: a private key, or a second current key of a pool.

use std::collections::HashMap;

use gantry_protocol::{PoolId, RunId};
use ulid::Ulid;

use super::codes::parse;
use super::{Conn, StoreError, many};
use crate::clock::UnixMillis;

/// One key of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolKey {
    /// Its id; ids sort by creation.
    pub id: Ulid,
    /// The signing request it came with, PEM.
    pub csr: String,
    /// The certificate issued for it, PEM.
    pub certificate: String,
    /// The public key, PEM (SubjectPublicKeyInfo).
    pub public_key: String,
    /// Who brought it.
    pub created_by: String,
    /// When; launchers' tokens with it are not older.
    pub created_at: UnixMillis,
    /// When it ends; the current key does not.
    pub retires_at: Option<UnixMillis>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    key_id: String,
    csr: String,
    certificate: String,
    public_key: String,
    key_by: String,
    key_at: i64,
    retires_at: Option<i64>,
}

/// The columns of [`Row`], of a table named `k`.
macro_rules! key_columns {
    () => {
        "k.id AS key_id, k.csr, k.certificate, k.public_key, k.created_by AS key_by,
         k.created_at AS key_at, k.retires_at"
    };
}
pub(super) use key_columns;

impl TryFrom<Row> for PoolKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("pool key", &row.key_id)?,
            csr: row.csr,
            certificate: row.certificate,
            public_key: row.public_key,
            created_by: row.key_by,
            created_at: UnixMillis(row.key_at),
            retires_at: row.retires_at.map(UnixMillis),
        })
    }
}

impl PoolKey {
    /// Whether it counts at this time.
    pub fn is_valid(&self, at: UnixMillis) -> bool {
        self.retires_at.is_none_or(|end| at < end)
    }
}

/// Adds a pool's current key; whatever was current before has to end first.
pub async fn insert(conn: &mut Conn, pool: PoolId, key: &PoolKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO pool_keys (id, pool_id, csr, certificate, public_key, created_by,
                 created_at, retires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(key.id.to_string())
        .bind(pool.to_string())
        .bind(&key.csr)
        .bind(&key.certificate)
        .bind(&key.public_key)
        .bind(&key.created_by)
        .bind(key.created_at.0)
        .bind(key.retires_at.map(|at| at.0))
        .execute(conn)
        .await?;
    Ok(())
}

/// Every key of a pool, newest first.
pub async fn of_pool(conn: &mut Conn, pool: PoolId) -> Result<Vec<PoolKey>, StoreError> {
    let sql = concat!(
        "SELECT ",
        key_columns!(),
        " FROM pool_keys k WHERE k.pool_id = $1 ORDER BY k.id DESC"
    );
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(pool.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(PoolKey::try_from).collect()
}

/// Every key of each of these pools, newest first.
pub async fn of_pools(
    conn: &mut Conn,
    pools: &[PoolId],
) -> Result<HashMap<PoolId, Vec<PoolKey>>, StoreError> {
    let sql = concat!(
        "SELECT k.pool_id AS owner, ",
        key_columns!(),
        " FROM pool_keys k WHERE k.pool_id IN ($list) ORDER BY k.id DESC"
    );
    many::grouped::<Row, _, _>(conn, ("pool id", sql), pools).await
}

/// The key of this id.
pub async fn find(conn: &mut Conn, id: Ulid) -> Result<Option<PoolKey>, StoreError> {
    let sql = concat!(
        "SELECT ",
        key_columns!(),
        " FROM pool_keys k WHERE k.id = $1"
    );
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(PoolKey::try_from).transpose()
}

/// The keys of a pool that count at this time, newest first.
pub async fn valid(
    conn: &mut Conn,
    pool: PoolId,
    at: UnixMillis,
) -> Result<Vec<PoolKey>, StoreError> {
    let all = of_pool(conn, pool).await?;
    Ok(all.into_iter().filter(|key| key.is_valid(at)).collect())
}

/// The current key ends at `at`; one that ends already keeps the earlier of its ends.
pub async fn retire(conn: &mut Conn, pool: PoolId, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "UPDATE pool_keys SET retires_at = $2
               WHERE pool_id = $1 AND (retires_at IS NULL OR retires_at > $2)";
    sqlx::query(sql)
        .bind(pool.to_string())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The key that a run's newest packed workspace is sealed to; nothing without a workspace.
pub async fn of_workspace(conn: &mut Conn, run: RunId) -> Result<Option<PoolKey>, StoreError> {
    let sql = concat!(
        "SELECT ",
        key_columns!(),
        " FROM workspaces w JOIN pool_keys k ON k.id = w.key_id
         WHERE w.run_id = $1 ORDER BY w.attempt DESC LIMIT 1"
    );
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(PoolKey::try_from).transpose()
}
