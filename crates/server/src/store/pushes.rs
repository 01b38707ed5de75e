//! Pushes that code hosts told of, what stacks made of them, and repositories that are asked in turns.
//!
//! Takes a push once per delivery. Never: one forgotten before it was acted upon or given up.

use gantry_protocol::StackId;
use ulid::Ulid;

use super::codes::{from_json, parse, to_json};
use super::{Conn, StoreError};
use crate::clock::UnixMillis;
use crate::domain::{IntegrationId, Push};

/// A push that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its id.
    pub id: Ulid,
    /// Who told of it.
    pub integration: IntegrationId,
    /// What happened.
    pub push: Push,
    /// How often it was tried.
    pub attempts: u32,
}

/// A repository to ask.
#[derive(Clone, Debug)]
pub struct Poll {
    /// By which integration.
    pub integration: IntegrationId,
    /// The clone URL.
    pub url: String,
    /// How often asking has failed since it worked.
    pub failures: u32,
    /// Whether it ever answered.
    pub known: bool,
}

/// Keeps a push; false where this delivery was kept before.
pub async fn keep(
    conn: &mut Conn,
    (id, integration, delivery): (Ulid, &IntegrationId, &str),
    push: &Push,
    at: UnixMillis,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO pushes (id, integration_id, delivery, push, attempts, next_at, outcome,
                 received_at, handled_at)
               VALUES ($1, $2, $3, $4, 0, $5, NULL, $5, NULL)
               ON CONFLICT (integration_id, delivery) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(id.to_string())
        .bind(integration.as_str())
        .bind(delivery)
        .bind(to_json(push))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The pushes whose time has come, oldest first.
pub async fn due(conn: &mut Conn, now: UnixMillis, most: u32) -> Result<Vec<Waiting>, StoreError> {
    let sql = "SELECT id, integration_id, push, attempts FROM pushes
               WHERE handled_at IS NULL AND next_at <= $1 ORDER BY next_at, id LIMIT $2";
    let rows: Vec<(String, String, String, u32)> = sqlx::query_as(sql)
        .bind(now.0)
        .bind(most)
        .fetch_all(conn)
        .await?;
    let parsed = |(id, integration, push, attempts): (String, String, String, u32)| {
        Ok(Waiting {
            id: parse("push id", &id)?,
            integration: parse("integration id", &integration)?,
            push: from_json("push", &push)?,
            attempts,
        })
    };
    rows.into_iter().map(parsed).collect()
}

/// Marks a push as done, with one line about what came of it.
pub async fn handled(
    conn: &mut Conn,
    id: Ulid,
    outcome: &str,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "UPDATE pushes SET handled_at = $2, outcome = $3 WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(at.0)
        .bind(outcome)
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a push off, with the reason.
pub async fn put_off(
    conn: &mut Conn,
    id: Ulid,
    reason: &str,
    until: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "UPDATE pushes SET attempts = attempts + 1, next_at = $2, outcome = $3 WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(until.0)
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets pushes that were done before `before`; how many.
pub async fn forget(conn: &mut Conn, before: UnixMillis) -> Result<u64, StoreError> {
    let sql = "DELETE FROM pushes WHERE handled_at IS NOT NULL AND handled_at < $1";
    let done = sqlx::query(sql).bind(before.0).execute(conn).await?;
    Ok(done.rows_affected())
}

/// The newest pushes of an integration that were told of: (branch and commit, when, what came of it).
pub async fn newest(
    conn: &mut Conn,
    integration: &IntegrationId,
    most: u32,
) -> Result<Vec<(Push, UnixMillis, Option<String>)>, StoreError> {
    let sql = "SELECT push, received_at, outcome FROM pushes WHERE integration_id = $1
               ORDER BY id DESC LIMIT $2";
    let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(sql)
        .bind(integration.as_str())
        .bind(most)
        .fetch_all(conn)
        .await?;
    let parsed = |(push, at, outcome): (String, i64, Option<String>)| {
        Ok((from_json("push", &push)?, UnixMillis(at), outcome))
    };
    rows.into_iter().map(parsed).collect()
}

/// The stacks, in order of their slugs, whose code is at one of these URLs.
pub async fn stacks_at(conn: &mut Conn, urls: &[String]) -> Result<Vec<StackId>, StoreError> {
    let mut found = Vec::new();
    for url in urls {
        let sql = "SELECT id FROM stacks WHERE url = $1 AND deleted_at IS NULL";
        let query = sqlx::query_as(sql).bind(url);
        let rows: Vec<(String,)> = query.fetch_all(&mut *conn).await?;
        for (id,) in rows {
            found.push(parse("stack id", &id)?);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Notes that a stack was told of a branch's commit; false where it was told of the same one last.
pub async fn tell(
    conn: &mut Conn,
    stack: &StackId,
    (branch, hash): (&str, &str),
    at: UnixMillis,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO branch_pushes (stack_id, branch, hash, at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (stack_id, branch) DO UPDATE SET hash = excluded.hash, at = excluded.at
               WHERE branch_pushes.hash <> excluded.hash";
    let done = sqlx::query(sql)
        .bind(stack.as_str())
        .bind(branch)
        .bind(hash)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The commit of a branch that a stack was told of last.
pub async fn told(
    conn: &mut Conn,
    stack: &StackId,
    branch: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT hash FROM branch_pushes WHERE stack_id = $1 AND branch = $2";
    let row: Option<(String,)> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(branch)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(hash,)| hash))
}

/// Forgets a branch that is gone.
pub async fn untell(conn: &mut Conn, stack: &StackId, branch: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM branch_pushes WHERE stack_id = $1 AND branch = $2";
    let query = sqlx::query(sql).bind(stack.as_str()).bind(branch);
    query.execute(conn).await?;
    Ok(())
}

/// Every clone URL that stacks have, once.
pub async fn urls(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT url FROM stacks WHERE deleted_at IS NULL ORDER BY url";
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(url,)| url).collect())
}

/// Adds a repository to those that are asked, unless it is one.
pub async fn plan_poll(
    conn: &mut Conn,
    integration: &IntegrationId,
    url: &str,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO polls (integration_id, url, next_at, failures, error, asked_at)
               VALUES ($1, $2, $3, 0, NULL, NULL) ON CONFLICT (integration_id, url) DO NOTHING";
    sqlx::query(sql)
        .bind(integration.as_str())
        .bind(url)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The repositories of an integration whose time has come.
pub async fn due_polls(
    conn: &mut Conn,
    integration: &IntegrationId,
    now: UnixMillis,
) -> Result<Vec<Poll>, StoreError> {
    let sql = "SELECT url, failures, asked_at IS NOT NULL FROM polls WHERE integration_id = $1 AND next_at <= $2
               ORDER BY next_at";
    let rows: Vec<(String, u32, bool)> = sqlx::query_as(sql)
        .bind(integration.as_str())
        .bind(now.0)
        .fetch_all(conn)
        .await?;
    let poll = |(url, failures, known)| Poll {
        integration: integration.clone(),
        url,
        failures,
        known,
    };
    Ok(rows.into_iter().map(poll).collect())
}

/// When a repository is asked next, and what went wrong this time.
pub async fn polled(
    conn: &mut Conn,
    poll: &Poll,
    error: Option<&str>,
    next: UnixMillis,
) -> Result<(), StoreError> {
    let failures = if error.is_some() {
        poll.failures + 1
    } else {
        0
    };
    let sql = "UPDATE polls SET next_at = $3, failures = $4, error = $5,
                 asked_at = CASE WHEN $5 IS NULL THEN $3 ELSE asked_at END
               WHERE integration_id = $1 AND url = $2";
    sqlx::query(sql)
        .bind(poll.integration.as_str())
        .bind(&poll.url)
        .bind(next.0)
        .bind(failures)
        .bind(error)
        .execute(conn)
        .await?;
    Ok(())
}

/// The branches that a repository had when it answered last.
pub async fn heads(conn: &mut Conn, poll: &Poll) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT branch, hash FROM polled_heads WHERE integration_id = $1 AND url = $2";
    Ok(sqlx::query_as(sql)
        .bind(poll.integration.as_str())
        .bind(&poll.url)
        .fetch_all(conn)
        .await?)
}

/// Remembers where a branch points; none forgets it.
pub async fn set_head(
    conn: &mut Conn,
    poll: &Poll,
    branch: &str,
    hash: Option<&str>,
) -> Result<(), StoreError> {
    let sql = match hash {
        Some(_) => {
            "INSERT INTO polled_heads (integration_id, url, branch, hash) VALUES ($1, $2, $3, $4)
             ON CONFLICT (integration_id, url, branch) DO UPDATE SET hash = excluded.hash"
        }
        None => {
            "DELETE FROM polled_heads WHERE integration_id = $1 AND url = $2 AND branch = $3
             AND $4 IS NULL"
        }
    };
    sqlx::query(sql)
        .bind(poll.integration.as_str())
        .bind(&poll.url)
        .bind(branch)
        .bind(hash)
        .execute(conn)
        .await?;
    Ok(())
}
