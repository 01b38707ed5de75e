//! Spaces: where stacks and pools belong.
//!
//! Takes ids, gives spaces. Never makes one: the root space comes with the schema.

use super::{Conn, StoreError};

/// A space.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Space {
    /// Its id.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The space it is part of; none for the root.
    pub parent_id: Option<String>,
}

/// The space of this id, if there is one.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<Space>, StoreError> {
    let sql = "SELECT id, name, description, parent_id FROM spaces WHERE id = $1";
    Ok(sqlx::query_as(sql).bind(id).fetch_optional(conn).await?)
}
