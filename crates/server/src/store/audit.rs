//! The audit trail: who did what to which thing.
//!
//! Takes a line inside the transaction of the deed itself, so that neither exists without the other.
//! Never: secret values in `detail`.

use serde_json::Value;

use super::{Conn, Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::Actor;

/// One deed.
#[derive(Clone, Debug)]
pub struct Deed<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// What, such as `pool.create`.
    pub action: &'static str,
    /// To which thing, such as `pool:01J…`.
    pub subject: String,
    /// What else a reader of the trail wants to know.
    pub detail: Value,
}

/// Writes one line.
pub async fn record(store: &Store, conn: &mut Conn, deed: Deed<'_>) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (id, at, actor, action, subject, detail)
               VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(store.new_id().to_string())
        .bind(UnixMillis::now().0)
        .bind(deed.actor.to_string())
        .bind(deed.action)
        .bind(deed.subject)
        .bind(deed.detail.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The lines about one thing, oldest first: (actor, action).
pub async fn of(conn: &mut Conn, subject: &str) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT actor, action FROM audit WHERE subject = $1 ORDER BY id";
    Ok(sqlx::query_as(sql).bind(subject).fetch_all(conn).await?)
}
