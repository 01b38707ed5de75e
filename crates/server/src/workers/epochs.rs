//! One identity, one process: who may speak for a launcher.
//!
//! Takes what is known of the newest process and what a process claims, gives a ruling. Pure.
//!
//! The rule, in full:
//!
//! 1. Each process *takes over* before it says anything else. It shows the epoch that its data directory
//!    holds, and a process id that it wrote there before asking.
//!    - The newest process's own id again: the same epoch again (the answer got lost).
//!    - The newest epoch: the next epoch. The process before is *fenced*. This is every ordinary restart,
//!      also one second after a crash.
//!    - An older epoch while the newest process *lives*: two data directories hold this identity. Both are
//!      quarantined.
//!    - An older epoch while the newest process does not live: the next epoch (a directory from a backup, or
//!      the newest process died before its first word). Should the other one come back, rule 2 meets it.
//!    - A newer epoch than known: the server itself was restored from a backup; one above it.
//! 2. A *fenced* process hears so at its next request, and has to end. That first word after the takeover is
//!    no crime: its request may have been under way. But asking for a new session with a fenced epoch, or
//!    still speaking [`GRACE`] after the takeover, while the newest process lives, is coming back: both are
//!    quarantined.
//! 3. A process *lives* when it was heard of after its takeover and within [`LIVES`].
//! 4. A quarantine ends when an administrator ends it, after making sure that one of the two is gone.

use gantry_protocol::control::session::Takeover;

use crate::clock::UnixMillis;

/// A process that was heard of within this time lives: milliseconds, above the longest silence of a healthy
/// launcher (a long poll of 55 s).
pub const LIVES: i64 = 90_000;

/// Requests of a fenced process that arrive within this many milliseconds of the takeover were under way.
pub const GRACE: i64 = 60_000;

/// What is known of a launcher's newest process.
#[derive(Clone, Debug)]
pub struct Newest<'a> {
    /// Its epoch; 0 before the first process.
    pub epoch: u64,
    /// Its id.
    pub process: &'a str,
    /// When it took over.
    pub taken_over_at: UnixMillis,
    /// When it was last heard of; its takeover counts as no word.
    pub seen_at: UnixMillis,
}

/// What becomes of a takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeovers {
    /// It happened before: the same epoch.
    Again(u64),
    /// A new epoch.
    Next(u64),
    /// Two directories hold one identity.
    Copy,
}

/// What becomes of a request under an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// The newest process speaks.
    Newest,
    /// A newer process exists.
    Fenced,
    /// A fenced process came back while the newest lives.
    Copy,
}

impl Newest<'_> {
    /// Rules about a process's first claim.
    pub fn take_over(&self, claim: &Takeover, now: UnixMillis) -> Takeovers {
        if self.epoch > 0 && claim.process == self.process {
            return Takeovers::Again(self.epoch);
        }
        if claim.previous_epoch < self.epoch && self.lives(now) {
            return Takeovers::Copy;
        }
        Takeovers::Next(self.epoch.max(claim.previous_epoch) + 1)
    }

    /// Rules about a request for a new session under an epoch.
    pub fn renew(&self, epoch: u64, now: UnixMillis) -> Speech {
        match epoch {
            _ if epoch == self.epoch => Speech::Newest,
            _ if epoch < self.epoch && self.lives(now) => Speech::Copy,
            _ => Speech::Fenced,
        }
    }

    /// Rules about any other request under an epoch.
    pub fn speak(&self, epoch: u64, now: UnixMillis) -> Speech {
        let late = now.0 - self.taken_over_at.0 > GRACE;
        match self.renew(epoch, now) {
            Speech::Copy if !late => Speech::Fenced,
            ruling => ruling,
        }
    }

    fn lives(&self, now: UnixMillis) -> bool {
        self.seen_at > self.taken_over_at && now.0 - self.seen_at.0 <= LIVES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_000_000;

    fn newest(epoch: u64, seen_at: i64) -> Newest<'static> {
        let (taken_over_at, seen_at) = (UnixMillis(AT), UnixMillis(seen_at));
        Newest {
            epoch,
            process: "p",
            taken_over_at,
            seen_at,
        }
    }

    fn claim(previous_epoch: u64, process: &str) -> Takeover {
        Takeover {
            previous_epoch,
            process: process.to_owned(),
        }
    }

    #[test]
    fn takeovers() {
        let heard = AT + 1;
        for (name, known, asked, now, expected) in [
            (
                "first process",
                newest(0, 0),
                claim(0, "p"),
                AT,
                Takeovers::Next(1),
            ),
            (
                "answer lost",
                newest(3, AT),
                claim(2, "p"),
                AT + 5,
                Takeovers::Again(3),
            ),
            (
                "asked much later",
                newest(3, heard),
                claim(2, "p"),
                heard + LIVES,
                Takeovers::Again(3),
            ),
            (
                "restart",
                newest(3, heard),
                claim(3, "q"),
                heard + 1,
                Takeovers::Next(4),
            ),
            (
                "copy",
                newest(3, heard),
                claim(2, "q"),
                heard + 1,
                Takeovers::Copy,
            ),
            (
                "copy of the first day",
                newest(3, heard),
                claim(0, "q"),
                heard + 1,
                Takeovers::Copy,
            ),
            (
                "backup, newest gone",
                newest(3, heard),
                claim(2, "q"),
                heard + LIVES + 1,
                Takeovers::Next(4),
            ),
            (
                "newest never spoke",
                newest(3, AT),
                claim(2, "q"),
                AT + 5,
                Takeovers::Next(4),
            ),
            (
                "server restored",
                newest(3, heard),
                claim(7, "q"),
                heard + 1,
                Takeovers::Next(8),
            ),
        ] {
            assert_eq!(known.take_over(&asked, UnixMillis(now)), expected, "{name}");
        }
    }

    #[test]
    fn requests() {
        let late = AT + GRACE + 1;
        for (name, known, epoch, now, renew, speak) in [
            (
                "newest",
                newest(3, late),
                3,
                late,
                Speech::Newest,
                Speech::Newest,
            ),
            (
                "under way",
                newest(3, AT + 1),
                2,
                AT + 2,
                Speech::Copy,
                Speech::Fenced,
            ),
            (
                "came back",
                newest(3, late),
                2,
                late,
                Speech::Copy,
                Speech::Copy,
            ),
            (
                "newest silent",
                newest(3, AT),
                2,
                late,
                Speech::Fenced,
                Speech::Fenced,
            ),
            (
                "newest gone",
                newest(3, AT + 1),
                2,
                AT + 2 + LIVES,
                Speech::Fenced,
                Speech::Fenced,
            ),
            (
                "unknown epoch",
                newest(3, late),
                4,
                late,
                Speech::Fenced,
                Speech::Fenced,
            ),
        ] {
            assert_eq!(known.renew(epoch, UnixMillis(now)), renew, "{name}");
            assert_eq!(known.speak(epoch, UnixMillis(now)), speak, "{name}");
        }
    }
}
