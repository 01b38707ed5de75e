//! Variables that one run has over its stack's.
//!
//! Takes and gives sealed values; sealing is the caller's, through the vault. Never: a value in the clear.

use gantry_protocol::RunId;

use super::{Conn, StoreError};

/// What a value is sealed for: it opens for no other run and no other name.
pub fn sealing_purpose(run: RunId, name: &str) -> String {
    format!("variable `{name}` of run `{run}`")
}

/// Adds a run's variables, in order: name and sealed value.
pub async fn insert(
    conn: &mut Conn,
    run: RunId,
    overrides: &[(String, String)],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO run_overrides (run_id, position, name, sealed) VALUES ($1, $2, $3, $4)";
    for (position, (name, sealed)) in overrides.iter().enumerate() {
        sqlx::query(sql)
            .bind(run.to_string())
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .bind(name)
            .bind(sealed)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// A run's variables, in order: name and sealed value.
pub async fn list(conn: &mut Conn, run: RunId) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT name, sealed FROM run_overrides WHERE run_id = $1 ORDER BY position";
    Ok(sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_all(conn)
        .await?)
}

/// Forgets the variables of a run that has ended.
pub async fn drop(conn: &mut Conn, run: RunId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM run_overrides WHERE run_id = $1")
        .bind(run.to_string())
        .execute(conn)
        .await?;
    Ok(())
}
