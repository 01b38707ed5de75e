//! Looking at the runs of many stacks, and at what belongs to many runs.
//!
//! Takes the ids of a page, gives by id what was found. Never: a statement for each of them, or a change.

use std::collections::{HashMap, HashSet};

use gantry_protocol::{PoolId, RunId, StackId};

use super::record::{HistoryRow, Row};
use super::{Listing, RunRecord, TransitionRow};
use crate::store::codes::parse;
use crate::store::{Conn, StoreError, many};

/// Runs on a page of a stack's runs.
pub const PAGE: u32 = 50;

/// The newest run of each of these stacks that says something about the stack itself: any but a preview.
pub async fn latest_of(
    conn: &mut Conn,
    stacks: &[StackId],
) -> Result<HashMap<StackId, RunRecord>, StoreError> {
    let sql = "SELECT r.* FROM stacks s JOIN runs r ON r.id =
                 (SELECT n.id FROM runs n WHERE n.stack_id = s.id AND n.run_type <> 'PROPOSED'
                  ORDER BY n.id DESC LIMIT 1)
               WHERE s.id IN ($list)";
    by_stack(many::rows(conn, sql, stacks).await?)
}

/// The runs that hold the locks of these stacks.
pub async fn lock_holders(
    conn: &mut Conn,
    stacks: &[StackId],
) -> Result<HashMap<StackId, RunRecord>, StoreError> {
    let sql = "SELECT * FROM runs WHERE stack_id IN ($list) AND holds_lock";
    by_stack(many::rows(conn, sql, stacks).await?)
}

/// The newest [`PAGE`] runs of each of these stacks, newest first.
pub async fn newest_of(
    conn: &mut Conn,
    stacks: &[StackId],
    which: Listing,
) -> Result<Vec<RunRecord>, StoreError> {
    let rows: Vec<Row> = match which {
        Listing::All => {
            let sql = "SELECT r.* FROM stacks s JOIN runs r ON r.id IN
                         (SELECT n.id FROM runs n WHERE n.stack_id = s.id ORDER BY n.id DESC LIMIT 50)
                       WHERE s.id IN ($list) ORDER BY r.id DESC";
            many::rows(conn, sql, stacks).await?
        }
        Listing::Only(run_type) => {
            let sql = "SELECT r.* FROM stacks s JOIN runs r ON r.id IN
                         (SELECT n.id FROM runs n WHERE n.stack_id = s.id AND n.run_type = $value
                          ORDER BY n.id DESC LIMIT 50)
                       WHERE s.id IN ($list) ORDER BY r.id DESC";
            many::rows_with(conn, sql, Some(run_type.as_str()), stacks).await?
        }
    };
    rows.into_iter().map(RunRecord::try_from).collect()
}

/// The runs of these ids, in no order.
pub async fn named(conn: &mut Conn, ids: &[RunId]) -> Result<Vec<RunRecord>, StoreError> {
    let sql = "SELECT * FROM runs WHERE id IN ($list)";
    let rows: Vec<Row> = many::rows(conn, sql, ids).await?;
    rows.into_iter().map(RunRecord::try_from).collect()
}

/// Those of these runs whose stack has a newer one of the same type.
pub async fn overtaken(conn: &mut Conn, runs: &[RunId]) -> Result<HashSet<RunId>, StoreError> {
    let sql = "SELECT r.id FROM runs r WHERE r.id IN ($list) AND EXISTS
                 (SELECT 1 FROM runs n WHERE n.stack_id = r.stack_id
                    AND n.run_type = r.run_type AND n.id > r.id)";
    let rows: Vec<(String,)> = many::rows(conn, sql, runs).await?;
    rows.iter().map(|(id,)| parse("run id", id)).collect()
}

/// The history of each of these runs, newest first.
pub async fn histories(
    conn: &mut Conn,
    runs: &[RunId],
) -> Result<HashMap<RunId, Vec<TransitionRow>>, StoreError> {
    let sql = "SELECT run_id AS owner, state_version, state, entered_at, username, note
               FROM run_transitions WHERE run_id IN ($list) ORDER BY state_version DESC";
    many::grouped::<HistoryRow, _, _>(conn, ("run id", sql), runs).await
}

/// How many runs of each of these pools wait for a launcher.
pub async fn waiting_in(
    conn: &mut Conn,
    pools: &[PoolId],
) -> Result<HashMap<PoolId, u32>, StoreError> {
    let sql = "SELECT pool_id, COUNT(*) FROM runs WHERE pool_id IN ($list)
                 AND state IN ('READY', 'CONFIRMED', 'REPLAN_REQUESTED')
               GROUP BY pool_id";
    let rows: Vec<(String, u32)> = many::rows(conn, sql, pools).await?;
    let count = |(id, count): (String, u32)| Ok((parse("pool id", &id)?, count));
    rows.into_iter().map(count).collect()
}

fn by_stack(rows: Vec<Row>) -> Result<HashMap<StackId, RunRecord>, StoreError> {
    let pair = |row: Row| {
        let record = RunRecord::try_from(row)?;
        Ok((record.run.stack.clone(), record))
    };
    rows.into_iter().map(pair).collect()
}
