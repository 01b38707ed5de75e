//! Leases that the host has no room for wait for their turn.
//!
//! Takes the host's capacity. Gives turns, in the order of asking. A server that sends more runs than it was asked for
//! gets them executed later, never beside the others. Never: a container that runs already kept waiting.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::Stop;
use crate::journal::{Entry, Progress};

/// The host's places for leases that do something.
#[derive(Debug)]
pub(super) struct Turns(Arc<Semaphore>);

/// A lease's way to its place.
#[derive(Debug)]
pub(super) enum Turn {
    /// It goes on at once, with a place if there was one.
    Now(Option<OwnedSemaphorePermit>),
    /// It waits until another lease has ended.
    Later(Arc<Semaphore>),
}

impl Turns {
    pub(super) fn new(capacity: u32) -> Self {
        let places = usize::try_from(capacity).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))))
    }

    /// What an entry has to wait for: nothing, when something of it runs or has ended already.
    pub(super) fn of(&self, entry: &Entry) -> Turn {
        let place = self.0.clone().try_acquire_owned().ok();
        match (place, &entry.progress) {
            (None, Progress::Accepted) => Turn::Later(self.0.clone()),
            (place, _) => Turn::Now(place),
        }
    }
}

impl Turn {
    /// Waits for the place; a lease that is stopped meanwhile needs none, because nothing will be started for it.
    pub(super) async fn come(self, mut stop: Stop) -> Option<OwnedSemaphorePermit> {
        let places = match self {
            Self::Now(place) => return place,
            Self::Later(places) => places,
        };
        tokio::select! {
            place = places.acquire_owned() => place.ok(),
            _ = stop.wait_for(Option::is_some) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_protocol::control::inbox::SealedRun;
    use gantry_protocol::control::run::{Lease, Outcome, RunResult};
    use gantry_protocol::ids::Attempt;
    use tokio::sync::watch;

    use super::*;
    use crate::job::StopReason;

    fn entry() -> Entry {
        let run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        let sealed = SealedRun {
            envelope: String::new(),
            sealed: String::new(),
        };
        let attempt = Attempt(1);
        Entry::accepted(Lease { run, attempt }, sealed, 0)
    }

    #[tokio::test]
    async fn leases_over_capacity_wait_for_an_end_or_a_stop() {
        let turns = Turns::new(1);
        let (stop, stopped) = watch::channel(None);
        let first = turns.of(&entry()).come(stopped.clone()).await;
        assert!(first.is_some());
        let second = turns.of(&entry());
        assert!(matches!(second, Turn::Later(_)), "{second:?}");
        let mut ended = entry();
        let result = RunResult {
            outcome: Outcome::Succeeded,
            plan: None,
            image: None,
            worker: None,
        };
        ended.progress = Progress::Ended {
            result: Box::new(result),
        };
        assert!(matches!(turns.of(&ended), Turn::Now(None)));
        drop(first);
        let second = second.come(stopped.clone()).await;
        assert!(second.is_some());
        let third = turns.of(&entry());
        stop.send_replace(Some(StopReason::Shutdown));
        assert!(third.come(stopped).await.is_none());
    }
}
