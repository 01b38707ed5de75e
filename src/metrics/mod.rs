//! What the launcher counts of itself, in Prometheus' terms.
//!
//! Takes single events from whoever sees them, gives the text that a scrape reads. Never: a label whose values
//! a run, a stack or a registry could multiply (no ids, no names), a count that waits for a lock of the work.

mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a lease ended, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was done.
    Succeeded,
    /// The plan waits for a decision.
    Parked,
    /// A gate said no.
    Refused,
    /// The run failed.
    Failed,
    /// It was stopped.
    Stopped,
    /// The server gave the lease away.
    Lost,
}

impl Ended {
    /// Its name in metrics and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Parked => "parked",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }

    /// Whether nobody has to look.
    pub fn is_fine(self) -> bool {
        matches!(self, Self::Succeeded | Self::Parked | Self::Stopped)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    place: &'static str,
}

/// What is true at the moment of a scrape, rather than counted on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    /// Leases at work.
    pub runs: usize,
    /// Leases that may be at work.
    pub capacity: u32,
    /// Leases that would be taken.
    pub free_slots: u32,
    /// Each known reason for taking none, and whether it holds.
    pub paused: Vec<(&'static str, bool)>,
    /// Free bytes and inodes, by place.
    pub free: Vec<(&'static str, u64, u64)>,
    /// Log bytes in spools, which the server has not stored yet.
    pub spool_bytes: u64,
    /// Leases in the journal.
    pub journal_entries: usize,
    /// Seconds since the event loop turned.
    pub loop_age: f64,
    /// Failed engine calls so far, by kind.
    pub engine_failures: Vec<(&'static str, u64)>,
}

/// All counters; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    runs: Family<Outcome, Counter>,
    run_seconds: Histogram,
    stages: Family<Stage, Histogram, fn() -> Histogram>,
    pulls: Counter,
    pulled_bytes: Counter,
    log_bytes: Counter,
    renewals: Histogram,
    renewal_failures: Counter,
    inbox_errors: Counter,
    swept: Family<Kind, Counter>,
    scraped: Scraped,
}

/// Set at each scrape.
#[derive(Debug, Default)]
struct Scraped {
    runs: Gauge,
    capacity: Gauge,
    free_slots: Gauge,
    paused: Family<Reason, Gauge>,
    free_bytes: Family<Place, Gauge>,
    free_inodes: Family<Place, Gauge>,
    spool_bytes: Gauge,
    journal_entries: Gauge,
    loop_age: Gauge<f64, AtomicU64>,
    engine_failures: Family<Kind, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        let mut inner = Inner {
            registry,
            runs: Family::default(),
            run_seconds: long(),
            stages: Family::new_with_constructor(short),
            pulls: Counter::default(),
            pulled_bytes: Counter::default(),
            log_bytes: Counter::default(),
            renewals: short(),
            renewal_failures: Counter::default(),
            inbox_errors: Counter::default(),
            swept: Family::default(),
            scraped: Scraped::default(),
        };
        inner.register();
        Self {
            inner: Arc::new(inner),
        }
    }
}

/// 1 ms to 16 min, doubling.
fn short() -> Histogram {
    Histogram::new((0..21).map(|step| 0.001 * f64::from(1 << step)))
}

/// 1 s to 9 h, doubling.
fn long() -> Histogram {
    Histogram::new((0..16).map(|step| f64::from(1 << step)))
}

impl Inner {
    fn register(&mut self) {
        let ours = self.registry.sub_registry_with_prefix("gantry_launcher");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "This launcher", build);
        ours.register("runs", "Leases that ended, by outcome", self.runs.clone());
        let unit = || Unit::Seconds;
        ours.register_with_unit(
            "run",
            "A lease from acceptance to its reported end",
            unit(),
            self.run_seconds.clone(),
        );
        ours.register_with_unit(
            "stage",
            "Stages of a run's start",
            unit(),
            self.stages.clone(),
        );
        ours.register("pulls", "Images pulled", self.pulls.clone());
        ours.register_with_unit(
            "pulled",
            "Size on disk of images pulled",
            Unit::Bytes,
            self.pulled_bytes.clone(),
        );
        ours.register_with_unit(
            "log_shipped",
            "Raw log stored by the server",
            Unit::Bytes,
            self.log_bytes.clone(),
        );
        ours.register_with_unit(
            "lease_renewal",
            "Answered renewals of leases",
            unit(),
            self.renewals.clone(),
        );
        ours.register(
            "lease_renewal_failures",
            "Renewals without an answer",
            self.renewal_failures.clone(),
        );
        ours.register(
            "inbox_errors",
            "Polls that failed",
            self.inbox_errors.clone(),
        );
        ours.register("swept", "Leftovers removed, by kind", self.swept.clone());
        self.scraped.register(ours);
    }
}

