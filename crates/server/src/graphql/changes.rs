//! What plans change, in the API.
//!
//! Takes changes of a plan, gives their fields.

use async_graphql::{InputObject, SimpleObject};

use super::enums::RunState;
use crate::plans::PlannedChange;

/// Which changes are asked for; without a phase those of the plan.
#[derive(InputObject)]
pub(super) struct RunChangesInput {
    /// `PLANNING` for what the plan would change, `APPLYING` for what an apply that finished did change.
    pub(super) phase: Option<RunState>,
}

/// The changes of one phase.
#[derive(SimpleObject)]
pub(super) struct RunChanges {
    resources: Vec<RunChangesResource>,
}

/// One resource that changes.
#[derive(SimpleObject)]
struct RunChangesResource {
    address: String,
    previous_address: Option<String>,
    metadata: RunChangesMetadata,
}

/// What happens to a resource.
#[derive(SimpleObject)]
struct RunChangesMetadata {
    /// `ADD`, `CHANGE`, `DELETE`, `REPLACE`, `IMPORT`, `MOVE` or `FORGET`.
    r#type: String,
}

impl From<Vec<PlannedChange>> for RunChanges {
    fn from(changes: Vec<PlannedChange>) -> Self {
        let resources = changes.into_iter().map(|change| RunChangesResource {
            metadata: RunChangesMetadata {
                r#type: change.kind.as_str().to_owned(),
            },
            address: change.address,
            previous_address: change.previous_address,
        });
        Self {
            resources: resources.collect(),
        }
    }
}
