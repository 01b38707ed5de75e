//! Versions of managed states in the API.

use async_graphql::{ID, SimpleObject};

use crate::store::tfstate::StateVersionRow;

/// One version of a stack's managed state. Its content is not in it.
#[derive(SimpleObject)]
pub(super) struct StateVersion {
    /// Counts per stack from 1.
    version: u64,
    /// The state's own number, as the tool has it.
    serial: u64,
    lineage: String,
    /// In bytes.
    size: u64,
    /// Unix seconds.
    created_at: i64,
    /// The run that wrote it; of a roll-back, the one that wrote what was gone back to.
    run_id: ID,
}

impl From<StateVersionRow> for StateVersion {
    fn from(row: StateVersionRow) -> Self {
        Self {
            version: row.version,
            serial: row.serial,
            lineage: row.lineage,
            size: row.size,
            created_at: row.created_at.seconds(),
            run_id: row.run.to_string().into(),
        }
    }
}
