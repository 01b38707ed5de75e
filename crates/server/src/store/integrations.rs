//! Integrations with code hosts.
//!
//! Takes and gives rows; tokens and secrets are sealed by the caller. Never: an opened one.

use super::codes::{Code, parse};
use super::error::inserted;
use super::{Conn, StoreError, spaces};
use crate::clock::UnixMillis;
use crate::domain::{CodeHost, IntegrationId, is_below};

/// How a code host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its slug.
    pub id: IntegrationId,
    /// The name people see.
    pub name: String,
    /// The space; it serves stacks of this space and of those below.
    pub space: String,
    /// What kind of host it is.
    pub host: CodeHost,
    /// Clone URLs that begin so belong to it.
    pub url_prefix: String,
    /// Where its API is, without a slash at the end; none sends nothing back.
    pub api_url: Option<String>,
    /// User name that goes with the token; none is the host's usual one.
    pub username: Option<String>,
    /// Sealed token for cloning and for the API.
    pub token: Option<String>,
    /// Sealed secret that webhooks prove.
    pub webhook_secret: String,
    /// How often its repositories are asked for their branches; none never.
    pub poll_seconds: Option<u32>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// The kind of host's name in the API.
pub fn vendor_name(host: CodeHost) -> &'static str {
    host.code()
}

/// What the token is sealed for.
pub fn token_purpose(id: &IntegrationId) -> String {
    format!("token of integration `{id}`")
}

/// What the webhook's secret is sealed for.
pub fn secret_purpose(id: &IntegrationId) -> String {
    format!("webhook secret of integration `{id}`")
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    space_id: String,
    vendor: String,
    url_prefix: String,
    api_url: Option<String>,
    username: Option<String>,
    token: Option<String>,
    webhook_secret: String,
    poll_seconds: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for Integration {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("integration id", &row.id)?,
            name: row.name,
            space: row.space_id,
            host: CodeHost::decode(&row.vendor)?,
            url_prefix: row.url_prefix,
            api_url: row.api_url,
            username: row.username,
            token: row.token,
            webhook_secret: row.webhook_secret,
            poll_seconds: row.poll_seconds.and_then(|n| u32::try_from(n).ok()),
            created_at: UnixMillis(row.created_at),
            updated_at: UnixMillis(row.updated_at),
        })
    }
}

/// Adds an integration. A slug is never used twice, not even after a delete.
pub async fn insert(conn: &mut Conn, new: &Integration) -> Result<(), StoreError> {
    let sql = "INSERT INTO integrations (id, name, space_id, vendor, url_prefix, api_url, username,
                 token, webhook_secret, poll_seconds, created_at, updated_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL)";
    let done = sqlx::query(sql)
        .bind(new.id.as_str())
        .bind(&new.name)
        .bind(&new.space)
        .bind(new.host.code())
        .bind(&new.url_prefix)
        .bind(&new.api_url)
        .bind(&new.username)
        .bind(&new.token)
        .bind(&new.webhook_secret)
        .bind(new.poll_seconds)
        .bind(new.created_at.0)
        .bind(new.updated_at.0)
        .execute(conn)
        .await;
    inserted(done, ("VCS integration", &new.id))
}

/// Replaces what may change: everything but id, space and kind of host.
pub async fn update(conn: &mut Conn, changed: &Integration) -> Result<(), StoreError> {
    let sql = "UPDATE integrations SET name = $2, url_prefix = $3, api_url = $4, username = $5,
                 token = $6, webhook_secret = $7, poll_seconds = $8, updated_at = $9
               WHERE id = $1 AND deleted_at IS NULL";
    sqlx::query(sql)
        .bind(changed.id.as_str())
        .bind(&changed.name)
        .bind(&changed.url_prefix)
        .bind(&changed.api_url)
        .bind(&changed.username)
        .bind(&changed.token)
        .bind(&changed.webhook_secret)
        .bind(changed.poll_seconds)
        .bind(changed.updated_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks an integration as deleted; what was seen of its repositories is forgotten.
pub async fn delete(conn: &mut Conn, id: &IntegrationId, at: UnixMillis) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM polls WHERE integration_id = $1",
        "DELETE FROM polled_heads WHERE integration_id = $1",
    ] {
        let query = sqlx::query(sql).bind(id.as_str());
        query.execute(&mut *conn).await?;
    }
    let sql = "UPDATE integrations SET deleted_at = $2, token = NULL, webhook_secret = ''
               WHERE id = $1";
    sqlx::query(sql)
        .bind(id.as_str())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The integration of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: &IntegrationId) -> Result<Option<Integration>, StoreError> {
    let sql = "SELECT * FROM integrations WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(Integration::try_from).transpose()
}

/// The integration of this id.
pub async fn get(conn: &mut Conn, id: &IntegrationId) -> Result<Integration, StoreError> {
    find(conn, id).await?.ok_or_else(|| StoreError::NotFound {
        kind: "VCS integration",
        id: id.to_string(),
    })
}

/// Every integration, in order of the slugs.
pub async fn list(conn: &mut Conn) -> Result<Vec<Integration>, StoreError> {
    let sql = "SELECT * FROM integrations WHERE deleted_at IS NULL ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Integration::try_from).collect()
}

/// The integration that a repository is reached by, for a stack of this space: of those that fit the one with
/// the longest prefix.
pub async fn serving(
    conn: &mut Conn,
    url: &str,
    space: &str,
) -> Result<Option<Integration>, StoreError> {
    let mut fitting: Vec<Integration> = list(conn).await?;
    fitting.retain(|one| is_below(url, &one.url_prefix));
    fitting.sort_by_key(|one| std::cmp::Reverse(one.url_prefix.len()));
    let lineage = spaces::lineage(conn, space).await?;
    for one in fitting {
        if lineage.contains(&one.space) {
            return Ok(Some(one));
        }
    }
    Ok(None)
}
