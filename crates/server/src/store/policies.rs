//! Policies, their attachments to stacks, and the newest evaluations of each.
//!
//! Takes and gives policies as they were written. Never: an evaluation kept for ever, or one whose input is
//! larger than its bound.

use std::collections::{HashMap, HashSet};

use gantry_policy::PolicyKind;
use gantry_protocol::StackId;
use ulid::Ulid;

use super::codes::{Code, from_json, parse, to_json};
use super::error::inserted;
use super::stacks::{Stack, ids_and_spaces};
use super::{Conn, StoreError, many, spaces};
use crate::clock::UnixMillis;
use crate::domain::{Attached, PolicyId, attaches_itself};

/// Evaluations that are kept of each policy.
const SAMPLES: u32 = 50;

/// The largest input that is kept with one, in bytes.
const INPUT_LIMIT: usize = 256 * 1024;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its slug.
    pub id: PolicyId,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// What it decides.
    pub kind: PolicyKind,
    /// Rego.
    pub body: String,
    /// Labels; see [`attaches_itself`].
    pub labels: Vec<String>,
    /// The space it belongs to.
    pub space: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its id; they sort by time.
    pub key: Ulid,
    /// What came of it, such as `allow`.
    pub outcome: String,
    /// The input document; none where it was too large to keep.
    pub input: Option<String>,
    /// The policy's text of that time.
    pub body: String,
    /// When.
    pub taken_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    kind: String,
    body: String,
    labels: String,
    space_id: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for Policy {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("policy id", &row.id)?,
            name: row.name,
            description: row.description,
            kind: PolicyKind::decode(&row.kind)?,
            body: row.body,
            labels: from_json("labels", &row.labels)?,
            space: row.space_id,
            created_at: UnixMillis(row.created_at),
            updated_at: UnixMillis(row.updated_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct SampleRow {
    id: String,
    outcome: String,
    input: Option<String>,
    body: String,
    taken_at: i64,
}

impl TryFrom<SampleRow> for Sample {
    type Error = StoreError;

    fn try_from(row: SampleRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: parse("policy sample", &row.id)?,
            outcome: row.outcome,
            input: row.input,
            body: row.body,
            taken_at: UnixMillis(row.taken_at),
        })
    }
}

/// The kind's name in columns and in the API.
pub fn kind_name(kind: PolicyKind) -> &'static str {
    kind.code()
}

/// Adds a policy. A slug is never used twice, not even after a delete.
pub async fn insert(conn: &mut Conn, policy: &Policy) -> Result<(), StoreError> {
    let sql = "INSERT INTO policies (id, name, description, kind, body, labels, space_id,
                 created_at, updated_at, deleted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)";
    let done = sqlx::query(sql)
        .bind(policy.id.as_str())
        .bind(&policy.name)
        .bind(&policy.description)
        .bind(policy.kind.code())
        .bind(&policy.body)
        .bind(to_json(&policy.labels))
        .bind(&policy.space)
        .bind(policy.created_at.0)
        .bind(policy.updated_at.0)
        .execute(conn)
        .await;
    inserted(done, ("policy", &policy.id))
}

/// Replaces what may change of a policy: everything but its id, kind and space.
///
/// # Errors
/// Also when it was deleted meanwhile.
pub async fn update(conn: &mut Conn, policy: &Policy) -> Result<(), StoreError> {
    let sql =
        "UPDATE policies SET name = $2, description = $3, body = $4, labels = $5, updated_at = $6
               WHERE id = $1 AND deleted_at IS NULL";
    let done = sqlx::query(sql)
        .bind(policy.id.as_str())
        .bind(&policy.name)
        .bind(&policy.description)
        .bind(&policy.body)
        .bind(to_json(&policy.labels))
        .bind(policy.updated_at.0)
        .execute(conn)
        .await?;
    match done.rows_affected() {
        0 => Err(StoreError::NotFound {
            kind: "policy",
            id: policy.id.to_string(),
        }),
        _ => Ok(()),
    }
}

