//! Rate limits of the doors that anybody may knock at.
//!
//! Takes a key (pool and address) and the time, says whether one more request passes. In memory: a restart
//! forgives. Never: more memory than [`MAX_KEYS`] keys, however many addresses knock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::clock::UnixMillis;

/// Keys that are remembered at most.
const MAX_KEYS: usize = 50_000;

/// A bucket per key: `burst` requests at once, refilled over `period` milliseconds.
#[derive(Debug)]
pub(super) struct RateLimit<K> {
    burst: f64,
    period: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: UnixMillis,
}

impl<K: Eq + Hash> RateLimit<K> {
    /// Lets `burst` requests per key pass in `period` milliseconds.
    pub(super) fn new(burst: u32, period: u32) -> Self {
        let (burst, period) = (f64::from(burst), f64::from(period));
        Self {
            burst,
            period,
            buckets: Mutex::default(),
        }
    }

    /// Whether this request passes; if so, it is counted.
    pub(super) fn pass(&self, key: K, now: UnixMillis) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_KEYS {
            // A bucket that is full again says nothing.
            buckets.retain(|_, bucket| self.refilled(bucket, now) < self.burst);
        }
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            return false;
        }
        let fresh = Bucket {
            left: self.burst,
            at: now,
        };
        let bucket = buckets.entry(key).or_insert(fresh);
        let left = self.refilled(bucket, now);
        let passes = left >= 1.0;
        *bucket = Bucket {
            left: if passes { left - 1.0 } else { left },
            at: now,
        };
        passes
    }

    fn refilled(&self, bucket: &Bucket, now: UnixMillis) -> f64 {
        let waited = u32::try_from((now.0 - bucket.at.0).max(0)).unwrap_or(u32::MAX);
        (bucket.left + self.burst * f64::from(waited) / self.period).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_a_trickle() {
        let limit = RateLimit::new(3, 60_000);
        let at = UnixMillis(1000);
        let passed = (0..10).filter(|_| limit.pass("a", at)).count();
        assert_eq!(passed, 3);
        assert!(limit.pass("b", at), "another key has its own bucket");
        assert!(!limit.pass("a", at.plus(19_000)));
        assert!(limit.pass("a", at.plus(30_000)));
        assert!(!limit.pass("a", at.plus(30_000)));
    }

    #[test]
    fn keys_are_forgotten_once_they_say_nothing() {
        let limit = RateLimit::new(1, 1000);
        for key in 0..MAX_KEYS {
            assert!(limit.pass(key, UnixMillis(0)));
        }
        assert!(!limit.pass(MAX_KEYS, UnixMillis(0)), "memory is bounded");
        assert!(limit.pass(MAX_KEYS, UnixMillis(1001)));
    }
}
