//! API keys: names, roles and hashes of secrets.
//!
//! Takes and gives rows. Never: a secret itself.

use gantry_protocol::Digest;

use super::{Conn, StoreError, codes};
use crate::auth::Role;
use crate::clock::UnixMillis;

/// A key as stored.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id, a ULID.
    pub id: String,
    /// The name that histories show.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// SHA-256 of the secret.
    pub secret_hash: Digest,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Adds a key.
pub async fn insert(conn: &mut Conn, key: &ApiKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO api_keys (id, name, role, secret_hash, created_at, revoked_at)
               VALUES ($1, $2, $3, $4, $5, NULL)";
    sqlx::query(sql)
        .bind(&key.id)
        .bind(&key.name)
        .bind(key.role.as_str())
        .bind(key.secret_hash.to_string())
        .bind(key.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The key of this id, unless there is none or it was revoked.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<ApiKey>, StoreError> {
    let sql = "SELECT id, name, role, secret_hash, created_at FROM api_keys
               WHERE id = $1 AND revoked_at IS NULL";
    let row: Option<(String, String, String, String, i64)> =
        sqlx::query_as(sql).bind(id).fetch_optional(conn).await?;
    let Some((id, name, role, hash, created_at)) = row else {
        return Ok(None);
    };
    Ok(Some(ApiKey {
        id,
        name,
        role: codes::parse("role", &role)?,
        secret_hash: codes::parse("secret_hash", &hash)?,
        created_at: UnixMillis(created_at),
    }))
}

/// Takes a key back. Says whether there was one in use.
pub async fn revoke(conn: &mut Conn, id: &str, at: UnixMillis) -> Result<bool, StoreError> {
    let sql = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    let done = sqlx::query(sql).bind(id).bind(at.0).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
