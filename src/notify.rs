//! The service manager's protocol (`sd_notify`): ready, alive, stopping, and one line of status.
//!
//! Takes one look at the launcher for each turn of its event loop, gives what systemd has to hear. Never: a
//! sign of life from anywhere but a turn of the loop, so a loop that hangs is found and the process restarted.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;
use tracing::warn;

/// While it stops, the launcher asks for so much more time…
const EXTENSION: Duration = Duration::from_secs(120);

/// …this often.
const EXTEND_EVERY: Duration = Duration::from_secs(30);

/// The loop turns at least this often.
const BEAT: Duration = Duration::from_secs(10);

/// What one turn of the loop saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether the pool is joined and the inbox was answered.
    pub ready: bool,
    /// Whether the process was told to end.
    pub stopping: bool,
    /// One line for people.
    pub status: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Ready,
    Stopping,
    Status(String),
    Alive,
    Extend,
}

/// What the service manager was told so far.
#[derive(Debug)]
pub struct Notifier {
    /// Time between two signs of life; `None` when the watchdog is off.
    every: Option<Duration>,
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    ready: bool,
    stopping: bool,
    status: String,
    alive: Option<Instant>,
    extended: Option<Instant>,
}

impl Notifier {
    /// For the service manager that started this process, if one did.
    pub fn of_this_process() -> Self {
        Self::new(sd_notify::watchdog_enabled())
    }

    fn new(watchdog: Option<Duration>) -> Self {
        Self {
            every: watchdog.map(|limit| limit / 2),
            told: Told::default(),
        }
    }

    /// Time within which the loop has to turn, so that its signs of life come in time.
    pub fn beat(&self) -> Duration {
        self.every.map_or(BEAT, |every| {
            (every / 2).clamp(Duration::from_millis(50), BEAT)
        })
    }

    /// The loop has turned: tells what is due.
    pub fn turn(&mut self, seen: &Seen) {
        let words = self.due(Instant::now(), seen);
        if words.is_empty() {
            return;
        }
        let states: Vec<_> = words.iter().map(Word::state).collect();
        // Without a service manager there is no socket, and nothing happens.
        if let Err(error) = sd_notify::notify(&states) {
            warn!(%error, "the service manager could not be told; is NOTIFY_SOCKET right?");
        }
    }

    fn due(&mut self, now: Instant, seen: &Seen) -> Vec<Word> {
        let mut words = Vec::new();
        let told = &mut self.told;
        if seen.ready && !std::mem::replace(&mut told.ready, seen.ready) {
            words.push(Word::Ready);
        }
        if seen.stopping && !std::mem::replace(&mut told.stopping, true) {
            words.push(Word::Stopping);
        }
        if seen.status != told.status {
            told.status.clone_from(&seen.status);
            words.push(Word::Status(seen.status.clone()));
        }
        let passed = |last: Option<Instant>, every| last.is_none_or(|last| now - last >= every);
        if self.every.is_some_and(|every| passed(told.alive, every)) {
            told.alive = Some(now);
            words.push(Word::Alive);
        }
        if seen.stopping && passed(told.extended, EXTEND_EVERY) {
            told.extended = Some(now);
            words.push(Word::Extend);
        }
        words
    }
}

impl Word {
    fn state(&self) -> NotifyState<'_> {
        match self {
            Self::Ready => NotifyState::Ready,
            Self::Stopping => NotifyState::Stopping,
            Self::Status(line) => NotifyState::Status(line),
            Self::Alive => NotifyState::Watchdog,
            Self::Extend => {
                let micros = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
                NotifyState::ExtendTimeoutUsec(micros)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ready: bool, stopping: bool, status: &str) -> Seen {
        Seen {
            ready,
            stopping,
            status: status.to_owned(),
        }
    }

    #[test]
    fn each_thing_is_told_once_and_when_it_changes() {
        let mut notifier = Notifier::new(None);
        let began = Instant::now();
        let mut turn = |seen: &Seen| notifier.due(began, seen);
        let idle = Word::Status("idle".into());
        assert_eq!(turn(&seen(false, false, "idle")), [idle]);
        assert_eq!(turn(&seen(true, false, "idle")), [Word::Ready]);
        assert_eq!(turn(&seen(true, false, "idle")), []);
        let busy = Word::Status("busy".into());
        assert_eq!(turn(&seen(true, false, "busy")), [busy]);
        let stops = [Word::Stopping, Word::Extend];
        assert_eq!(turn(&seen(true, true, "busy")), stops);
        assert_eq!(turn(&seen(true, true, "busy")), []);
        let later = notifier.due(began + EXTEND_EVERY, &seen(true, true, "busy"));
        assert_eq!(later, [Word::Extend]);
    }

    #[test]
    fn signs_of_life_come_from_turns_of_the_loop_and_from_nothing_else() {
        let mut notifier = Notifier::new(Some(Duration::from_secs(60)));
        let (look, began) = (seen(true, false, ""), Instant::now());
        let mut at = |seconds| notifier.due(began + Duration::from_secs(seconds), &look);
        assert!(at(0).contains(&Word::Alive));
        // A loop that turns all the time does not flood the service manager.
        assert_eq!(at(29), []);
        assert_eq!(at(30), [Word::Alive]);
        // The beat leaves room for one late turn within the watchdog's limit.
        assert!(notifier.beat() * 3 < Duration::from_secs(60));
        assert_eq!(Notifier::new(None).beat(), BEAT);
    }
}
