//! Spaces: where stacks, pools and policies belong; a tree below the root.
//!
//! Takes ids, gives spaces. Never: a circle in the tree, or a space that is deleted while something is in it.

use std::collections::HashMap;

use super::codes::{from_json, to_json};
use super::error::inserted;
use super::{Conn, StoreError, many};
use crate::clock::UnixMillis;

/// A space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its id, a slug.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The space it is part of; none for the root.
    pub parent_id: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// Whether what belongs to the parent can be used here.
    pub inherits: bool,
    /// When it was made; zero for the root.
    pub created_at: UnixMillis,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    name: String,
    description: Option<String>,
    parent_id: Option<String>,
    labels: String,
    inherits: bool,
    created_at: i64,
}

impl TryFrom<Row> for Space {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            description: row.description,
            parent_id: row.parent_id,
            labels: from_json("labels", &row.labels)?,
            inherits: row.inherits,
            created_at: UnixMillis(row.created_at),
        })
    }
}

/// The space of this id, unless it was deleted.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<Space>, StoreError> {
    let sql = "SELECT id, name, description, parent_id, labels, inherits, created_at FROM spaces
               WHERE id = $1 AND deleted_at IS NULL";
    let row: Option<Row> = sqlx::query_as(sql).bind(id).fetch_optional(conn).await?;
    row.map(Space::try_from).transpose()
}

/// The space of this id.
pub async fn get(conn: &mut Conn, id: &str) -> Result<Space, StoreError> {
    find(conn, id).await?.ok_or_else(|| missing(id))
}

/// The spaces of these ids, without those that were deleted.
pub async fn named(conn: &mut Conn, ids: &[String]) -> Result<HashMap<String, Space>, StoreError> {
    let sql = "SELECT id, name, description, parent_id, labels, inherits, created_at FROM spaces
               WHERE id IN ($list) AND deleted_at IS NULL";
    let rows: Vec<Row> = many::rows(conn, sql, ids).await?;
    let space = |row: Row| Ok((row.id.clone(), row.try_into()?));
    rows.into_iter().map(space).collect()
}

/// Every space, in order of the ids.
pub async fn list(conn: &mut Conn) -> Result<Vec<Space>, StoreError> {
    let sql = "SELECT id, name, description, parent_id, labels, inherits, created_at FROM spaces
               WHERE deleted_at IS NULL ORDER BY id";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter().map(Space::try_from).collect()
}

/// Adds a space. An id is never used twice, not even after a delete.
pub async fn insert(conn: &mut Conn, space: &Space) -> Result<(), StoreError> {
    let sql = "INSERT INTO spaces (id, name, description, parent_id, labels, inherits, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let done = sqlx::query(sql)
        .bind(&space.id)
        .bind(&space.name)
        .bind(&space.description)
        .bind(&space.parent_id)
        .bind(to_json(&space.labels))
        .bind(space.inherits)
        .bind(space.created_at.0)
        .execute(conn)
        .await;
    inserted(done, ("space", &space.id))
}

