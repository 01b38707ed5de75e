//! How long each gate of a start took: one log line per start, which `scripts/bench` reads.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use crate::metrics::Metrics;

/// Collects the time since the lap before under each gate's name.
#[derive(Debug)]
pub(super) struct Laps {
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Laps {
    pub(super) fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    /// The named gate has just been passed.
    pub(super) fn lap(&mut self, gate: &'static str) {
        let now = Instant::now();
        self.laps.push((gate, now - self.last));
        self.last = now;
    }

    /// Adds what was measured elsewhere, because it ran beside something else.
    pub(super) fn add(&mut self, gate: &'static str, time: Duration) {
        self.laps.push((gate, time));
    }

    /// Logs every lap in microseconds, and counts it.
    pub(super) fn log(&self, metrics: &Metrics) {
        for (gate, time) in &self.laps {
            metrics.stage(gate, *time);
        }
        let laps: Vec<_> = self
            .laps
            .iter()
            .map(|(gate, time)| format!("{gate}={}", time.as_micros()))
            .collect();
        info!(gates_us = %laps.join(" "), "container started");
    }
}
