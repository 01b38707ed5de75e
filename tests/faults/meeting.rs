//! Where cells wait for each other: one restart of a daemon meets all of them.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Longest wait for the others.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct State {
    expected: usize,
    arrived: usize,
    over: bool,
}

/// A meeting of cells and the one that restarts the daemon.
#[derive(Debug, Default)]
pub(crate) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

/// A cell's place; one that fails before it arrives is not waited for.
#[derive(Debug)]
pub(crate) struct Seat<'m> {
    meeting: &'m Meeting,
    arrived: bool,
}

impl Meeting {
    pub(crate) fn of(cells: usize) -> Self {
        let meeting = Self::default();
        meeting.state.lock().unwrap().expected = cells;
        meeting
    }

    pub(crate) fn seat(&self) -> Seat<'_> {
        Seat {
            meeting: self,
            arrived: false,
        }
    }

    /// Waits until all but `missing` have arrived.
    pub(crate) fn gathered(&self, missing: usize) {
        self.wait(|state| state.arrived + missing >= state.expected);
    }

    /// Lets everybody go on.
    pub(crate) fn over(&self) {
        self.state.lock().unwrap().over = true;
        self.changed.notify_all();
    }

    fn wait(&self, reached: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !reached(state));
        let (state, timeout) = waited.unwrap();
        assert!(
            !timeout.timed_out(),
            "waited for the other cells: {state:?}"
        );
    }
}

impl Seat<'_> {
    /// Waits until the others are there.
    pub(crate) fn before_arriving(&self) {
        self.meeting.gathered(1);
    }

    /// Arrives and waits until the meeting is over.
    pub(crate) fn arrive(&mut self) {
        self.meeting.state.lock().unwrap().arrived += 1;
        self.arrived = true;
        self.meeting.changed.notify_all();
        self.meeting.wait(|state| state.over);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if !self.arrived {
            self.meeting.state.lock().unwrap().expected -= 1;
            self.meeting.changed.notify_all();
        }
    }
}
