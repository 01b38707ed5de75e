//! How long each gate of a start took: one log line per start, which `scripts/bench` reads.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::info;

use crate::metrics::Metrics;
use crate::telemetry::{LeaseTrace, Stage};

/// Collects the time since the lap before under each gate's name.
#[derive(Debug)]
pub(super) struct Laps {
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
    stages: Vec<Stage>,
}

impl Laps {
    pub(super) fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
            stages: Vec::new(),
        }
    }

    /// The named gate has just been passed.
    pub(super) fn lap(&mut self, gate: &'static str) {
        let now = Instant::now();
        self.add(gate, now - self.last);
        self.last = now;
    }

    /// The named gates have just been passed, beside each other.
    pub(super) fn beside(&mut self, gates: [(&'static str, Duration); 2]) {
        for (gate, time) in gates {
            self.add(gate, time);
        }
        self.last = Instant::now();
    }

    /// Adds what was measured elsewhere, because it ran beside something else.
    pub(super) fn add(&mut self, gate: &'static str, time: Duration) {
        let began = SystemTime::now() - self.last.elapsed();
        self.stages.push(Stage {
            name: gate,
            began,
            took: time,
        });
        self.laps.push((gate, time));
    }

    /// Logs every lap in microseconds, counts it and adds it to the trace.
    pub(super) fn log(&self, metrics: &Metrics, trace: &LeaseTrace) {
        trace.stages(self.stages.iter().copied());
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
