//! Stacks.
//!
//! Takes and gives stacks. Never: values of their variables and files (`stack_config`), or a row that is
//! really removed: a deleted stack keeps its runs, logs and state for whoever has to look back.

use gantry_protocol::payload::ToolKind;
use gantry_protocol::{RunId, RunState, RunType, StackId};
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use super::codes::{Code, from_json, parse, to_json, unreadable};
use super::commit::TrackedCommit;
use super::{Conn, StoreError, many, runs};
use crate::clock::UnixMillis;
use crate::domain::stack::{Availability, Code as CodePlace, StackSettings, StateKeeper, Vendor};
use crate::domain::{Approval, Run};

/// A stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its slug.
    pub id: StackId,
    /// What it is.
    pub settings: StackSettings,
    /// Who keeps the tool's state; fixed when the stack is made.
    pub state_keeper: StateKeeper,
    /// The commit of the newest deployment.
    pub tracked: Option<TrackedCommit>,
    /// The person who holds it, if one does.
    pub locked_by: Option<String>,
    /// Whether it takes new runs.
    pub availability: Availability,
    /// The destroy run after whose good end the stack is deleted.
    pub deleted_by: Option<RunId>,
    /// When it was made.
    pub created_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    space_id: String,
    labels: String,
    url: String,
    namespace: String,
    repository: String,
    branch: String,
    project_root: String,
    runner_image: Option<String>,
    vendor: String,
    workflow_tool: String,
    tool_version: Option<String>,
    pool_id: Option<String>,
    approval: String,
    hooks: String,
    administrative: bool,
    local_preview: bool,
    state_keeper: String,
    tracked_commit: Option<String>,
    locked_by: Option<String>,
    availability: String,
    deleted_by_run: Option<String>,
    created_at: i64,
}

const TERRAFORM: &str = "TERRAFORM";
const OPEN_TOFU: &str = "OPEN_TOFU";

fn vendor(kind: &str, workflow: &str, version: Option<String>) -> Result<Vendor, StoreError> {
    match kind {
        TERRAFORM => Ok(Vendor::Terraform {
            version,
            workflow: ToolKind::decode(workflow)?,
        }),
        OPEN_TOFU => Ok(Vendor::OpenTofu { version }),
        other => Err(unreadable("vendor", other)),
    }
}

impl TryFrom<Row> for Stack {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let settings = StackSettings {
            name: row.name,
            description: row.description,
            space: row.space_id,
            labels: from_json("labels", &row.labels)?,
            code: CodePlace {
                url: row.url,
                namespace: row.namespace,
                repository: row.repository,
                branch: row.branch,
                project_root: row.project_root,
            },
            runner_image: row.runner_image,
            vendor: vendor(&row.vendor, &row.workflow_tool, row.tool_version)?,
            pool: row.pool_id.map(|id| parse("pool id", &id)).transpose()?,
            approval: Approval::decode(&row.approval)?,
            hooks: from_json("hooks", &row.hooks)?,
            administrative: row.administrative,
            local_preview: row.local_preview,
        };
        let tracked = row
            .tracked_commit
            .map(|text| from_json("tracked_commit", &text));
        Ok(Self {
            id: parse("stack id", &row.id)?,
            settings,
            state_keeper: StateKeeper::decode(&row.state_keeper)?,
            tracked: tracked.transpose()?,
            locked_by: row.locked_by,
            availability: Availability::decode(&row.availability)?,
            deleted_by: row
                .deleted_by_run
                .map(|id| parse("run id", &id))
                .transpose()?,
            created_at: UnixMillis(row.created_at),
        })
    }
}

/// Binds `$2` to `$18`: the same order in the insert and in the update.
fn bind_settings<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    settings: &'q StackSettings,
) -> Query<'q, Sqlite, SqliteArguments> {
    let tool = settings.vendor.tool();
    let vendor = match settings.vendor {
        Vendor::Terraform { .. } => TERRAFORM,
        Vendor::OpenTofu { .. } => OPEN_TOFU,
    };
    query
        .bind(&settings.name)
        .bind(&settings.description)
        .bind(&settings.space)
        .bind(to_json(&settings.labels))
        .bind(&settings.code.url)
        .bind(&settings.code.namespace)
        .bind(&settings.code.repository)
        .bind(&settings.code.branch)
        .bind(&settings.code.project_root)
        .bind(&settings.runner_image)
        .bind(vendor)
        .bind(tool.kind.code())
        .bind(tool.version)
        .bind(settings.pool.map(|id| id.to_string()))
        .bind(settings.approval.code())
        .bind(to_json(&settings.hooks))
        .bind(settings.administrative)
        .bind(settings.local_preview)
}

