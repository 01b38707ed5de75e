//! How long to wait before the next attempt to connect.
//!
//! Takes the number of attempts so far (by being asked), gives a jittered, bounded, growing pause. Never:
//! sleeping itself.

use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Pauses of one row of attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The pause before the next attempt: between half of and the whole current step.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        let mut random = [0; 1];
        // Without entropy the pause is the whole step.
        let drawn = getrandom(&mut random, GetRandomFlags::NONBLOCK).is_ok();
        let share = if drawn {
            f64::from(random[0]) / 255.0
        } else {
            1.0
        };
        step.mul_f64(0.5 + share / 2.0)
    }

    /// An attempt succeeded: start small again.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds() {
        let mut backoff = Backoff::default();
        for step in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
            let pause = backoff.pause();
            let step = Duration::from_millis(step);
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