/// Replaces everything but the id and the time. The new parent may not lie below the space itself.
pub async fn update(conn: &mut Conn, space: &Space) -> Result<(), StoreError> {
    if let Some(parent) = &space.parent_id
        && below(conn, &space.id).await?.contains(parent)
    {
        return Err(StoreError::InUse {
            kind: "space",
            id: space.id.clone(),
            by: format!("space `{parent}` lies below it and can't become its parent"),
        });
    }
    let sql = "UPDATE spaces SET name = $2, description = $3, parent_id = $4, labels = $5,
                 inherits = $6
               WHERE id = $1 AND deleted_at IS NULL";
    sqlx::query(sql)
        .bind(&space.id)
        .bind(&space.name)
        .bind(&space.description)
        .bind(&space.parent_id)
        .bind(to_json(&space.labels))
        .bind(space.inherits)
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks a space as deleted, unless something is in it.
pub async fn delete(conn: &mut Conn, id: &str, at: UnixMillis) -> Result<(), StoreError> {
    for (what, sql) in [
        (
            "space",
            "SELECT id FROM spaces WHERE parent_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
        (
            "stack",
            "SELECT id FROM stacks WHERE space_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
        (
            "worker pool",
            "SELECT id FROM pools WHERE space_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
        (
            "policy",
            "SELECT id FROM policies WHERE space_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
        (
            "VCS agent pool",
            "SELECT id FROM vcs_pools WHERE space_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
        (
            "VCS integration",
            "SELECT id FROM integrations WHERE space_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
        (
            "context",
            "SELECT id FROM contexts WHERE space_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT 1",
        ),
    ] {
        let inside: Option<(String,)> = sqlx::query_as(sql)
            .bind(id)
            .fetch_optional(&mut *conn)
            .await?;
        if let Some((inside,)) = inside {
            return Err(StoreError::InUse {
                kind: "space",
                id: id.to_owned(),
                by: format!("{what} `{inside}` is in it"),
            });
        }
    }
    sqlx::query("UPDATE spaces SET deleted_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// A space and all that lie below it.
pub async fn below(conn: &mut Conn, id: &str) -> Result<Vec<String>, StoreError> {
    let sql = "WITH RECURSIVE below (id) AS (
                 SELECT id FROM spaces WHERE id = $1
                 UNION
                 SELECT spaces.id FROM spaces JOIN below ON spaces.parent_id = below.id)
               SELECT id FROM below";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(id).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A space and those whose things can be used in it: its parents, as far as each inherits.
pub async fn lineage(conn: &mut Conn, id: &str) -> Result<Vec<String>, StoreError> {
    let sql = "WITH RECURSIVE line (id, parent_id, inherits) AS (
                 SELECT id, parent_id, inherits FROM spaces WHERE id = $1
                 UNION
                 SELECT spaces.id, spaces.parent_id, spaces.inherits
                 FROM spaces JOIN line ON spaces.id = line.parent_id WHERE line.inherits)
               SELECT id FROM line";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(id).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The [`lineage`] of each of these spaces.
pub async fn lineages(
    conn: &mut Conn,
    ids: &[String],
) -> Result<HashMap<String, Vec<String>>, StoreError> {
    let sql = "WITH RECURSIVE line (origin, id, parent_id, inherits) AS (
                 SELECT id, id, parent_id, inherits FROM spaces WHERE id IN ($list)
                 UNION
                 SELECT line.origin, spaces.id, spaces.parent_id, spaces.inherits
                 FROM spaces JOIN line ON spaces.id = line.parent_id WHERE line.inherits)
               SELECT origin, id FROM line";
    let rows: Vec<(String, String)> = many::rows(conn, sql, ids).await?;
    let mut lines: HashMap<String, Vec<String>> = HashMap::new();
    for (origin, id) in rows {
        lines.entry(origin).or_default().push(id);
    }
    Ok(lines)
}

/// A space and those in which its things can be used: all below it, as far as each inherits.
pub async fn heirs(conn: &mut Conn, id: &str) -> Result<Vec<String>, StoreError> {
    let sql = "WITH RECURSIVE heirs (id) AS (
                 SELECT id FROM spaces WHERE id = $1
                 UNION
                 SELECT spaces.id FROM spaces JOIN heirs ON spaces.parent_id = heirs.id
                 WHERE spaces.inherits)
               SELECT id FROM heirs";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(id).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

fn missing(id: &str) -> StoreError {
    StoreError::NotFound {
        kind: "space",
        id: id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::World;

    fn space(id: &str, parent: &str, inherits: bool) -> Space {
        Space {
            id: id.to_owned(),
            name: id.to_owned(),
            description: None,
            parent_id: Some(parent.to_owned()),
            labels: Vec::new(),
            inherits,
            created_at: UnixMillis(1),
        }
    }

    #[tokio::test]
    async fn the_tree_is_walked_both_ways_and_never_becomes_a_circle() {
        let World { store, .. } = &World::new().await;
        let mut tx = store.begin().await.unwrap();
        for (id, parent, inherits) in [
            ("a", "root", true),
            ("b", "a", false),
            ("c", "b", true),
            ("d", "a", true),
        ] {
            insert(&mut tx, &space(id, parent, inherits)).await.unwrap();
        }
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids.join(" ")
        };
        for (id, under, over, heir) in [
            ("root", "a b c d root", "root", "a d root"),
            ("a", "a b c d", "a root", "a d"),
            ("b", "b c", "b", "b c"),
            ("c", "c", "b c", "c"),
            ("d", "d", "a d root", "d"),
            ("none", "", "", ""),
        ] {
            assert_eq!(sorted(heirs(&mut tx, id).await.unwrap()), heir, "{id}");
            assert_eq!(sorted(below(&mut tx, id).await.unwrap()), under, "{id}");
            assert_eq!(sorted(lineage(&mut tx, id).await.unwrap()), over, "{id}");
        }
        for parent in ["a", "b", "c"] {
            let refused = update(&mut tx, &space("a", parent, true)).await;
            assert!(
                matches!(refused, Err(StoreError::InUse { .. })),
                "{parent}: {refused:?}"
            );
        }
        let refused = insert(&mut tx, &space("a", "root", true)).await;
        assert!(
            matches!(refused, Err(StoreError::Taken { .. })),
            "{refused:?}"
        );
        let refused = delete(&mut tx, "b", UnixMillis(2)).await.unwrap_err();
        assert!(refused.to_string().contains("space `c` is in it"));
        let refused = delete(&mut tx, "root", UnixMillis(2)).await;
        assert!(refused.is_err(), "the root has things in it");
        delete(&mut tx, "c", UnixMillis(2)).await.unwrap();
        assert_eq!(find(&mut tx, "c").await.unwrap(), None);
    }
}
