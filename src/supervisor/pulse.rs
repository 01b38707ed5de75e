//! What others may know of the supervisor: one picture for each turn of its loop.
//!
//! Takes nothing, is given by the loop itself. Never: a picture from anywhere but a turn of the loop.

use tokio::sync::watch;
use tokio::time::Instant;

use super::Pause;
use crate::room::Space;

/// One turn of the loop.
#[derive(Debug, Clone)]
pub struct Pulse {
    /// When.
    pub turned: Instant,
    /// Whether the inbox was answered since the process began.
    pub answered: bool,
    /// Leases at work.
    pub runs: usize,
    /// Leases that may be at work.
    pub capacity: u32,
    /// Leases that would be taken.
    pub free_slots: u32,
    /// Why none is taken; empty when the intake is open.
    pub pauses: Vec<Pause>,
    /// Room at the last look.
    pub spaces: Vec<Space>,
}

/// How others see the supervisor.
pub type Watched = watch::Receiver<Pulse>;

impl Pulse {
    pub(super) fn first(capacity: u32) -> Self {
        Self {
            turned: Instant::now(),
            answered: false,
            runs: 0,
            capacity,
            free_slots: 0,
            pauses: Vec::new(),
            spaces: Vec::new(),
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let runs = format!("{} of {} runs", self.runs, self.capacity);
        match self.pauses.first() {
            None if !self.answered => format!("{runs}; waiting for the server"),
            None => runs,
            Some(pause) => format!("{runs}; takes no new ones: {pause}"),
        }
    }
}