impl Scraped {
    fn register(&self, ours: &mut Registry) {
        ours.register("current_runs", "Leases at work", self.runs.clone());
        ours.register(
            "capacity",
            "Leases that may be at work (GANTRY_CAPACITY)",
            self.capacity.clone(),
        );
        ours.register(
            "free_slots",
            "Leases that would be taken now",
            self.free_slots.clone(),
        );
        ours.register(
            "paused",
            "1 for each reason that no run is taken",
            self.paused.clone(),
        );
        ours.register_with_unit(
            "disk_free",
            "Free disk",
            Unit::Bytes,
            self.free_bytes.clone(),
        );
        ours.register("disk_free_inodes", "Free inodes", self.free_inodes.clone());
        ours.register_with_unit(
            "spool",
            "Log on disk that the server has not stored",
            Unit::Bytes,
            self.spool_bytes.clone(),
        );
        ours.register(
            "journal_entries",
            "Leases in the journal",
            self.journal_entries.clone(),
        );
        ours.register_with_unit(
            "loop_age",
            "Since the event loop turned",
            Unit::Seconds,
            self.loop_age.clone(),
        );
        ours.register(
            "engine_call_failures",
            "Engine calls that failed, by kind",
            self.engine_failures.clone(),
        );
    }

    fn set(&self, now: &Now) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.runs.set(gauge(now.runs as u64));
        self.capacity.set(now.capacity.into());
        self.free_slots.set(now.free_slots.into());
        for (reason, holds) in &now.paused {
            self.paused
                .get_or_create(&Reason { reason })
                .set((*holds).into());
        }
        for (place, bytes, inodes) in &now.free {
            self.free_bytes
                .get_or_create(&Place { place })
                .set(gauge(*bytes));
            self.free_inodes
                .get_or_create(&Place { place })
                .set(gauge(*inodes));
        }
        self.spool_bytes.set(gauge(now.spool_bytes));
        self.journal_entries.set(gauge(now.journal_entries as u64));
        self.loop_age.set(now.loop_age);
        for (kind, total) in &now.engine_failures {
            let counter = self.engine_failures.get_or_create(&Kind { kind });
            counter.inner().store(*total, Ordering::Relaxed);
        }
    }
}

impl Metrics {
    /// A lease ended after `took`, counted from when this process took it up.
    pub fn run_ended(&self, outcome: Ended, took: Duration) {
        let outcome = outcome.name();
        self.inner.runs.get_or_create(&Outcome { outcome }).inc();
        self.inner.run_seconds.observe(took.as_secs_f64());
    }

    /// A stage of a run's start was passed; `stage` is one of a handful of fixed names.
    pub fn stage(&self, stage: &'static str, took: Duration) {
        let stages = self.inner.stages.get_or_create(&Stage { stage });
        stages.observe(took.as_secs_f64());
    }

    /// An image of this size on disk was pulled.
    pub fn pulled(&self, bytes: u64) {
        self.inner.pulls.inc();
        self.inner.pulled_bytes.inc_by(bytes);
    }

    /// The server has stored so many more raw bytes of logs.
    pub fn log_shipped(&self, bytes: u64) {
        self.inner.log_bytes.inc_by(bytes);
    }

    /// A renewal was answered after `took`, or failed.
    pub fn renewed(&self, answered: Option<Duration>) {
        match answered {
            Some(took) => self.inner.renewals.observe(took.as_secs_f64()),
            None => {
                self.inner.renewal_failures.inc();
            }
        }
    }

    /// A poll failed.
    pub fn inbox_error(&self) {
        self.inner.inbox_errors.inc();
    }

    /// So many leftovers of a kind (one of a handful of fixed names) were removed.
    pub fn swept(&self, kind: &'static str, count: u64) {
        self.inner.swept.get_or_create(&Kind { kind }).inc_by(count);
    }

    /// Everything, as a scrape reads it.
    pub fn text(&self, now: &Now) -> String {
        self.inner.scraped.set(now);
        let mut text = String::new();
        text::encode(&mut text, &self.inner.registry)
            .expect("invariant: writing to a string does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::default();
        metrics.run_ended(Ended::Succeeded, Duration::from_secs(3));
        metrics.run_ended(Ended::Succeeded, Duration::from_secs(5));
        metrics.stage("image", Duration::from_millis(20));
        metrics.renewed(None);
        metrics.log_shipped(1234);
        let now = Now {
            runs: 2,
            paused: vec![("room", true), ("engine", false)],
            free: vec![("data", 1 << 30, 77)],
            engine_failures: vec![("timeout", 4)],
            ..Now::default()
        };
        let text = metrics.text(&now);
        for line in [
            "gantry_launcher_runs_total{outcome=\"succeeded\"} 2",
            "gantry_launcher_run_seconds_sum 8.0",
            "gantry_launcher_stage_seconds_count{stage=\"image\"} 1",
            "gantry_launcher_lease_renewal_failures_total 1",
            "gantry_launcher_log_shipped_bytes_total 1234",
            "gantry_launcher_current_runs 2",
            "gantry_launcher_paused{reason=\"room\"} 1",
            "gantry_launcher_paused{reason=\"engine\"} 0",
            "gantry_launcher_disk_free_bytes{place=\"data\"} 1073741824",
            "gantry_launcher_engine_call_failures_total{kind=\"timeout\"} 4",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let again = metrics.text(&Now::default());
        assert!(again.contains("current_runs 0"), "{again}");
    }
}
