//! How leases live and end.

/// Times of leases, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// An unrenewed lease is given up after this.
    pub lease: i64,
    /// The late result of a granted lease is waited for this long.
    pub grace: i64,
    /// A launcher that was not heard of for longer gets no run.
    pub fresh: i64,
    /// A run's envelope is first accepted for this long.
    pub envelope: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease: 60_000,
            grace: 2 * 3_600_000,
            fresh: 90_000,
            envelope: 600_000,
        }
    }
}

impl Terms {
    /// The lease's life as launchers are told it, in seconds.
    pub fn lease_seconds(&self) -> u64 {
        u64::try_from(self.lease / 1000).unwrap_or_default()
    }
}
