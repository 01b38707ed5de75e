//! The audit trail: who did what to which thing, when, from where, and whether it was done.
//!
//! Takes a line inside the transaction of the deed itself, so that neither exists without the other; the
//! database refuses to change or delete one. Never: secret values in `detail`.

use std::net::IpAddr;

use serde_json::Value;

use super::codes::from_json;
use super::{Conn, Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::Actor;

/// The longest text of a refusal that is kept, in characters.
const REFUSAL_LIMIT: usize = 500;

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

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The id of its API key.
    pub key: Option<String>,
}

/// A line as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its id, a ULID; they sort by time.
    pub id: String,
    /// When.
    pub at: UnixMillis,
    /// Who: `user:NAME`, `launcher:ID` or `server`.
    pub actor: String,
    /// The API key.
    pub key: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What, such as `pool.create`; of a refusal the name of the operation.
    pub action: String,
    /// To which thing, such as `pool:01J…`.
    pub subject: String,
    /// What the thing is part of.
    pub related: Option<String>,
    /// The thing's space at the time.
    pub space: Option<String>,
    /// `DONE` or `REFUSED`.
    pub outcome: String,
    /// What else there is to know.
    pub detail: Value,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    at: i64,
    actor: String,
    key_id: Option<String>,
    address: Option<String>,
    action: String,
    subject: String,
    related: Option<String>,
    space_id: Option<String>,
    outcome: String,
    detail: String,
}

impl TryFrom<Row> for Line {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            at: UnixMillis(row.at),
            actor: row.actor,
            key: row.key_id,
            address: row.address,
            action: row.action,
            subject: row.subject,
            related: row.related,
            space: row.space_id,
            outcome: row.outcome,
            detail: from_json("audit detail", &row.detail)?,
        })
    }
}

tokio::task_local! {
    static ORIGIN: Origin;
}

/// Answers a request; every line that is written meanwhile says that it came from there.
pub async fn within<F: Future>(origin: Origin, answer: F) -> F::Output {
    ORIGIN.scope(origin, answer).await
}

/// Writes one line.
pub async fn record(store: &Store, conn: &mut Conn, deed: Deed<'_>) -> Result<(), StoreError> {
    let place = place(conn, &deed.subject).await?;
    let actor = deed.actor.to_string();
    let words = (actor.as_str(), deed.action, deed.subject.as_str());
    insert(store, conn, words, place, ("DONE", &deed.detail)).await
}

/// Writes that somebody was refused an operation of the API, on the thing that it named.
pub async fn record_refusal(
    store: &Store,
    conn: &mut Conn,
    actor: &Actor,
    (operation, subject): (&str, &str),
    why: &str,
) -> Result<(), StoreError> {
    let why: String = why.chars().take(REFUSAL_LIMIT).collect();
    let detail = serde_json::json!({ "refusal": why });
    let actor = actor.to_string();
    let words = (actor.as_str(), operation, subject);
    insert(store, conn, words, Place::default(), ("REFUSED", &detail)).await
}

async fn insert(
    store: &Store,
    conn: &mut Conn,
    (actor, action, subject): (&str, &str, &str),
    place: Place,
    (outcome, detail): (&str, &Value),
) -> Result<(), StoreError> {
    let origin = ORIGIN.try_with(Clone::clone).unwrap_or_default();
    let sql = "INSERT INTO audit (id, at, actor, action, subject, detail, key_id, address, outcome,
                 space_id, related)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(sql)
        .bind(store.new_id().to_string())
        .bind(UnixMillis::now().0)
        .bind(actor)
        .bind(action)
        .bind(subject)
        .bind(detail.to_string())
        .bind(origin.key)
        .bind(origin.address.map(|address| address.to_string()))
        .bind(outcome)
        .bind(place.space)
        .bind(place.related)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(Default)]
struct Place {
    space: Option<String>,
    related: Option<String>,
}

