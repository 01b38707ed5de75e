//! Questions about many things at once.
//!
//! Takes a statement with `IN ($list)` and the keys that belong there, gives the rows of all of them. Never: a
//! statement for each key, or a key in the text of a statement.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::Hash;
use std::str::FromStr;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow};

use super::codes::parse;
use super::{Conn, StoreError};

/// Where a statement wants the keys. `SQLite` takes it for the name of a parameter, so a text can be explained as it is.
const PLACE: &str = "$list";

/// Where it wants a value that is the same for all keys, if it does.
const VALUE: &str = "$value";

/// How long a list may be: a few lengths are a few texts, which connections keep prepared. A shorter list repeats
/// its last key; one longer than the runs of fifty stacks is asked for in pieces.
const LENGTHS: [usize; 6] = [1, 10, 50, 100, 500, 2500];

/// A row, and the key of what it belongs to in the column `owner`.
#[derive(FromRow)]
pub(super) struct Owned<T> {
    owner: String,
    #[sqlx(flatten)]
    row: T,
}

/// The rows of all keys, in the statement's order; for a very long list piece by piece.
pub(super) async fn rows<R, K>(
    conn: &mut Conn,
    sql: &'static str,
    keys: &[K],
) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    K: ToString,
{
    rows_with(conn, sql, None, keys).await
}

/// The same of a statement with a `$value` besides.
pub(super) async fn rows_with<R, K>(
    conn: &mut Conn,
    sql: &'static str,
    value: Option<&str>,
    keys: &[K],
) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    K: ToString,
{
    let keys: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
    let keys: Vec<String> = keys.into_iter().collect();
    let mut found = Vec::new();
    for piece in keys.chunks(LENGTHS[LENGTHS.len() - 1]) {
        let wanted = LENGTHS.into_iter().find(|length| piece.len() <= *length);
        let length = wanted.unwrap_or(piece.len());
        let mut text = sql.replace(PLACE, &places(length));
        if value.is_some() {
            text = text.replace(VALUE, &format!("${}", length + 1));
        }
        let mut query = sqlx::query_as(AssertSqlSafe(text));
        for n in 0..length {
            query = query.bind(&piece[n.min(piece.len() - 1)]);
        }
        if let Some(value) = value {
            query = query.bind(value);
        }
        found.extend(query.fetch_all(&mut *conn).await?);
    }
    Ok(found)
}

/// The same as values, by what they belong to, each list in the statement's order. `kind` is what an owner is.
pub(super) async fn grouped<R, K, V>(
    conn: &mut Conn,
    (kind, sql): (&'static str, &'static str),
    keys: &[K],
) -> Result<HashMap<K, Vec<V>>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    K: ToString + FromStr + Hash + Eq,
    V: TryFrom<R, Error = StoreError>,
{
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for Owned { owner, row } in rows::<Owned<R>, K>(conn, sql, keys).await? {
        let of_owner = groups.entry(parse(kind, &owner)?).or_default();
        of_owner.push(V::try_from(row)?);
    }
    Ok(groups)
}

/// `$1, $2`, and so on.
fn places(count: usize) -> String {
    let mut text = String::from("$1");
    for n in 2..=count {
        // Writing to a string can't fail.
        let _ = write!(text, ", ${n}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::World;

    #[tokio::test]
    async fn each_key_is_found_once_whatever_their_number() {
        let World { store, .. } = &World::new().await;
        let mut tx = store.begin().await.unwrap();
        let ids: Vec<String> = (0..2600).map(|n| format!("space-{n:04}")).collect();
        for id in &ids {
            let sql = "INSERT INTO spaces (id, name, parent_id, labels, inherits, created_at)
                       VALUES ($1, $1, 'root', '[]', TRUE, 1)";
            sqlx::query(sql).bind(id).execute(&mut *tx).await.unwrap();
        }
        for count in [0, 1, 2, 10, 11, 99, 100, 101, 500, 2501, 2600] {
            let asked = [&ids[..count], &ids[..count.min(3)]].concat();
            let sql = "SELECT id FROM spaces WHERE id IN ($list)";
            let found: Vec<(String,)> = rows(&mut tx, sql, &asked).await.unwrap();
            let mut found: Vec<String> = found.into_iter().map(|(id,)| id).collect();
            found.sort();
            assert_eq!(found, ids[..count], "{count}");
        }
    }
}
