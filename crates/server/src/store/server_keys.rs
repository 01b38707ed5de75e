//! The server's own key pairs: public halves in the clear, private halves sealed.
//!
//! Takes and gives rows; sealing is the caller's, through the vault. Never: an unsealed private key.

use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// A key pair.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ServerKey {
    /// Its id, as documents signed with it name it.
    pub id: String,
    /// What it signs, such as `api-token`.
    pub purpose: String,
    /// The private key, sealed by the vault.
    pub sealed: String,
    /// The public key, in the form that its purpose uses.
    pub public_key: String,
    /// When it was made, in Unix milliseconds.
    pub created_at: i64,
}

/// Adds a key pair.
pub async fn insert(conn: &mut Conn, key: &ServerKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO server_keys (id, purpose, sealed, public_key, created_at, retired_at)
               VALUES ($1, $2, $3, $4, $5, NULL)";
    sqlx::query(sql)
        .bind(&key.id)
        .bind(&key.purpose)
        .bind(&key.sealed)
        .bind(&key.public_key)
        .bind(key.created_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// The keys in use for a purpose, newest first.
pub async fn list(conn: &mut Conn, purpose: &str) -> Result<Vec<ServerKey>, StoreError> {
    let sql = "SELECT id, purpose, sealed, public_key, created_at FROM server_keys
               WHERE purpose = $1 AND retired_at IS NULL ORDER BY created_at DESC, id DESC";
    Ok(sqlx::query_as(sql).bind(purpose).fetch_all(conn).await?)
}

/// Stops using a key.
pub async fn retire(conn: &mut Conn, id: &str, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "UPDATE server_keys SET retired_at = $2 WHERE id = $1";
    sqlx::query(sql).bind(id).bind(at.0).execute(conn).await?;
    Ok(())
}
