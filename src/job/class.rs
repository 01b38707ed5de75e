//! Which containers may write. Pure.
//!
//! Takes what a lease is, gives its [`Class`]: the one thing of a run that decides about mounts of the host, and it
//! only chooses between two lists that the host's owner wrote. Never: a run that may write in the class that does not.

use gantry_protocol::RunType;
use gantry_protocol::payload::Stage;

use crate::container::Class;

/// The class of a lease's container.
pub(super) fn class(run_type: RunType, stage: Stage, autodeploy: bool) -> Class {
    match (run_type, stage) {
        (RunType::Proposed, _) => Class::Reading,
        (RunType::Tracked | RunType::Destroy, Stage::Replan) => Class::Reading,
        (RunType::Tracked | RunType::Destroy, Stage::Start) if !autodeploy => Class::Reading,
        (RunType::Tracked | RunType::Destroy | RunType::Task | RunType::Testing, _) => {
            Class::Writing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_lease_has_its_class() {
        use Class::{Reading, Writing};
        use RunType::{Destroy, Proposed, Task, Testing, Tracked};
        for (run_type, start, autodeployed, apply) in [
            (Proposed, Reading, Reading, Reading),
            (Tracked, Reading, Writing, Writing),
            (Destroy, Reading, Writing, Writing),
            (Task, Writing, Writing, Writing),
            (Testing, Writing, Writing, Writing),
        ] {
            let found = (
                class(run_type, Stage::Start, false),
                class(run_type, Stage::Start, true),
                class(run_type, Stage::Apply, false),
            );
            assert_eq!(found, (start, autodeployed, apply), "{run_type:?}");
        }
        for run_type in [Tracked, Destroy] {
            assert_eq!(class(run_type, Stage::Replan, true), Reading);
        }
    }
}