/// Marks a policy as deleted: it decides nothing from here on.
pub async fn delete(conn: &mut Conn, id: &PolicyId, at: UnixMillis) -> Result<(), StoreError> {
    sqlx::query("UPDATE policies SET deleted_at = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM policy_attachments WHERE policy_id = $1")
        .bind(id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// The policy of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: &PolicyId) -> Result<Option<Policy>, StoreError> {
    let sql = "SELECT * FROM policies WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(Policy::try_from).transpose()
}

/// The policy of this id.
pub async fn get(conn: &mut Conn, id: &PolicyId) -> Result<Policy, StoreError> {
    find(conn, id).await?.ok_or_else(|| StoreError::NotFound {
        kind: "policy",
        id: id.to_string(),
    })
}

/// Every policy, in order of the slugs.
pub async fn list(conn: &mut Conn) -> Result<Vec<Policy>, StoreError> {
    let sql = "SELECT * FROM policies WHERE deleted_at IS NULL ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Policy::try_from).collect()
}

/// Attaches a policy to a stack; nothing happens if it is attached already.
pub async fn attach(
    conn: &mut Conn,
    policy: &PolicyId,
    stack: &StackId,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO policy_attachments (policy_id, stack_id, attached_at) VALUES ($1, $2, $3)
               ON CONFLICT (policy_id, stack_id) DO NOTHING";
    sqlx::query(sql)
        .bind(policy.as_str())
        .bind(stack.as_str())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a policy off a stack; whether it was attached by hand.
pub async fn detach(
    conn: &mut Conn,
    policy: &PolicyId,
    stack: &StackId,
) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM policy_attachments WHERE policy_id = $1 AND stack_id = $2")
        .bind(policy.as_str())
        .bind(stack.as_str())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Policies about a stack, and how each came to it.
pub type Attachments = Vec<(Policy, Attached)>;

/// The policies that are about a stack, in order of the slugs, and how each came to it. A label attaches only
/// what belongs to the stack's space or to one that it inherits from: else whoever may make policies in one space
/// could approve runs in another.
pub async fn attached(conn: &mut Conn, stack: &Stack) -> Result<Attachments, StoreError> {
    let mut all = attached_to(conn, std::slice::from_ref(stack)).await?;
    Ok(all.remove(&stack.id).unwrap_or_default())
}

/// The same for each of these stacks.
pub async fn attached_to(
    conn: &mut Conn,
    stacks: &[Stack],
) -> Result<HashMap<StackId, Attachments>, StoreError> {
    let all = list(conn).await?;
    choose(conn, stacks, all).await
}

/// Those of `all` that are about each of these stacks.
async fn choose(
    conn: &mut Conn,
    stacks: &[Stack],
    all: Vec<Policy>,
) -> Result<HashMap<StackId, Attachments>, StoreError> {
    let sql = "SELECT stack_id, policy_id FROM policy_attachments WHERE stack_id IN ($list)";
    let (ids, homes) = ids_and_spaces(stacks);
    let by_hand: Vec<(String, String)> = many::rows(conn, sql, &ids).await?;
    let by_hand: HashSet<(String, String)> = by_hand.into_iter().collect();
    let lines = spaces::lineages(conn, &homes).await?;
    let how = |policy: &Policy, stack: &Stack| {
        let pair = (stack.id.to_string(), policy.id.to_string());
        if by_hand.contains(&pair) {
            return Some(Attached::ByHand);
        }
        let line = lines.get(&stack.settings.space);
        let near = line.is_some_and(|line| line.contains(&policy.space));
        let named = attaches_itself(&policy.labels, &stack.settings.labels);
        (near && named).then_some(Attached::ByLabel)
    };
    let of_stack = |stack: &Stack| {
        let about = all.iter().filter_map(|policy| {
            let how = how(policy, stack)?;
            Some((policy.clone(), how))
        });
        (stack.id.clone(), about.collect())
    };
    Ok(stacks.iter().map(of_stack).collect())
}

/// The policies of one kind that are about a stack.
pub async fn about(
    conn: &mut Conn,
    stack: &Stack,
    kind: PolicyKind,
) -> Result<Vec<Policy>, StoreError> {
    let sql = "SELECT * FROM policies WHERE deleted_at IS NULL AND kind = $2
                 AND (labels LIKE '%autoattach:%'
                      OR id IN (SELECT policy_id FROM policy_attachments WHERE stack_id = $1))
               ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(stack.id.as_str())
        .bind(kind.code())
        .fetch_all(&mut *conn)
        .await?;
    let all = rows.into_iter().map(Policy::try_from);
    let about = choose(
        conn,
        std::slice::from_ref(stack),
        all.collect::<Result<_, _>>()?,
    )
    .await?;
    let about = about.into_values().flatten();
    Ok(about.map(|(policy, _)| policy).collect())
}

/// Keeps an evaluation, and forgets the oldest beyond the bound.
pub async fn keep_sample(
    conn: &mut Conn,
    policy: &PolicyId,
    sample: &Sample,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO policy_samples (id, policy_id, outcome, input, body, taken_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let small = |input: &&String| input.len() <= INPUT_LIMIT;
    sqlx::query(sql)
        .bind(sample.key.to_string())
        .bind(policy.as_str())
        .bind(&sample.outcome)
        .bind(sample.input.as_ref().filter(small))
        .bind(&sample.body)
        .bind(sample.taken_at.0)
        .execute(&mut *conn)
        .await?;
    let sql = "DELETE FROM policy_samples WHERE policy_id = $1 AND id NOT IN
                 (SELECT id FROM policy_samples WHERE policy_id = $1 ORDER BY id DESC LIMIT $2)";
    sqlx::query(sql)
        .bind(policy.as_str())
        .bind(SAMPLES)
        .execute(conn)
        .await?;
    Ok(())
}

/// The evaluations that are kept of a policy, newest first.
pub async fn samples(conn: &mut Conn, policy: &PolicyId) -> Result<Vec<Sample>, StoreError> {
    let sql = "SELECT id, outcome, input, body, taken_at FROM policy_samples
               WHERE policy_id = $1 ORDER BY id DESC";
    let rows: Vec<SampleRow> = sqlx::query_as(sql)
        .bind(policy.as_str())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Sample::try_from).collect()
}