/// Adds a stack. A slug is never used twice, not even after a delete.
pub async fn insert(conn: &mut Conn, stack: &Stack) -> Result<(), StoreError> {
    let taken: Option<(String,)> = sqlx::query_as("SELECT id FROM stacks WHERE id = $1")
        .bind(stack.id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    if taken.is_some() {
        return Err(StoreError::Taken {
            kind: "stack",
            id: stack.id.to_string(),
        });
    }
    let sql = "INSERT INTO stacks (id, name, description, space_id, labels, url, namespace,
                 repository, branch, project_root, runner_image, vendor, workflow_tool,
                 tool_version, pool_id, approval, hooks, administrative, local_preview,
                 state_keeper, tracked_commit, locked_by, locked_note, created_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                 $18, $19, $20, NULL, NULL, NULL, $21, NULL)";
    bind_settings(sqlx::query(sql).bind(stack.id.as_str()), &stack.settings)
        .bind(stack.state_keeper.code())
        .bind(stack.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Replaces a stack's settings. Runs that exist keep the ones they were made with.
pub async fn update(
    conn: &mut Conn,
    id: &StackId,
    settings: &StackSettings,
) -> Result<(), StoreError> {
    let sql = "UPDATE stacks SET name = $2, description = $3, space_id = $4, labels = $5, url = $6,
                 namespace = $7, repository = $8, branch = $9, project_root = $10,
                 runner_image = $11, vendor = $12, workflow_tool = $13, tool_version = $14,
                 pool_id = $15, approval = $16, hooks = $17, administrative = $18,
                 local_preview = $19
               WHERE id = $1 AND deleted_at IS NULL";
    let query = bind_settings(sqlx::query(sql).bind(id.as_str()), settings);
    let done = query.execute(conn).await?;
    if done.rows_affected() == 0 {
        Err(missing(id))
    } else {
        Ok(())
    }
}

/// Remembers the commit of the newest deployment.
pub async fn set_tracked(
    conn: &mut Conn,
    id: &StackId,
    tracked: &TrackedCommit,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE stacks SET tracked_commit = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(to_json(tracked))
        .execute(conn)
        .await?;
    Ok(())
}

/// The stack of this slug, unless it was deleted.
pub async fn find(conn: &mut Conn, id: &StackId) -> Result<Option<Stack>, StoreError> {
    let sql = "SELECT * FROM stacks WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(Stack::try_from).transpose()
}

/// The stack of this slug.
pub async fn get(conn: &mut Conn, id: &StackId) -> Result<Stack, StoreError> {
    find(conn, id).await?.ok_or_else(|| missing(id))
}

/// The stacks of these slugs, without those that were deleted.
pub async fn named(conn: &mut Conn, ids: &[StackId]) -> Result<Vec<Stack>, StoreError> {
    let sql = "SELECT * FROM stacks WHERE id IN ($list) AND deleted_at IS NULL";
    let rows: Vec<Row> = many::rows(conn, sql, ids).await?;
    rows.into_iter().map(Stack::try_from).collect()
}

/// The slugs of stacks, and the spaces that they are in.
pub(super) fn ids_and_spaces(stacks: &[Stack]) -> (Vec<StackId>, Vec<String>) {
    let pair = |stack: &Stack| (stack.id.clone(), stack.settings.space.clone());
    stacks.iter().map(pair).unzip()
}

/// The space of a stack, also of a deleted one.
pub async fn space(conn: &mut Conn, id: &StackId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT space_id FROM stacks WHERE id = $1";
    let row: Option<(String,)> = sqlx::query_as(sql)
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(space,)| space))
}

/// Up to `limit` stacks in order of their slugs, after the given one.
pub async fn page(
    conn: &mut Conn,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Stack>, StoreError> {
    let sql = "SELECT * FROM stacks WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(after.unwrap_or(""))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Stack::try_from).collect()
}

/// Refuses while a run of the stack is on its way.
pub async fn check_idle(conn: &mut Conn, id: &StackId) -> Result<(), StoreError> {
    match runs::unfinished(conn, id).await?.first() {
        None => Ok(()),
        Some(run) => Err(StoreError::InUse {
            kind: "stack",
            id: id.to_string(),
            by: format!("run `{}` is {}", run.run.id, run.run.state),
        }),
    }
}

/// Marks a stack as deleted, unless a run of it is on its way.
pub async fn delete(conn: &mut Conn, id: &StackId, at: UnixMillis) -> Result<Stack, StoreError> {
    let stack = get(conn, id).await?;
    check_idle(conn, id).await?;
    sqlx::query("UPDATE stacks SET deleted_at = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(stack)
}

/// Switches a stack on or off.
pub async fn set_availability(
    conn: &mut Conn,
    id: &StackId,
    availability: Availability,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE stacks SET availability = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(availability.code())
        .execute(conn)
        .await?;
    Ok(())
}

/// Remembers the destroy run after which a stack is deleted.
pub async fn delete_after(conn: &mut Conn, id: &StackId, run: RunId) -> Result<(), StoreError> {
    sqlx::query("UPDATE stacks SET deleted_by_run = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(run.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The end of a run that a stack's deletion may have waited for: a good one deletes it, another one leaves it.
pub async fn destroyed(conn: &mut Conn, run: &Run, at: UnixMillis) -> Result<(), StoreError> {
    if run.run_type != RunType::Destroy {
        return Ok(());
    }
    let deleted = (run.state == RunState::Finished).then_some(at.0);
    let sql = "UPDATE stacks SET deleted_by_run = NULL, deleted_at = $3
               WHERE id = $1 AND deleted_by_run = $2 AND deleted_at IS NULL";
    sqlx::query(sql)
        .bind(run.stack.as_str())
        .bind(run.id.to_string())
        .bind(deleted)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a stack to one person, or to nobody.
pub async fn set_holder(
    conn: &mut Conn,
    id: &StackId,
    holder: Option<&str>,
    note: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE stacks SET locked_by = $2, locked_note = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(holder)
        .bind(note)
        .execute(conn)
        .await?;
    Ok(())
}

fn missing(id: &StackId) -> StoreError {
    StoreError::NotFound {
        kind: "stack",
        id: id.to_string(),
    }
}
