//! Who is told of runs, what is to be told, and how that went.
//!
//! Takes news inside the transaction that makes them, gives deliveries until each has ended. Secrets are sealed
//! by the caller. Never: a delivery lost because somebody did not answer.

use gantry_protocol::{RunId, RunState};
use ulid::Ulid;

use super::codes::{Code, from_json, parse, to_json};
use super::{Conn, StoreError, Tx};
use crate::clock::UnixMillis;
use crate::domain::{IntegrationId, StateVersion};

/// A server of people's that is told of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: Ulid,
    /// The name people see.
    pub name: String,
    /// The space: it is told of runs of this one and of those that inherit from it.
    pub space: String,
    /// Where it listens.
    pub url: String,
    /// Sealed secret that messages are signed with.
    pub secret: String,
    /// Only these states; none named is all.
    pub states: Vec<String>,
    /// Whether it is told at all.
    pub enabled: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// What a target's secret is sealed for.
pub fn secret_purpose(id: Ulid) -> String {
    format!("secret of notification target `{id}`")
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A server of people's.
    Target(Ulid),
    /// A code host.
    CodeHost(IntegrationId),
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStanding {
    /// It is to be sent, again maybe.
    Waiting,
    /// It was taken.
    Sent,
    /// It was given up.
    GivenUp,
    /// A newer one made it pointless.
    Superseded,
}

impl Code for DeliveryStanding {
    const COLUMN: &'static str = "standing";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Waiting, "WAITING"),
        (Self::Sent, "SENT"),
        (Self::GivenUp, "GIVEN_UP"),
        (Self::Superseded, "SUPERSEDED"),
    ];
}

