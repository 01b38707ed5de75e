//! Jittered exponential back-off: how long to wait before asking a server again.

use std::time::Duration;

/// Grows from 250 ms to 30 s; each wait is random between half and whole of the current step, so that a
/// restarted server is not asked by all launchers at once.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(30);

impl Backoff {
    /// The wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let step = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        let random = ulid::Ulid::generate().random();
        let part = f64::from((random & 0xffff) as u16) / f64::from(u16::MAX);
        step.mul_f64(0.5 + part / 2.0)
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::default();
        assert!(backoff.wait() <= FIRST);
        for _ in 0..100 {
            assert!(backoff.wait() <= LAST);
        }
        assert!(backoff.wait() >= LAST / 2);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
