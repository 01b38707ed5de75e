//! Looks for drift in the API.

use async_graphql::{InputObject, SimpleObject};

use crate::operations::DriftInput;
use crate::store::drift::{Consequence, DriftSchedule};

/// When a stack is looked at, and what follows.
#[derive(SimpleObject)]
pub(super) struct DriftDetection {
    /// Lines of cron.
    schedule: Vec<String>,
    timezone: String,
    /// Whether what was deployed is deployed again where the world differs from it.
    reconcile: bool,
    /// When the next look is due, Unix seconds.
    next_schedule: i64,
}

/// When to look at a stack.
#[derive(InputObject)]
pub(super) struct DriftDetectionInput {
    /// Lines of cron, each of five fields.
    schedule: Vec<String>,
    /// Name of the lines' time zone; UTC otherwise.
    timezone: Option<String>,
    /// Whether what was deployed is deployed again where the world differs from it; the stack's autodeploy decides
    /// whether a person has to confirm that.
    reconcile: Option<bool>,
}

impl From<DriftSchedule> for DriftDetection {
    fn from(schedule: DriftSchedule) -> Self {
        Self {
            schedule: schedule.crons,
            timezone: schedule.zone,
            reconcile: schedule.consequence == Consequence::Reconciled,
            next_schedule: schedule.next_at.seconds(),
        }
    }
}

impl From<DriftDetectionInput> for DriftInput {
    fn from(input: DriftDetectionInput) -> Self {
        Self {
            crons: input.schedule,
            zone: input.timezone.unwrap_or_else(|| "UTC".to_owned()),
            consequence: match input.reconcile {
                Some(true) => Consequence::Reconciled,
                Some(false) | None => Consequence::Shown,
            },
        }
    }
}
