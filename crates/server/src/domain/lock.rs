//! A stack's lock: which waiting run may go next.
//!
//! Takes a stack's unfinished runs, gives the ones to unblock. Never more than one that takes the lock.

use gantry_protocol::{RunId, RunState};

use super::run::Run;

/// The runs to unblock, oldest first: every waiting run that takes no lock, and, when nobody holds the
/// lock, the oldest one that does. Ids sort by creation.
pub fn unblockable<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<RunId> {
    let mut held = false;
    let mut waiting = Vec::new();
    for run in runs {
        held |= run.holds_stack_lock();
        if run.state == RunState::Queued {
            waiting.push(run);
        }
    }
    waiting.sort_by_key(|run| run.id);
    let mut next = Vec::new();
    for run in waiting {
        if !run.run_type.takes_stack_lock() {
            next.push(run.id);
        } else if !held {
            held = true;
            next.push(run.id);
        }
    }
    next
}
