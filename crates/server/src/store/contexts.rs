//! Contexts, what they hold, and where they are attached.
//!
//! Takes and gives rows. Sealing and opening are the vault's. Never: an opened write-only value.

use std::collections::HashMap;

use gantry_protocol::StackId;
use gantry_protocol::payload::Hooks;

use super::codes::{Code, from_json, parse, to_json};
use super::error::inserted;
use super::stack_config::{self, ConfigElement};
use super::stacks::{Stack, ids_and_spaces};
use super::{Conn, StoreError, many, spaces};
use crate::clock::UnixMillis;
use crate::domain::{ContextAttachment, ContextId, attaches_itself, names_stacks};

/// A context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its slug.
    pub id: ContextId,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Labels; `autoattach:…` attaches it, as a policy's does.
    pub labels: Vec<String>,
    /// The space it belongs to.
    pub space: String,
    /// Commands around the phases of the stacks' runs.
    pub hooks: Hooks,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// What a write-only value is sealed for: it opens for nothing else.
pub fn sealing_purpose(context: &ContextId, id: &str) -> String {
    format!("value of `{id}` of context `{context}`")
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    labels: String,
    space_id: String,
    hooks: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for Context {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("context id", &row.id)?,
            name: row.name,
            description: row.description,
            labels: from_json("labels", &row.labels)?,
            space: row.space_id,
            hooks: from_json("hooks", &row.hooks)?,
            created_at: UnixMillis(row.created_at),
            updated_at: UnixMillis(row.updated_at),
        })
    }
}

fn attaches(context: &Context) -> bool {
    context.labels.iter().any(|label| names_stacks(label))
}

/// Adds a context. A slug is never used twice, not even after a delete.
pub async fn insert(conn: &mut Conn, context: &Context) -> Result<(), StoreError> {
    let sql = "INSERT INTO contexts (id, name, description, labels, space_id, hooks, autoattach,
                 created_at, updated_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)";
    let done = sqlx::query(sql)
        .bind(context.id.as_str())
        .bind(&context.name)
        .bind(&context.description)
        .bind(to_json(&context.labels))
        .bind(&context.space)
        .bind(to_json(&context.hooks))
        .bind(attaches(context))
        .bind(context.created_at.0)
        .bind(context.updated_at.0)
        .execute(conn)
        .await;
    inserted(done, ("context", &context.id))
}