/// Where a thing belongs, also one that was just deleted.
async fn place(conn: &mut Conn, subject: &str) -> Result<Place, StoreError> {
    let Some((kind, id)) = subject.split_once(':') else {
        return Ok(Place::default());
    };
    let sql = match kind {
        "stack" => "SELECT space_id, NULL FROM stacks WHERE id = $1",
        "pool" => "SELECT space_id, NULL FROM pools WHERE id = $1",
        "policy" => "SELECT space_id, NULL FROM policies WHERE id = $1",
        "context" => "SELECT space_id, NULL FROM contexts WHERE id = $1",
        "notification_target" => "SELECT space_id, NULL FROM notification_targets WHERE id = $1",
        "integration" => "SELECT space_id, NULL FROM integrations WHERE id = $1",
        "vcs_pool" => "SELECT space_id, NULL FROM vcs_pools WHERE id = $1",
        "space" => "SELECT id, NULL FROM spaces WHERE id = $1",
        "run" => {
            "SELECT stacks.space_id, 'stack:' || stacks.id
             FROM runs JOIN stacks ON stacks.id = runs.stack_id WHERE runs.id = $1"
        }
        "launcher" => {
            "SELECT pools.space_id, 'pool:' || pools.id
             FROM launchers JOIN pools ON pools.id = launchers.pool_id WHERE launchers.id = $1"
        }
        _ => return Ok(Place::default()),
    };
    let row: Option<(String, Option<String>)> =
        sqlx::query_as(sql).bind(id).fetch_optional(conn).await?;
    Ok(row.map_or_else(Place::default, |(space, related)| Place {
        space: Some(space),
        related,
    }))
}

/// Up to `limit` lines older than the one of this id, newest first.
pub async fn older(conn: &mut Conn, than: &str, limit: u32) -> Result<Vec<Line>, StoreError> {
    let sql = "SELECT * FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(than)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Line::try_from).collect()
}

/// Up to `limit` lines after the one of this id and before the other, oldest first.
pub async fn between(
    conn: &mut Conn,
    after: &str,
    before: &str,
    limit: u32,
) -> Result<Vec<Line>, StoreError> {
    let sql = "SELECT * FROM audit WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(after)
        .bind(before)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Line::try_from).collect()
}

/// The lines about one thing, oldest first: (actor, action).
pub async fn of(conn: &mut Conn, subject: &str) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT actor, action FROM audit WHERE subject = $1 ORDER BY id";
    Ok(sqlx::query_as(sql).bind(subject).fetch_all(conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{World, ann};

    #[tokio::test]
    async fn a_line_says_from_where_and_can_be_neither_changed_nor_deleted() {
        let World { store, .. } = &World::new().await;
        let mut tx = store.begin().await.unwrap();
        let origin = Origin {
            address: Some([192, 0, 2, 7].into()),
            key: Some("K".to_owned()),
        };
        let deed = Deed {
            actor: &ann(),
            action: "stack.lock",
            subject: "stack:net".to_owned(),
            detail: serde_json::json!({}),
        };
        within(origin, record(store, &mut tx, deed)).await.unwrap();
        record_refusal(
            store,
            &mut tx,
            &ann(),
            ("stackDelete", "stack:net"),
            &"x".repeat(600),
        )
        .await
        .unwrap();
        let lines = older(&mut tx, "~", 10).await.unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].outcome, "REFUSED");
        assert_eq!(lines[0].detail["refusal"].as_str().unwrap().len(), 500);
        let line = &lines[1];
        assert_eq!(
            (line.address.as_deref(), line.key.as_deref()),
            (Some("192.0.2.7"), Some("K"))
        );
        assert_eq!(line.space.as_deref(), Some("root"));
        assert_eq!(
            between(&mut tx, "", &lines[0].id, 10).await.unwrap(),
            std::slice::from_ref(line)
        );
        for sql in ["UPDATE audit SET actor = 'user:bob'", "DELETE FROM audit"] {
            let refused = sqlx::query(sql).execute(&mut *tx).await.unwrap_err();
            assert!(
                refused.to_string().contains("only appended to"),
                "{refused}"
            );
        }
    }
}
