//! What runs change, resource by resource.
//!
//! Takes a run, gives the changes of its newest plan. Never: a value of a resource.

use gantry_protocol::{RunState, RunType};

use super::{Look, OperationError};
use crate::plans::PlannedChange;
use crate::store::plans;
use crate::store::runs::RunRecord;

impl Look {
    /// What the newest plan of a run would change (`PLANNING`, or no phase), or what its finished apply did change
    /// (`APPLYING`). Nothing for other phases, before the plan, and where the plan did not leave its host as data.
    pub async fn changes(
        &self,
        record: &RunRecord,
        phase: Option<RunState>,
    ) -> Result<Option<Vec<PlannedChange>>, OperationError> {
        let applied =
            record.run.state == RunState::Finished && record.run.run_type != RunType::Proposed;
        let asked = match phase {
            None | Some(RunState::Planning) => true,
            Some(RunState::Applying) => applied,
            Some(_) => false,
        };
        if !asked {
            return Ok(None);
        }
        let newest = plans::newest(&mut *self.read().await?, record.run.id).await?;
        match newest {
            Some(row) => Ok(self.app.control.plans.changes(&row).await?),
            None => Ok(None),
        }
    }
}