/// A message and how it goes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id; they sort by time.
    pub id: Ulid,
    /// To whom.
    pub recipient: Recipient,
    /// About which run.
    pub run: RunId,
    /// The state that the run had entered.
    pub state: RunState,
    /// What follows the recipient's own URL.
    pub path: String,
    /// JSON.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What came back last.
    pub answer: Option<String>,
    /// How it stands.
    pub standing: DeliveryStanding,
    /// When it was made.
    pub created_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct TargetRow {
    id: String,
    name: String,
    space_id: String,
    url: String,
    secret: String,
    states: String,
    enabled: bool,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<TargetRow> for Target {
    type Error = StoreError;

    fn try_from(row: TargetRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("notification target", &row.id)?,
            name: row.name,
            space: row.space_id,
            url: row.url,
            secret: row.secret,
            states: from_json("states", &row.states)?,
            enabled: row.enabled,
            created_at: UnixMillis(row.created_at),
            updated_at: UnixMillis(row.updated_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: String,
    target_id: Option<String>,
    integration_id: Option<String>,
    run_id: String,
    state: String,
    path: String,
    body: String,
    attempts: u32,
    answer: Option<String>,
    standing: String,
    created_at: i64,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let recipient = match (row.target_id, row.integration_id) {
            (Some(id), None) => Recipient::Target(parse("notification target", &id)?),
            (_, id) => {
                Recipient::CodeHost(parse("integration id", id.as_deref().unwrap_or_default())?)
            }
        };
        Ok(Self {
            id: parse("delivery", &row.id)?,
            recipient,
            run: parse("run id", &row.run_id)?,
            state: parse("state", &row.state)?,
            path: row.path,
            body: row.body,
            attempts: row.attempts,
            answer: row.answer,
            standing: DeliveryStanding::decode(&row.standing)?,
            created_at: UnixMillis(row.created_at),
        })
    }
}

/// The delivery's standing under its name in the API.
pub fn standing_name(standing: DeliveryStanding) -> &'static str {
    standing.code()
}

/// Adds a target, or replaces one of this id.
pub async fn put_target(conn: &mut Conn, target: &Target) -> Result<(), StoreError> {
    let sql = "INSERT INTO notification_targets (id, name, space_id, url, secret, states, enabled,
                 created_at, updated_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)
               ON CONFLICT (id) DO UPDATE SET name = excluded.name, url = excluded.url,
                 secret = excluded.secret, states = excluded.states, enabled = excluded.enabled,
                 updated_at = excluded.updated_at";
    sqlx::query(sql)
        .bind(target.id.to_string())
        .bind(&target.name)
        .bind(&target.space)
        .bind(&target.url)
        .bind(&target.secret)
        .bind(to_json(&target.states))
        .bind(target.enabled)
        .bind(target.created_at.0)
        .bind(target.updated_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks a target as deleted: what waits for it is given up.
pub async fn delete_target(conn: &mut Conn, id: Ulid, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "UPDATE notification_targets SET deleted_at = $2, secret = '' WHERE id = $1";
    let query = sqlx::query(sql).bind(id.to_string()).bind(at.0);
    query.execute(conn).await?;
    Ok(())
}

/// Every target, oldest first.
pub async fn targets(conn: &mut Conn) -> Result<Vec<Target>, StoreError> {
    let sql = "SELECT * FROM notification_targets WHERE deleted_at IS NULL ORDER BY id";
    let rows: Vec<TargetRow> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Target::try_from).collect()
}

/// The target of this id, unless it was deleted.
pub async fn find_target(conn: &mut Conn, id: Ulid) -> Result<Option<Target>, StoreError> {
    let sql = "SELECT * FROM notification_targets WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<TargetRow> = sqlx::query_as(sql)
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(Target::try_from).transpose()
}

/// Notes that a run entered a state, if anybody is told of runs.
pub async fn news(tx: &mut Tx, run: RunId, version: StateVersion) -> Result<(), StoreError> {
    let sql = "INSERT INTO run_news (run_id, state_version) SELECT $1, $2
               WHERE EXISTS (SELECT 1 FROM notification_targets
                               WHERE deleted_at IS NULL AND enabled)
                  OR EXISTS (SELECT 1 FROM integrations
                               WHERE deleted_at IS NULL AND api_url IS NOT NULL
                                 AND token IS NOT NULL)";
    sqlx::query(sql)
        .bind(run.to_string())
        .bind(version.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// News of which nobody was told yet.
pub async fn untold(conn: &mut Conn, most: u32) -> Result<Vec<(RunId, StateVersion)>, StoreError> {
    let sql = "SELECT run_id, state_version FROM run_news ORDER BY run_id, state_version LIMIT $1";
    let rows: Vec<(String, u32)> = sqlx::query_as(sql).bind(most).fetch_all(conn).await?;
    let parsed = |(id, version): (String, u32)| Ok((parse("run id", &id)?, StateVersion(version)));
    rows.into_iter().map(parsed).collect()
}

/// Forgets news, whose deliveries stand now.
pub async fn told(conn: &mut Conn, run: RunId, version: StateVersion) -> Result<(), StoreError> {
    let sql = "DELETE FROM run_news WHERE run_id = $1 AND state_version = $2";
    let query = sqlx::query(sql).bind(run.to_string()).bind(version.0);
    query.execute(conn).await?;
    Ok(())
}

/// Adds a delivery that is due at once.
pub async fn add(conn: &mut Conn, new: &Delivery) -> Result<(), StoreError> {
    let (target, integration) = match &new.recipient {
        Recipient::Target(id) => (Some(id.to_string()), None),
        Recipient::CodeHost(id) => (None, Some(id.to_string())),
    };
    let sql = "INSERT INTO deliveries (id, target_id, integration_id, run_id, state, path, body,
                 attempts, next_at, answer, standing, created_at, ended_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, NULL, 'WAITING', $8, NULL)";
    sqlx::query(sql)
        .bind(new.id.to_string())
        .bind(target)
        .bind(integration)
        .bind(new.run.to_string())
        .bind(new.state.as_str())
        .bind(&new.path)
        .bind(&new.body)
        .bind(new.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

const COLUMNS: &str = "id, target_id, integration_id, run_id, state, path, body, attempts, answer,
                       standing, created_at";

/// The deliveries whose time has come, oldest first.
pub async fn due(conn: &mut Conn, now: UnixMillis, most: u32) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries WHERE standing = 'WAITING' AND next_at <= $1
         ORDER BY next_at, id LIMIT $2"
    );
    let rows: Vec<DeliveryRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(now.0)
        .bind(most)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// The newest deliveries to a target.
pub async fn newest(conn: &mut Conn, target: Ulid, most: u32) -> Result<Vec<Delivery>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM deliveries WHERE target_id = $1 ORDER BY id DESC LIMIT $2");
    let rows: Vec<DeliveryRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(target.to_string())
        .bind(most)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// Whether a newer delivery says the same about the same run to the same place.
pub async fn superseded(conn: &mut Conn, delivery: &Delivery) -> Result<bool, StoreError> {
    let Recipient::CodeHost(integration) = &delivery.recipient else {
        return Ok(false);
    };
    let sql = "SELECT 1 FROM deliveries WHERE run_id = $1 AND id > $2 AND integration_id = $3
                 AND path = $4 LIMIT 1";
    let row: Option<(i64,)> = sqlx::query_as(sql)
        .bind(delivery.run.to_string())
        .bind(delivery.id.to_string())
        .bind(integration.as_str())
        .bind(&delivery.path)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Writes down how a delivery went: what came back, how it stands, and when it is tried next.
pub async fn went(
    conn: &mut Conn,
    id: Ulid,
    (answer, standing): (&str, DeliveryStanding),
    (now, next): (UnixMillis, UnixMillis),
) -> Result<(), StoreError> {
    let ended = (standing != DeliveryStanding::Waiting).then_some(now.0);
    let sql = "UPDATE deliveries SET attempts = attempts + 1, answer = $2, standing = $3,
                 next_at = $4, ended_at = $5 WHERE id = $1";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(answer)
        .bind(standing.code())
        .bind(next.0)
        .bind(ended)
        .execute(conn)
        .await?;
    Ok(())
}

/// Sends a delivery again now, whatever became of it; whether it is one of the target's.
pub async fn again(
    conn: &mut Conn,
    target: Ulid,
    id: Ulid,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let sql = "UPDATE deliveries SET standing = 'WAITING', attempts = 0, next_at = $3,
                 ended_at = NULL WHERE id = $1 AND target_id = $2";
    let done = sqlx::query(sql)
        .bind(id.to_string())
        .bind(target.to_string())
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets deliveries that ended before `before`.
pub async fn forget(conn: &mut Conn, before: UnixMillis) -> Result<(), StoreError> {
    let sql = "DELETE FROM deliveries WHERE ended_at IS NOT NULL AND ended_at < $1";
    sqlx::query(sql).bind(before.0).execute(conn).await?;
    Ok(())
}
