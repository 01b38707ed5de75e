//! API keys: names, roles, spaces and hashes of secrets.
//!
//! Takes and gives rows. Never: a secret itself.

use gantry_protocol::Digest;

use super::codes::unreadable;
use super::{Conn, StoreError, codes};
use crate::auth::Role;
use crate::clock::UnixMillis;

/// How old the time of the last use may be before it is written anew, in milliseconds.
const USED_STEP: i64 = 10 * 60 * 1000;

/// What a key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every space.
    All,
    /// These and what lies below them; none is nothing at all.
    Spaces(Vec<String>),
}

/// A key as stored.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id, a ULID.
    pub id: String,
    /// The name that histories show.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// What its bearer may do.
    pub role: Role,
    /// And where.
    pub reach: Reach,
    /// SHA-256 of the secret.
    pub secret_hash: Digest,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it stops to work; none is never.
    pub expires_at: Option<UnixMillis>,
    /// When it was exchanged for a session last, to ten minutes.
    pub last_used_at: Option<UnixMillis>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    role: String,
    reach: String,
    secret_hash: String,
    created_by: String,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

const ALL: &str = "ALL";
const SPACES: &str = "SPACES";

impl Row {
    fn key(self, spaces: Vec<String>) -> Result<ApiKey, StoreError> {
        let reach = match self.reach.as_str() {
            ALL => Reach::All,
            SPACES => Reach::Spaces(spaces),
            other => return Err(unreadable("reach", other)),
        };
        Ok(ApiKey {
            id: self.id,
            name: self.name,
            description: self.description,
            role: codes::parse("role", &self.role)?,
            reach,
            secret_hash: codes::parse("secret_hash", &self.secret_hash)?,
            created_by: self.created_by,
            created_at: UnixMillis(self.created_at),
            expires_at: self.expires_at.map(UnixMillis),
            last_used_at: self.last_used_at.map(UnixMillis),
        })
    }
}

/// Adds a key.
pub async fn insert(conn: &mut Conn, key: &ApiKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO api_keys (id, name, description, role, reach, secret_hash, created_by,
                 created_at, expires_at, last_used_at, revoked_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, NULL)";
    let (reach, spaces) = match &key.reach {
        Reach::All => (ALL, &[][..]),
        Reach::Spaces(spaces) => (SPACES, &spaces[..]),
    };
    sqlx::query(sql)
        .bind(&key.id)
        .bind(&key.name)
        .bind(&key.description)
        .bind(key.role.as_str())
        .bind(reach)
        .bind(key.secret_hash.to_string())
        .bind(&key.created_by)
        .bind(key.created_at.0)
        .bind(key.expires_at.map(|at| at.0))
        .execute(&mut *conn)
        .await?;
    for space in spaces {
        sqlx::query("INSERT INTO api_key_spaces (key_id, space_id) VALUES ($1, $2)")
            .bind(&key.id)
            .bind(space)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The key of this id, unless there is none, it was revoked, or it had expired at this time.
pub async fn find(conn: &mut Conn, id: &str, at: UnixMillis) -> Result<Option<ApiKey>, StoreError> {
    let sql = "SELECT * FROM api_keys
               WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id)
        .bind(at.0)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let spaces = spaces_of(conn, &row).await?;
    row.key(spaces).map(Some)
}

/// Every key that was not revoked, oldest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<ApiKey>, StoreError> {
    let sql = "SELECT * FROM api_keys WHERE revoked_at IS NULL ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(&mut *conn).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let spaces = spaces_of(conn, &row).await?;
        keys.push(row.key(spaces)?);
    }
    Ok(keys)
}

async fn spaces_of(conn: &mut Conn, row: &Row) -> Result<Vec<String>, StoreError> {
    if row.reach == ALL {
        return Ok(Vec::new());
    }
    let sql = "SELECT space_id FROM api_key_spaces WHERE key_id = $1 ORDER BY space_id";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(&row.id).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Whether the time of a key's last use is worth writing anew.
pub fn is_used_anew(key: &ApiKey, at: UnixMillis) -> bool {
    key.last_used_at
        .is_none_or(|last| at.0 - last.0 >= USED_STEP)
}

/// Remembers that a key was used.
pub async fn used(conn: &mut Conn, id: &str, at: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a key back. Says whether there was one in use.
pub async fn revoke(conn: &mut Conn, id: &str, at: UnixMillis) -> Result<bool, StoreError> {
    let sql = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    let done = sqlx::query(sql).bind(id).bind(at.0).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
