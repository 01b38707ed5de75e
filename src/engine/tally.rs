//! How many engine calls failed, by kind.
//!
//! Takes kinds of failures, gives counts. Never: an answer that is no failure of the engine (not found,
//! conflict, a registry's refusal) counted as one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ErrorKind;

/// Counts since the process began.
#[derive(Debug, Default)]
pub struct Tally {
    unreachable: AtomicU64,
    timeout: AtomicU64,
    refused: AtomicU64,
    garbled: AtomicU64,
}

impl Tally {
    pub(super) fn note(&self, kind: &ErrorKind) {
        let count = match kind {
            ErrorKind::Unreachable { .. } => &self.unreachable,
            ErrorKind::Timeout { .. } => &self.timeout,
            ErrorKind::Refused { status, .. } if *status >= 500 => &self.refused,
            ErrorKind::Garbled { .. } => &self.garbled,
            ErrorKind::Refused { .. }
            | ErrorKind::Address { .. }
            | ErrorKind::TooOld { .. }
            | ErrorKind::NotFound { .. }
            | ErrorKind::Unauthorized { .. }
            | ErrorKind::Conflict { .. }
            | ErrorKind::BadPlatform { .. } => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Each kind with its count.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let kinds = [
            ("unreachable", &self.unreachable),
            ("timeout", &self.timeout),
            ("refused", &self.refused),
            ("garbled", &self.garbled),
        ];
        let counts = kinds.map(|(kind, count)| (kind, count.load(Ordering::Relaxed)));
        counts.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_engine_count() {
        let tally = Tally::default();
        let message = String::new;
        tally.note(&ErrorKind::NotFound { message: message() });
        tally.note(&ErrorKind::Refused {
            status: 400,
            message: message(),
        });
        tally.note(&ErrorKind::Refused {
            status: 500,
            message: message(),
        });
        tally.note(&ErrorKind::Garbled { message: message() });
        let expected = [
            ("unreachable", 0),
            ("timeout", 0),
            ("refused", 1),
            ("garbled", 1),
        ];
        assert_eq!(tally.counts(), expected);
    }
}
