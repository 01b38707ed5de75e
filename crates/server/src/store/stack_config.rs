//! Variables and files of stacks.
//!
//! Takes and gives rows: a value is either in the clear or sealed, never both. Sealing and opening are the
//! vault's. Never: an opened write-only value.

use std::collections::HashMap;

use gantry_protocol::StackId;

use super::codes::{Code, unreadable};
use super::{Conn, StoreError, many};
use crate::clock::UnixMillis;

/// What kind of thing an element sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// An environment variable; the element's id is its name.
    Variable,
    /// A file below `/mnt/workspace`; the element's id is its path.
    File,
}

impl Code for ConfigKind {
    const COLUMN: &'static str = "kind";
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Variable, "ENVIRONMENT_VARIABLE"),
        (Self::File, "FILE_MOUNT"),
    ];
}

/// A value as stored: text of a variable, standard base64 of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredValue {
    /// Readable through the API.
    Plain(String),
    /// Write-only: sealed by the vault.
    Sealed(String),
}

impl StoredValue {
    /// The two columns: in the clear, and sealed.
    pub(super) fn columns(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Plain(text) => (Some(text), None),
            Self::Sealed(sealed) => (None, Some(sealed)),
        }
    }
}

/// One variable or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigElement {
    /// Name of the variable, or path of the file.
    pub id: String,
    /// Which of the two.
    pub kind: ConfigKind,
    /// Its value.
    pub value: StoredValue,
    /// Changes when the value does; tells nothing about a write-only value.
    pub checksum: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was last set.
    pub created_at: UnixMillis,
}

/// What a write-only value is sealed for: it opens for nothing else.
pub fn sealing_purpose(stack: &StackId, id: &str) -> String {
    format!("value of `{id}` of stack `{stack}`")
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: String,
    kind: String,
    value: Option<String>,
    sealed: Option<String>,
    checksum: String,
    description: Option<String>,
    created_at: i64,
}

impl TryFrom<Row> for ConfigElement {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let value = match (row.value, row.sealed) {
            (Some(text), None) => StoredValue::Plain(text),
            (None, Some(sealed)) => StoredValue::Sealed(sealed),
            _ => return Err(unreadable("stack_config.value", "")),
        };
        Ok(Self {
            id: row.id,
            kind: ConfigKind::decode(&row.kind)?,
            value,
            checksum: row.checksum,
            description: row.description,
            created_at: UnixMillis(row.created_at),
        })
    }
}

/// Sets an element, replacing the one of the same id.
pub async fn set(
    conn: &mut Conn,
    stack: &StackId,
    element: &ConfigElement,
) -> Result<(), StoreError> {
    let (plain, sealed) = element.value.columns();
    let sql = "INSERT INTO stack_config (stack_id, id, kind, value, sealed, checksum, description,
                 created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (stack_id, id) DO UPDATE SET kind = excluded.kind,
                 value = excluded.value, sealed = excluded.sealed, checksum = excluded.checksum,
                 description = excluded.description, created_at = excluded.created_at";
    sqlx::query(sql)
        .bind(stack.as_str())
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
pub async fn remove(
    conn: &mut Conn,
    stack: &StackId,
    id: &str,
) -> Result<Option<ConfigElement>, StoreError> {
    let sql = "DELETE FROM stack_config WHERE stack_id = $1 AND id = $2
               RETURNING id, kind, value, sealed, checksum, description, created_at";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .bind(id)
        .fetch_optional(conn)
        .await?;
    row.map(ConfigElement::try_from).transpose()
}

/// A stack's elements in order of their ids.
pub async fn list(conn: &mut Conn, stack: &StackId) -> Result<Vec<ConfigElement>, StoreError> {
    let sql = "SELECT id, kind, value, sealed, checksum, description, created_at FROM stack_config
               WHERE stack_id = $1 ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(stack.as_str())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(ConfigElement::try_from).collect()
}

/// The elements of each of these stacks in order of their ids.
pub async fn of_stacks(
    conn: &mut Conn,
    stacks: &[StackId],
) -> Result<HashMap<StackId, Vec<ConfigElement>>, StoreError> {
    let sql = "SELECT stack_id AS owner, id, kind, value, sealed, checksum, description, created_at
               FROM stack_config WHERE stack_id IN ($list) ORDER BY id";
    many::grouped::<Row, _, _>(conn, ("stack id", sql), stacks).await
}
