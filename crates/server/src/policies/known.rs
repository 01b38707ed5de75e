//! What policies are told beside the rows that they are about.
//!
//! Takes a stack or a run, gives its pool, its state, its flags, what its plan would change. Never: an unknown that reads
//! as "nothing" (a plan that can't be looked at has no list of changes, not an empty one).

use gantry_protocol::RunState;

use crate::plans::{PlanKeeper, PlanKeeperError, PlannedChange};
use crate::store::pools::{self, Pool};
use crate::store::runs::{self, RunRecord};
use crate::store::stacks::Stack;
use crate::store::{Conn, StoreError, plans, run_flags};

/// What is known about a stack.
#[derive(Clone, Debug)]
pub struct OfStack {
    /// Its pool.
    pub(super) pool: Option<Pool>,
    /// Where its newest run stands that is no preview.
    pub(super) state: Option<RunState>,
}

impl OfStack {
    /// Looks it up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(conn: &mut Conn, stack: &Stack) -> Result<Self, StoreError> {
        let pool = match stack.settings.pool {
            Some(id) => pools::find(conn, id).await?,
            None => None,
        };
        let mut newest = runs::latest_of(conn, std::slice::from_ref(&stack.id)).await?;
        let state = newest.remove(&stack.id).map(|record| record.run.state);
        Ok(Self { pool, state })
    }
}

/// What is known about a run.
#[derive(Clone, Debug)]
pub(super) struct OfRun {
    pub(super) record: RunRecord,
    pub(super) flags: Vec<String>,
    /// None where the plan did not leave its host as data.
    pub(super) changes: Option<Vec<PlannedChange>>,
}

impl OfRun {
    /// Looks it up, with the changes of the newest plan.
    pub(super) async fn find(
        conn: &mut Conn,
        plans: &PlanKeeper,
        record: RunRecord,
    ) -> Result<Self, PlanKeeperError> {
        let changes = match (&record.plan, plans::newest(conn, record.run.id).await?) {
            (_, Some(row)) => plans.changes(&row).await?,
            (Some(_), None) => None,
            (None, None) => Some(Vec::new()),
        };
        Ok(Self::with(conn, record, changes).await?)
    }

    /// The same where it is known what the plan changes.
    pub(super) async fn with(
        conn: &mut Conn,
        record: RunRecord,
        changes: Option<Vec<PlannedChange>>,
    ) -> Result<Self, StoreError> {
        let flags = run_flags::of(conn, record.run.id).await?;
        Ok(Self {
            record,
            flags,
            changes,
        })
    }
}
