//! Which signatures were used here, and by which run: one small file of the data directory.
//!
//! Takes nonces, gives whether they may be used. Written and synced before anything happens by them. Never: a nonce
//! forgotten while its signature could still be shown, or used for a second run or a second change of the world.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gantry_protocol::control::envelope::CLOCK_ALLOWANCE;
use gantry_protocol::control::run::Lease;
use gantry_protocol::signature::{LONGEST_LIFE, SignedPhase};
use gantry_protocol::{Attempt, Digest, RunId};
use serde::{Deserialize, Serialize};

use crate::durable;

/// The file that keeps it.
const FILE: &str = "signatures.json";

/// Most uses that are kept: some hundred a day are many.
const MOST: usize = 20_000;

/// A lease that was accepted in time may begin again after a restart: its use is kept this much longer, in seconds.
const AFTERLIFE: i64 = CLOCK_ALLOWANCE + LONGEST_LIFE;

/// Uses of signatures by their nonces.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    kept: Mutex<Kept>,
}

/// What the file holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// By nonce.
    uses: BTreeMap<String, Use>,
    /// The latest end, in Unix seconds, of a signature whose use was forgotten: a clock that is set back must not
    /// make it good again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<i64>,
}

/// One signature's use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    /// The run that it is bound to.
    run: RunId,
    /// What it was made for.
    phase: SignedPhase,
    /// The newest attempt that showed it.
    attempt: Attempt,
    /// Digest of the envelope that brought that attempt; older launchers did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<Digest>,
    /// When that attempt showed it first, in Unix seconds.
    shown: i64,
    /// End of the signature's life, in Unix seconds.
    ends: i64,
    /// The attempt that changed the world by it, once one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent: Option<Attempt>,
}

/// A signature that is about to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) nonce: String,
    pub(super) lease: Lease,
    /// Digest of the envelope that brought the lease: the server may name one lease in many.
    pub(super) envelope: Digest,
    pub(super) phase: SignedPhase,
    pub(super) ends: i64,
}

