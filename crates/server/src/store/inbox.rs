//! Messages that wait for their launcher.
//!
//! Takes messages inside the transaction that causes them, gives them in order. Never: an opened payload;
//! what stands here about a run is sealed to its pool.

use gantry_protocol::control::inbox::{Content, Message};
use gantry_protocol::{Attempt, LauncherId, RunId};

use super::codes::{from_json, parse, to_json};
use super::launchers::as_i64;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;

/// Puts a message at the end of a launcher's inbox and gives its id.
pub async fn push(
    conn: &mut Conn,
    launcher: LauncherId,
    content: &Content,
    about: Option<(RunId, Attempt)>,
    at: UnixMillis,
) -> Result<u64, StoreError> {
    let sql = "UPDATE launchers SET last_message = last_message + 1 WHERE id = $1
               RETURNING last_message";
    let (id,): (i64,) = sqlx::query_as(sql)
        .bind(launcher.to_string())
        .fetch_one(&mut *conn)
        .await?;
    let sql = "INSERT INTO inbox (launcher_id, id, kind, run_id, attempt, content, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(launcher.to_string())
        .bind(id)
        .bind(kind(content))
        .bind(about.map(|(run, _)| run.to_string()))
        .bind(about.map(|(_, attempt)| attempt.0))
        .bind(to_json(content))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(u64::try_from(id).unwrap_or_default())
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Run(_) => "RUN",
        Content::Stop { .. } => "STOP",
        Content::Drain { .. } => "DRAIN",
        Content::Cycle => "CYCLE",
        Content::Unknown => "UNKNOWN",
    }
}

/// Waiting messages, oldest first: at least one if there is one, then as many as `budget` bytes hold.
pub async fn pending(
    conn: &mut Conn,
    launcher: LauncherId,
    budget: usize,
) -> Result<Vec<Message>, StoreError> {
    let sql = "SELECT id, LENGTH(content) FROM inbox WHERE launcher_id = $1 ORDER BY id LIMIT 64";
    let sizes: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(launcher.to_string())
        .fetch_all(&mut *conn)
        .await?;
    let (mut room, mut last) = (i64::try_from(budget).unwrap_or(i64::MAX), None);
    for (id, size) in sizes {
        room -= size;
        if room < 0 && last.is_some() {
            break;
        }
        last = Some(id);
    }
    let Some(last) = last else {
        return Ok(Vec::new());
    };
    let sql = "SELECT id, content FROM inbox WHERE launcher_id = $1 AND id <= $2 ORDER BY id";
    let rows: Vec<(i64, String)> = sqlx::query_as(sql)
        .bind(launcher.to_string())
        .bind(last)
        .fetch_all(conn)
        .await?;
    let message = |(id, content): (i64, String)| {
        let content = from_json("inbox.content", &content)?;
        Ok(Message {
            id: u64::try_from(id).unwrap_or_default(),
            content,
        })
    };
    rows.into_iter().map(message).collect()
}

/// Drops messages that the launcher has journaled.
pub async fn acknowledge(
    conn: &mut Conn,
    launcher: LauncherId,
    ids: &[u64],
) -> Result<(), StoreError> {
    for id in ids {
        sqlx::query("DELETE FROM inbox WHERE launcher_id = $1 AND id = $2")
            .bind(launcher.to_string())
            .bind(as_i64(*id))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Drops what was said about a lease that is over.
pub async fn withdraw(conn: &mut Conn, run: RunId, attempt: Attempt) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM inbox WHERE run_id = $1 AND attempt = $2")
        .bind(run.to_string())
        .bind(attempt.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// How many handed-out runs the launcher has not journaled yet.
pub async fn unread_runs(conn: &mut Conn, launcher: LauncherId) -> Result<u32, StoreError> {
    let sql = "SELECT COUNT(*) FROM inbox WHERE launcher_id = $1 AND kind = 'RUN'";
    let (count,): (u32,) = sqlx::query_as(sql)
        .bind(launcher.to_string())
        .fetch_one(conn)
        .await?;
    Ok(count)
}

/// Launchers whose inbox is not empty.
pub async fn launchers_with_messages(conn: &mut Conn) -> Result<Vec<LauncherId>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT DISTINCT launcher_id FROM inbox")
        .fetch_all(conn)
        .await?;
    rows.iter().map(|(id,)| parse("launcher id", id)).collect()
}
