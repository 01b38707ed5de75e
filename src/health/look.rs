//! What is true now, from the supervisor's last picture and a look at the disk.
//!
//! Takes pictures, gives numbers and verdicts. Never: a walk through a run's own directories without bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use super::{Readiness, Reason};
use crate::job::Host;
use crate::metrics::Now;
use crate::supervisor::{Pause, Pulse};
use crate::workspace::{Bounds, tree_size};

/// A loop that has not turned for so long hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A spool holds a few segments; more entries are not counted.
const SPOOL: Bounds = Bounds {
    entries: 100_000,
    bytes: u64::MAX,
};

/// What a scrape sees.
pub(super) async fn now(host: &Arc<Host>, pulse: &Pulse) -> Now {
    let for_disk = host.clone();
    let on_disk = tokio::task::spawn_blocking(move || on_disk(&for_disk)).await;
    let (spool_bytes, journal_entries) = on_disk.unwrap_or_default();
    let holds = |name| pulse.pauses.iter().any(|pause| pause.name() == name);
    Now {
        runs: pulse.runs,
        capacity: pulse.capacity,
        free_slots: pulse.free_slots,
        paused: Pause::NAMES
            .iter()
            .map(|name| (*name, holds(*name)))
            .collect(),
        free: pulse
            .spaces
            .iter()
            .map(|space| (space.place.name, space.free, space.free_inodes))
            .collect(),
        spool_bytes,
        journal_entries,
        loop_age: pulse.turned.elapsed().as_secs_f64(),
        engine_failures: host.engine.tally().counts(),
    }
}

fn on_disk(host: &Host) -> (u64, usize) {
    let entries = host.journal.entries().unwrap_or_default();
    let spools = entries.iter().map(|entry| {
        let dirs = host.data.run(entry.lease.run, entry.lease.attempt);
        tree_size(&dirs.spool(), SPOOL).map_or(0, |(_, bytes)| bytes)
    });
    (spools.sum(), entries.len())
}

/// Whether the loop turns.
pub(super) fn alive(age: Duration) -> (StatusCode, String) {
    let seconds = age.as_secs();
    match age < HANGS {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => {
            let text = format!("the event loop has not turned for {seconds} s\n");
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// Whether runs are taken; a launcher that is full is ready all the same.
pub(super) fn readiness(pulse: &Pulse) -> Readiness {
    let paused = pulse.pauses.iter().map(|pause| Reason {
        reason: pause.name(),
        detail: pause.to_string(),
    });
    let server = (!pulse.answered).then(|| Reason {
        reason: "server",
        detail: "the server has not answered yet".to_owned(),
    });
    let reasons: Vec<_> = server.into_iter().chain(paused).collect();
    Readiness {
        ready: reasons.is_empty(),
        runs: pulse.runs,
        capacity: pulse.capacity,
        free_slots: pulse.free_slots,
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(answered: bool, pauses: Vec<Pause>) -> Pulse {
        Pulse {
            turned: tokio::time::Instant::now(),
            answered,
            runs: 1,
            capacity: 1,
            free_slots: 0,
            pauses,
            spaces: Vec::new(),
        }
    }

    #[test]
    fn a_full_launcher_is_ready_and_a_paused_one_says_why() {
        assert!(readiness(&pulse(true, Vec::new())).ready);
        let early = readiness(&pulse(false, Vec::new()));
        assert_eq!((early.ready, early.reasons[0].reason), (false, "server"));
        let why = "no answer".to_owned();
        let paused = readiness(&pulse(true, vec![Pause::Drained, Pause::Engine { why }]));
        let names: Vec<_> = paused.reasons.iter().map(|reason| reason.reason).collect();
        assert_eq!((paused.ready, names), (false, vec!["drained", "engine"]));
        assert!(paused.reasons[1].detail.contains("no answer"));
    }

    #[test]
    fn a_loop_that_hangs_is_not_alive() {
        assert_eq!(alive(Duration::from_secs(59)).0, StatusCode::OK);
        let (status, text) = alive(Duration::from_secs(61));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("61 s"), "{text}");
    }
}