/// Why a signature can't be used, though it is a good one.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// Another run has it.
    #[error("the run signature was used before, by run {0}: sign each run by itself")]
    OtherRun(RunId),
    /// An apply or a task was done with it.
    #[error("the run signature was used before: attempt {0} of this run changed the world by it")]
    Spent(Attempt),
    /// A newer attempt of the run showed it.
    #[error("the run signature was shown by attempt {0} of this run, and this one is older")]
    Older(Attempt),
    /// The same attempt came again, in an envelope of its own.
    #[error(
        "the run signature was used before: attempt {0} of this run came in another envelope then"
    )]
    Again(Attempt),
    /// It may have been used, and the use forgotten.
    #[error(
        "the run signature ends before others whose use was forgotten, so the clock of this host was set back: set it, or sign again for longer"
    )]
    Forgotten,
    /// The file has no room.
    #[error(
        "{MOST} run signatures are within their life on this launcher: no more can be told apart"
    )]
    Full,
    /// It can't be written down.
    #[error("the use of the run signature can't be written to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why the ledger can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It can't be read.
    #[error("the list of used run signatures `{}` can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no list: without it a used signature could be used again.
    #[error(
        "the list of used run signatures `{}` is damaged: stop for 24 hours, the longest life of a signature, and remove it, or replace the trusted keys first",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl Ledger {
    /// Opens the ledger of a data directory.
    pub(super) fn open(data: &Path) -> Result<Self, LedgerError> {
        let path = data.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => Kept::read(&bytes).map_err(|source| LedgerError::Damaged {
                path: path.clone(),
                source,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(source) => return Err(LedgerError::Read { path, source }),
        };
        let kept = Mutex::new(kept);
        Ok(Self { path, kept })
    }

    /// When this very lease showed the signature first, if it did: a lease that begins again after a restart was
    /// in time then.
    pub(super) fn shown_at(&self, nonce: &str, lease: Lease, envelope: Digest) -> Option<i64> {
        let kept = self.kept();
        let used = kept.uses.get(nonce)?;
        let same = used.run == lease.run && used.attempt == lease.attempt;
        (same && used.came_by(envelope)).then_some(used.shown)
    }

    /// Binds a signature to its run, or refuses it, for a lease that is about to begin. Durable when this returns.
    pub(super) fn show(&self, shown: &Shown, now: i64) -> Result<(), UseError> {
        // What changed the world had begun: it goes on after a restart, or it comes a second time.
        let attempt = shown.lease.attempt;
        let spends = |used: &Use| used.spent == Some(attempt) && used.came_by(shown.envelope);
        let begun = self.kept().uses.get(&shown.nonce).is_some_and(spends);
        match begun {
            true => Err(UseError::Spent(attempt)),
            false => self.show_again(shown, now),
        }
    }

    /// The same for a lease that goes on after a restart.
    pub(super) fn show_again(&self, shown: &Shown, now: i64) -> Result<(), UseError> {
        let mut kept = self.kept();
        match kept.uses.get(&shown.nonce) {
            Some(used) if used.again(shown)? => return Ok(()),
            None if kept.forgotten.is_some_and(|end| shown.ends <= end) => {
                return Err(UseError::Forgotten);
            }
            Some(_) | None => {}
        }
        let mut after = kept.clone();
        after.forget(now);
        if after.uses.len() >= MOST {
            return Err(UseError::Full);
        }
        let fresh = Use {
            run: shown.lease.run,
            phase: shown.phase,
            attempt: shown.lease.attempt,
            envelope: Some(shown.envelope),
            shown: now,
            ends: shown.ends,
            spent: None,
        };
        after.uses.insert(shown.nonce.clone(), fresh);
        self.write(&after)?;
        *kept = after;
        Ok(())
    }

    /// The world is about to be changed by a signature that was shown: never again by another attempt. Durable when
    /// this returns.
    pub(super) fn spend(&self, shown: &Shown) -> Result<(), UseError> {
        let mut kept = self.kept();
        let lease = shown.lease;
        let Some(used) = kept.uses.get(&shown.nonce) else {
            // Only what was shown can be spent: it was removed with the file, by hand, while this process ran.
            return Err(UseError::OtherRun(lease.run));
        };
        match used.spent {
            Some(attempt) if attempt == lease.attempt => return Ok(()),
            Some(attempt) => return Err(UseError::Spent(attempt)),
            None if used.attempt != lease.attempt => return Err(UseError::Older(used.attempt)),
            None => {}
        }
        let mut after = kept.clone();
        if let Some(used) = after.uses.get_mut(&shown.nonce) {
            used.spent = Some(lease.attempt);
        }
        self.write(&after)?;
        *kept = after;
        Ok(())
    }

    fn write(&self, kept: &Kept) -> Result<(), UseError> {
        let bytes = serde_json::to_vec(kept).expect("invariant: plain data serialises");
        durable::replace(&self.path, &bytes).map_err(|source| UseError::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// As it is written now, or as older launchers wrote it: the uses alone.
    fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).or_else(|error| match serde_json::from_slice(bytes) {
            Ok(uses) => Ok(Self {
                uses,
                forgotten: None,
            }),
            Err(_) => Err(error),
        })
    }

    /// Drops uses whose signatures nobody could show any more, and remembers until when they could have been shown.
    fn forget(&mut self, now: i64) {
        let over = |used: &Use| used.ends.saturating_add(AFTERLIFE) < now;
        let gone = self.uses.values().filter(|used| over(used));
        let latest = gone.map(|used| used.ends).max();
        self.forgotten = self.forgotten.max(latest);
        self.uses.retain(|_, used| !over(used));
    }
}

impl Use {
    /// Whether the lease came in this envelope then.
    fn came_by(&self, envelope: Digest) -> bool {
        self.envelope
            .map_or(self.spent.is_none(), |kept| kept == envelope)
    }

    /// Whether this is the same lease again, as after a restart; a newer attempt of the run is not, and may follow.
    fn again(&self, shown: &Shown) -> Result<bool, UseError> {
        let lease = shown.lease;
        if self.run != lease.run || self.phase != shown.phase {
            return Err(UseError::OtherRun(self.run));
        }
        if self.attempt > lease.attempt {
            return Err(UseError::Older(self.attempt));
        }
        if self.attempt == lease.attempt {
            return match self.came_by(shown.envelope) {
                true => Ok(true),
                false => Err(UseError::Again(self.attempt)),
            };
        }
        match self.spent {
            Some(attempt) => Err(UseError::Spent(attempt)),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;