/// Replaces what may change of a context: everything but its id and space.
pub async fn update(conn: &mut Conn, context: &Context) -> Result<(), StoreError> {
    let sql = "UPDATE contexts SET name = $2, description = $3, labels = $4, hooks = $5,
                 autoattach = $6, updated_at = $7
               WHERE id = $1 AND deleted_at IS NULL";
    sqlx::query(sql)
        .bind(context.id.as_str())
        .bind(&context.name)
        .bind(&context.description)
        .bind(to_json(&context.labels))
        .bind(to_json(&context.hooks))
        .bind(attaches(context))
        .bind(context.updated_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks a context as deleted; what it held and where it was attached is gone.
pub async fn delete(conn: &mut Conn, id: &ContextId, at: UnixMillis) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM context_attachments WHERE context_id = $1",
        "DELETE FROM context_config WHERE context_id = $1",
    ] {
        let query = sqlx::query(sql).bind(id.as_str());
        query.execute(&mut *conn).await?;
    }
    sqlx::query("UPDATE contexts SET deleted_at = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The context of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: &ContextId) -> Result<Option<Context>, StoreError> {
    let sql = "SELECT * FROM contexts WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(Context::try_from).transpose()
}

/// The context of this id.
pub async fn get(conn: &mut Conn, id: &ContextId) -> Result<Context, StoreError> {
    find(conn, id).await?.ok_or_else(|| StoreError::NotFound {
        kind: "context",
        id: id.to_string(),
    })
}

/// Every context, in order of the slugs.
pub async fn list(conn: &mut Conn) -> Result<Vec<Context>, StoreError> {
    let sql = "SELECT * FROM contexts WHERE deleted_at IS NULL ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Context::try_from).collect()
}

/// Attaches a context to a stack, or gives the attachment another priority.
pub async fn attach(
    conn: &mut Conn,
    context: &ContextId,
    stack: &StackId,
    priority: i32,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO context_attachments (context_id, stack_id, priority, attached_at)
               VALUES ($1, $2, $3, $4)
               ON CONFLICT (context_id, stack_id) DO UPDATE SET priority = excluded.priority";
    sqlx::query(sql)
        .bind(context.as_str())
        .bind(stack.as_str())
        .bind(priority)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a context off a stack; whether it was attached by hand.
pub async fn detach(
    conn: &mut Conn,
    context: &ContextId,
    stack: &StackId,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM context_attachments WHERE context_id = $1 AND stack_id = $2";
    let done = sqlx::query(sql)
        .bind(context.as_str())
        .bind(stack.as_str())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

#[derive(sqlx::FromRow)]
struct AttachedRow {
    #[sqlx(flatten)]
    context: Row,
    priority: i32,
}

impl TryFrom<AttachedRow> for (Context, ContextAttachment) {
    type Error = StoreError;

    fn try_from(row: AttachedRow) -> Result<Self, StoreError> {
        let how = ContextAttachment::ByHand(row.priority);
        Ok((row.context.try_into()?, how))
    }
}

/// Contexts of a stack, and how each came to it.
pub type Attachments = Vec<(Context, ContextAttachment)>;

/// The contexts of a stack, strongest first: by hand in order of priority, then by label, each in order of
/// the slugs. A label attaches only what belongs to the stack's space or to one that it inherits from: else a
/// context of one space could put its hooks into the runs of another.
pub async fn attached(conn: &mut Conn, stack: &Stack) -> Result<Attachments, StoreError> {
    let mut all = attached_to(conn, std::slice::from_ref(stack)).await?;
    Ok(all.remove(&stack.id).unwrap_or_default())
}

/// The same for each of these stacks.
pub async fn attached_to(
    conn: &mut Conn,
    stacks: &[Stack],
) -> Result<HashMap<StackId, Attachments>, StoreError> {
    let sql =
        "SELECT context_attachments.stack_id AS owner, contexts.*, context_attachments.priority
               FROM context_attachments
               JOIN contexts ON contexts.id = context_attachments.context_id
               WHERE context_attachments.stack_id IN ($list) AND contexts.deleted_at IS NULL";
    let (ids, homes) = ids_and_spaces(stacks);
    let mut found: HashMap<StackId, Attachments> =
        many::grouped::<AttachedRow, _, _>(conn, ("stack id", sql), &ids).await?;
    let sql = "SELECT * FROM contexts WHERE autoattach AND deleted_at IS NULL";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(&mut *conn).await?;
    let contexts = rows.into_iter().map(Context::try_from);
    let by_label = contexts.collect::<Result<Vec<Context>, _>>()?;
    let lines = spaces::lineages(conn, &homes).await?;
    for stack in stacks {
        let of_stack = found.entry(stack.id.clone()).or_default();
        let near = |context: &Context| {
            let line = lines.get(&stack.settings.space);
            line.is_some_and(|line| line.contains(&context.space))
        };
        for context in &by_label {
            let fits = near(context) && attaches_itself(&context.labels, &stack.settings.labels);
            if fits && of_stack.iter().all(|(known, _)| known.id != context.id) {
                of_stack.push((context.clone(), ContextAttachment::ByLabel));
            }
        }
        of_stack.sort_by(|(a, one), (b, other)| (one, &a.id).cmp(&(other, &b.id)));
    }
    Ok(found)
}

/// The stacks that a context was attached to by hand, in order of their slugs, each with the priority.
pub async fn by_hand(
    conn: &mut Conn,
    context: &ContextId,
) -> Result<Vec<(StackId, i32)>, StoreError> {
    let sql = "SELECT context_attachments.stack_id, context_attachments.priority
               FROM context_attachments JOIN stacks ON stacks.id = context_attachments.stack_id
               WHERE context_attachments.context_id = $1 AND stacks.deleted_at IS NULL
               ORDER BY context_attachments.stack_id";
    let rows: Vec<(String, i32)> = sqlx::query_as(sql)
        .bind(context.as_str())
        .fetch_all(conn)
        .await?;
    let parsed = |(id, priority): (String, i32)| Ok((parse("stack id", &id)?, priority));
    rows.into_iter().map(parsed).collect()
}

/// Sets an element, replacing the one of the same id.
pub async fn set_config(
    conn: &mut Conn,
    context: &ContextId,
    element: &ConfigElement,
) -> Result<(), StoreError> {
    let (plain, sealed) = element.value.columns();
    let sql = "INSERT INTO context_config (context_id, id, kind, value, sealed, checksum,
                 description, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (context_id, id) DO UPDATE SET kind = excluded.kind,
                 value = excluded.value, sealed = excluded.sealed, checksum = excluded.checksum,
                 description = excluded.description, created_at = excluded.created_at";
    sqlx::query(sql)
        .bind(context.as_str())
        .bind(&element.id)
        .bind(element.kind.code())
        .bind(plain)
        .bind(sealed)
        .bind(&element.checksum)
        .bind(&element.description)
        .bind(element.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes an element and gives it back, if there was one.
pub async fn remove_config(
    conn: &mut Conn,
    context: &ContextId,
    id: &str,
) -> Result<Option<ConfigElement>, StoreError> {
    let sql = "DELETE FROM context_config WHERE context_id = $1 AND id = $2
               RETURNING id, kind, value, sealed, checksum, description, created_at";
    let row: Option<stack_config::Row> = sqlx::query_as(sql)
        .bind(context.as_str())
        .bind(id)
        .fetch_optional(conn)
        .await?;
    row.map(ConfigElement::try_from).transpose()
}

/// A context's elements in order of their ids.
pub async fn config(
    conn: &mut Conn,
    context: &ContextId,
) -> Result<Vec<ConfigElement>, StoreError> {
    let sql = "SELECT id, kind, value, sealed, checksum, description, created_at
               FROM context_config WHERE context_id = $1 ORDER BY id";
    let rows: Vec<stack_config::Row> = sqlx::query_as(sql)
        .bind(context.as_str())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(ConfigElement::try_from).collect()
}

/// The elements of each of these contexts in order of their ids.
pub async fn configs(
    conn: &mut Conn,
    contexts: &[ContextId],
) -> Result<HashMap<ContextId, Vec<ConfigElement>>, StoreError> {
    let sql =
        "SELECT context_id AS owner, id, kind, value, sealed, checksum, description, created_at
               FROM context_config WHERE context_id IN ($list) ORDER BY id";
    many::grouped::<stack_config::Row, _, _>(conn, ("context id", sql), contexts).await
}
