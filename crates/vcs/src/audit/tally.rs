//! What the agent counts: streams that are up, requests by how they ended.
//!
//! Takes events, gives numbers. Never: anything of a request but its ending and its size.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

use super::Ending;

/// The numbers of one process.
#[derive(Debug, Default)]
pub struct Tally {
    streams: AtomicUsize,
    came_up: Notify,
    begun: AtomicU64,
    served: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    cut: AtomicU64,
    bytes: AtomicU64,
}

/// A stream counts as long as this lives.
pub struct Up<'a>(&'a Tally);

impl Tally {
    /// A stream is up.
    pub fn up(&self) -> Up<'_> {
        self.streams.fetch_add(1, Relaxed);
        self.came_up.notify_waiters();
        Up(self)
    }

    /// Returns when a stream is up.
    pub async fn connected(&self) {
        loop {
            let mut next = std::pin::pin!(self.came_up.notified());
            // From here on no stream that comes up is missed.
            next.as_mut().enable();
            if self.streams() > 0 {
                return;
            }
            next.await;
        }
    }

    /// Streams that are up.
    pub fn streams(&self) -> usize {
        self.streams.load(Relaxed)
    }

    /// Requests that have arrived and not ended.
    pub fn in_flight(&self) -> u64 {
        let ended = [
            &self.served,
            &self.refused,
            &self.failed,
            &self.cancelled,
            &self.cut,
        ];
        let ended: u64 = ended.iter().map(|count| count.load(Relaxed)).sum();
        self.begun.load(Relaxed).saturating_sub(ended)
    }

    /// Requests that ended without their answer because the stream or the process did.
    pub fn cut(&self) -> u64 {
        self.cut.load(Relaxed)
    }

    pub(crate) fn began(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, ending: &Ending, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        let count = match ending {
            Ending::Served => &self.served,
            Ending::Refused { .. } => &self.refused,
            Ending::Failed { .. } => &self.failed,
            Ending::Cancelled => &self.cancelled,
            Ending::Cut => &self.cut,
        };
        count.fetch_add(1, Relaxed);
    }

    /// All numbers, as Prometheus reads them.
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        let mut put = |line: &str, value: u64| {
            let _ = writeln!(text, "{line} {value}");
        };
        put(
            "# TYPE gantry_vcs_agent_streams gauge\ngantry_vcs_agent_streams",
            self.streams() as u64,
        );
        put(
            "# TYPE gantry_vcs_agent_requests_in_flight gauge\ngantry_vcs_agent_requests_in_flight",
            self.in_flight(),
        );
        put(
            "# TYPE gantry_vcs_agent_response_bytes_total counter\ngantry_vcs_agent_response_bytes_total",
            self.bytes.load(Relaxed),
        );
        let endings = [
            ("served", &self.served),
            ("refused", &self.refused),
            ("failed", &self.failed),
            ("cancelled", &self.cancelled),
            ("cut", &self.cut),
        ];
        text.push_str("# TYPE gantry_vcs_agent_requests_total counter\n");
        for (name, count) in endings {
            let _ = writeln!(
                text,
                "gantry_vcs_agent_requests_total{{result=\"{name}\"}} {}",
                count.load(Relaxed)
            );
        }
        text
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_is_in_flight_until_it_ends() {
        let tally = Tally::default();
        let up = tally.up();
        tally.began();
        tally.began();
        tally.ended(&Ending::Served, 7);
        assert_eq!((tally.in_flight(), tally.streams()), (1, 1));
        drop(up);
        let text = tally.exposition();
        for line in [
            "gantry_vcs_agent_streams 0",
            "gantry_vcs_agent_requests_in_flight 1",
            "gantry_vcs_agent_response_bytes_total 7",
            "gantry_vcs_agent_requests_total{result=\"served\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
