//! When a run has taken too long, or has been silent too long. Pure: the clock is an argument.
//!
//! Never: an apply ended for its silence, because waiting for a cloud prints nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Time limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Longest time of a container.
    pub run: Duration,
    /// Longest silence where nothing is changed.
    pub silence: Duration,
    /// From interrupt to kill where nothing is changed.
    pub grace: Duration,
    /// From interrupt to kill once the world may be changed.
    pub apply_grace: Duration,
}

/// What the launcher knows about a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// The run has no reason for it.
    Counts,
    /// The run waits for an answer of ours, or changes the world.
    Excused,
}

/// The clocks of one container.
#[derive(Debug)]
pub(super) struct Timer {
    times: Times,
    began: Instant,
    heard: Instant,
    /// Found silent at the last look too: a process that was itself stopped for a while looks once before it has
    /// read what came meanwhile.
    suspected: bool,
}

impl Timer {
    /// For a container that began `ago`.
    pub(super) fn new(times: Times, now: Instant, ago: Duration) -> Self {
        Self {
            times,
            began: now.checked_sub(ago).unwrap_or(now),
            heard: now,
            suspected: false,
        }
    }

    /// Something was printed or told.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.suspected = false;
    }

    /// The limit that has passed, in words, if one has.
    pub(super) fn passed(&mut self, now: Instant, silence: Silence) -> Option<String> {
        if now.duration_since(self.began) >= self.times.run {
            return Some(format!(
                "it ran longer than {} (SPACELIFT_LAUNCHER_RUN_TIMEOUT)",
                spoken(self.times.run)
            ));
        }
        if silence == Silence::Excused {
            self.heard(now);
        }
        if now.duration_since(self.heard) < self.times.silence {
            return None;
        }
        if !std::mem::replace(&mut self.suspected, true) {
            return None;
        }
        Some(format!(
            "it printed nothing for {} (SPACELIFT_LAUNCHER_LOGS_TIMEOUT)",
            spoken(self.times.silence)
        ))
    }
}

fn spoken(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn timer(ago: Duration) -> (Timer, Instant) {
        let now = Instant::now();
        let times = Times {
            run: 100 * SECOND,
            silence: 10 * SECOND,
            grace: SECOND,
            apply_grace: SECOND,
        };
        (Timer::new(times, now, ago), now)
    }

    #[test]
    fn silence_is_found_at_the_second_look() {
        let (mut timer, now) = timer(Duration::ZERO);
        assert_eq!(timer.passed(now + 9 * SECOND, Silence::Counts), None);
        assert_eq!(timer.passed(now + 10 * SECOND, Silence::Counts), None);
        let why = timer.passed(now + 11 * SECOND, Silence::Counts).unwrap();
        assert!(why.contains("SPACELIFT_LAUNCHER_LOGS_TIMEOUT"), "{why}");
    }

    #[test]
    fn what_comes_between_two_looks_counts() {
        let (mut timer, now) = timer(Duration::ZERO);
        assert_eq!(timer.passed(now + 30 * SECOND, Silence::Counts), None);
        timer.heard(now + 30 * SECOND);
        assert_eq!(timer.passed(now + 31 * SECOND, Silence::Counts), None);
    }

    #[test]
    fn an_excused_silence_begins_anew() {
        let (mut timer, now) = timer(Duration::ZERO);
        for look in [30, 40, 50] {
            assert_eq!(timer.passed(now + look * SECOND, Silence::Excused), None);
        }
        assert_eq!(timer.passed(now + 59 * SECOND, Silence::Counts), None);
    }

    #[test]
    fn the_whole_time_counts_also_what_another_process_saw() {
        let (mut timer, now) = timer(60 * SECOND);
        assert_eq!(timer.passed(now + 39 * SECOND, Silence::Excused), None);
        let why = timer.passed(now + 40 * SECOND, Silence::Excused).unwrap();
        assert!(why.contains("SPACELIFT_LAUNCHER_RUN_TIMEOUT"), "{why}");
    }
}
