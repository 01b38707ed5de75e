//! Runs: rows, history, and the one function that changes where a run stands.
//!
//! Takes events, gives the run afterwards; the domain decides, this module makes it durable together with
//! its history and the hand-over of the stack's lock. Never: a state written past [`apply`].

mod change;
mod pages;
mod read;
mod record;

#[cfg(test)]
mod tests;

pub use change::{
    Applied, NewRun, add_metadata, add_note, apply, create, open_gate, record_image, record_plan,
    set_targets, set_urgency,
};
pub use pages::{
    PAGE, histories, latest_of, lock_holders, named, newest_of, overtaken, waiting_in,
};
pub use read::{
    Listing, behind_gate, find, get, history, in_review, last_applied, list, lock_holder,
    unfinished,
};
pub use record::{RunRecord, RunSettings, TransitionRow};
