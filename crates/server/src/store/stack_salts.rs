//! The salts under which stacks' values enter signed documents.
//!
//! Takes and gives sealed texts; sealing is the caller's, through the vault. Never: a salt that changes, because
//! a document could no longer be compared with the one that was signed before.

use gantry_protocol::StackId;

use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// What a stack's salt is sealed for: it opens for nothing else.
pub fn sealing_purpose(stack: &StackId) -> String {
    format!("salt of stack `{stack}`")
}

/// The sealed salt of a stack, if it has one yet.
pub async fn find(conn: &mut Conn, stack: &StackId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT sealed FROM stack_salts WHERE stack_id = $1";
    let row: Option<(String,)> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(sealed,)| sealed))
}

/// Gives a stack its salt, unless somebody was faster.
pub async fn keep(
    conn: &mut Conn,
    stack: &StackId,
    sealed: &str,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO stack_salts (stack_id, sealed, created_at) VALUES ($1, $2, $3)
               ON CONFLICT (stack_id) DO NOTHING";
    sqlx::query(sql)
        .bind(stack.as_str())
        .bind(sealed)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}
