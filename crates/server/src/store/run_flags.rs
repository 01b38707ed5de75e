//! What policies noted about runs.
//!
//! Takes flags with the policy that sets or resets them, gives each once, in the order in which they came. Never: a flag
//! that goes while another policy that set it still wants it.

use std::collections::HashMap;

use gantry_protocol::RunId;

use super::{Conn, Store, StoreError, Tx, many};
use crate::domain::PolicyId;

/// The most flags of one run; what comes after is left out.
const MOST: usize = 100;

/// The longest flag in bytes; a longer one is left out.
const LONGEST: usize = 500;

/// What one policy notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagsOf {
    /// Which one.
    pub policy: PolicyId,
    /// What it takes back, first.
    pub reset: Vec<String>,
    /// What it sets.
    pub set: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    flag: String,
}

impl TryFrom<Row> for String {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(row.flag)
    }
}

/// Notes what a policy says. A policy that is gone by now notes nothing.
pub async fn note(
    store: &Store,
    tx: &mut Tx,
    run: RunId,
    flags: &FlagsOf,
) -> Result<(), StoreError> {
    for flag in &flags.reset {
        let sql = "DELETE FROM run_flags WHERE run_id = $1 AND flag = $2 AND policy_id = $3";
        sqlx::query(sql)
            .bind(run.to_string())
            .bind(flag)
            .bind(flags.policy.as_str())
            .execute(&mut **tx)
            .await?;
    }
    if flags.set.is_empty() {
        return Ok(());
    }
    let mut known = of(tx, run).await?;
    for flag in &flags.set {
        let is_new = !known.contains(flag);
        if flag.is_empty() || flag.len() > LONGEST || (is_new && known.len() >= MOST) {
            tracing::warn!(%run, policy = %flags.policy, bytes = flag.len(), "a flag of a policy was left out");
            continue;
        }
        let sql = "INSERT INTO run_flags (run_id, flag, policy_id, id) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (run_id, flag, policy_id) DO NOTHING";
        sqlx::query(sql)
            .bind(run.to_string())
            .bind(flag)
            .bind(flags.policy.as_str())
            .bind(store.new_id().to_string())
            .execute(&mut **tx)
            .await?;
        if is_new {
            known.push(flag.clone());
        }
    }
    Ok(())
}

/// The flags of a run, in the order in which they were set first.
pub async fn of(conn: &mut Conn, run: RunId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT flag FROM run_flags WHERE run_id = $1 GROUP BY flag ORDER BY MIN(id)";
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|(flag,)| flag).collect())
}

/// The same of each of these runs.
pub async fn of_runs(
    conn: &mut Conn,
    runs: &[RunId],
) -> Result<HashMap<RunId, Vec<String>>, StoreError> {
    let sql = "SELECT run_id AS owner, flag FROM run_flags WHERE run_id IN ($list)
               GROUP BY run_id, flag ORDER BY MIN(id)";
    many::grouped::<Row, _, _>(conn, ("run id", sql), runs).await
}

#[cfg(test)]
mod tests {
    use gantry_policy::PolicyKind;
    use gantry_protocol::RunType;

    use super::*;
    use crate::clock::UnixMillis;
    use crate::store::policies::{self, Policy};
    use crate::store::testing::World;

    async fn with_policies() -> World {
        let world = World::new().await;
        let mut tx = world.store.begin().await.unwrap();
        for id in ["a", "b"] {
            let policy = Policy {
                id: id.parse().unwrap(),
                name: id.to_owned(),
                description: None,
                kind: PolicyKind::Plan,
                body: String::new(),
                labels: Vec::new(),
                space: "root".to_owned(),
                created_at: UnixMillis::now(),
                updated_at: UnixMillis::now(),
            };
            policies::insert(&mut tx, &policy).await.unwrap();
        }
        world.store.commit(tx).await.unwrap();
        world
    }

    fn says(policy: &str, reset: &[&str], set: &[&str]) -> FlagsOf {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        FlagsOf {
            policy: policy.parse().unwrap(),
            reset: texts(reset),
            set: texts(set),
        }
    }

    #[tokio::test]
    async fn flags_stay_in_order_until_all_who_set_them_take_them_back() {
        let world = with_policies().await;
        let run = world.run(RunType::Tracked).await.run.id;
        let other = world.run(RunType::Proposed).await.run.id;
        for (flags, expected) in [
            (says("a", &[], &["z", "y"]), &["z", "y"][..]),
            (says("b", &[], &["y", "x"]), &["z", "y", "x"]),
            // Set and reset at once: it is set.
            (says("a", &["z"], &["z"]), &["y", "x", "z"]),
            (says("a", &["y", "x"], &[]), &["y", "x", "z"]),
            (says("b", &["y", "z"], &[]), &["x", "z"]),
            (says("b", &[], &["", &"n".repeat(501)]), &["x", "z"]),
        ] {
            let mut tx = world.store.begin().await.unwrap();
            note(&world.store, &mut tx, run, &flags).await.unwrap();
            assert_eq!(of(&mut tx, run).await.unwrap(), expected, "{flags:?}");
            world.store.commit(tx).await.unwrap();
        }
        let many: Vec<String> = (0..150).map(|n| format!("n{n:03}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut tx = world.store.begin().await.unwrap();
        note(&world.store, &mut tx, other, &says("a", &[], &many))
            .await
            .unwrap();
        let all = of_runs(&mut tx, &[run, other]).await.unwrap();
        assert_eq!((all[&run].len(), all[&other].len()), (2, MOST));
        assert_eq!(all[&other][99], "n099");
    }
}
