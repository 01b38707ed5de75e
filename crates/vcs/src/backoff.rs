//! How long a slot waits before it dials again.
//!
//! Takes how long the last stream lived, gives a wait. Never: all slots, or all agents, at the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(60);
/// A stream that lived this long was a good one: the next failure is the first again.
const HEALTHY: Duration = Duration::from_secs(60);

/// Grows from 1 s to 60 s; each wait is random between half and whole of the current step.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next try, after a stream that lived for `lived`.
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= HEALTHY {
            self.failures = 0;
        }
        let step = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        let random = ulid::Ulid::generate().random();
        let part = f64::from((random & 0xffff) as u16) / f64::from(u16::MAX);
        step.mul_f64(0.5 + part / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_bounded_and_start_over_after_a_good_stream() {
        let mut backoff = Backoff::default();
        assert!(backoff.after(Duration::ZERO) <= FIRST);
        for _ in 0..100 {
            let wait = backoff.after(Duration::from_secs(59));
            assert!(wait >= FIRST / 2 && wait <= LAST);
        }
        assert!(backoff.after(Duration::ZERO) >= LAST / 2);
        assert!(backoff.after(HEALTHY) <= FIRST);
    }

    #[test]
    fn waits_differ() {
        let waits: Vec<_> = (0..8)
            .map(|_| Backoff::default().after(Duration::ZERO))
            .collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }
}
