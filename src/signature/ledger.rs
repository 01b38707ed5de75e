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
use gantry_protocol::{Attempt, RunId};
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
    uses: Mutex<BTreeMap<String, Use>>,
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
        let uses = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| LedgerError::Damaged {
                path: path.clone(),
                source,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(LedgerError::Read { path, source }),
        };
        let uses = Mutex::new(uses);
        Ok(Self { path, uses })
    }

    /// When this very lease showed the signature first, if it did: a lease that begins again after a restart was
    /// in time then.
    pub(super) fn shown_at(&self, nonce: &str, lease: Lease) -> Option<i64> {
        let uses = self.uses();
        let same = |kept: &&Use| kept.run == lease.run && kept.attempt == lease.attempt;
        uses.get(nonce).filter(same).map(|kept| kept.shown)
    }

    /// Binds a signature to its run, or refuses it. Durable when this returns.
    pub(super) fn show(&self, shown: &Shown, now: i64) -> Result<(), UseError> {
        let mut uses = self.uses();
        let (lease, before) = (shown.lease, uses.get(&shown.nonce));
        let spent = before.and_then(|kept| kept.spent);
        match before {
            Some(kept) if kept.run != lease.run || kept.phase != shown.phase => {
                return Err(UseError::OtherRun(kept.run));
            }
            Some(kept) if kept.attempt > lease.attempt => {
                return Err(UseError::Older(kept.attempt));
            }
            Some(kept) if kept.attempt == lease.attempt => return Ok(()),
            _ => {}
        }
        if let Some(attempt) = spent {
            return Err(UseError::Spent(attempt));
        }
        let mut after = uses.clone();
        after.retain(|_, kept| kept.ends.saturating_add(AFTERLIFE) >= now);
        if after.len() >= MOST {
            return Err(UseError::Full);
        }
        let fresh = Use {
            run: lease.run,
            phase: shown.phase,
            attempt: lease.attempt,
            shown: now,
            ends: shown.ends,
            spent: None,
        };
        after.insert(shown.nonce.clone(), fresh);
        self.write(&after)?;
        *uses = after;
        Ok(())
    }

    /// The world is about to be changed by a signature that was shown: never again by another attempt. Durable when
    /// this returns.
    pub(super) fn spend(&self, shown: &Shown) -> Result<(), UseError> {
        let mut uses = self.uses();
        let lease = shown.lease;
        let Some(kept) = uses.get(&shown.nonce) else {
            // Only what was shown can be spent: it was removed with the file, by hand, while this process ran.
            return Err(UseError::OtherRun(lease.run));
        };
        match kept.spent {
            Some(attempt) if attempt == lease.attempt => return Ok(()),
            Some(attempt) => return Err(UseError::Spent(attempt)),
            None if kept.attempt != lease.attempt => return Err(UseError::Older(kept.attempt)),
            None => {}
        }
        let mut after = uses.clone();
        if let Some(kept) = after.get_mut(&shown.nonce) {
            kept.spent = Some(lease.attempt);
        }
        self.write(&after)?;
        *uses = after;
        Ok(())
    }

    fn write(&self, uses: &BTreeMap<String, Use>) -> Result<(), UseError> {
        let bytes = serde_json::to_vec(uses).expect("invariant: plain data serialises");
        durable::replace(&self.path, &bytes).map_err(|source| UseError::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn uses(&self) -> MutexGuard<'_, BTreeMap<String, Use>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn shown(nonce: &str, run: char, attempt: u32, phase: SignedPhase) -> Shown {
        Shown {
            nonce: nonce.into(),
            lease: Lease {
                run: format!("01JB8M6Q7N4T0V2X5Y8Z9A1B2{run}").parse().unwrap(),
                attempt: Attempt(attempt),
            },
            phase,
            ends: NOW + 3600,
        }
    }

    #[test]
    fn a_plan_s_signature_is_one_run_s_and_holds_for_its_next_attempt_also_after_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let plan = |run, attempt| shown("n", run, attempt, SignedPhase::Plan);
        Ledger::open(temp.path())
            .unwrap()
            .show(&plan('A', 1), NOW)
            .unwrap();
        let ledger = Ledger::open(temp.path()).unwrap();
        assert_eq!(ledger.shown_at("n", plan('A', 1).lease), Some(NOW));
        assert_eq!(ledger.shown_at("n", plan('A', 2).lease), None);
        // Again after a restart, and as the next attempt.
        ledger.show(&plan('A', 1), NOW + 1).unwrap();
        ledger.show(&plan('A', 3), NOW + 1).unwrap();
        let older = ledger.show(&plan('A', 2), NOW + 1).unwrap_err();
        assert!(matches!(older, UseError::Older(Attempt(3))), "{older}");
        let other = ledger.show(&plan('B', 4), NOW + 1).unwrap_err();
        assert!(matches!(other, UseError::OtherRun(_)), "{other}");
        let apply = ledger.show(&shown("n", 'A', 4, SignedPhase::Apply), NOW);
        assert!(matches!(apply, Err(UseError::OtherRun(_))), "{apply:?}");
    }

    #[test]
    fn the_world_changes_once_by_a_signature_also_after_a_restart() {
        for phase in [
            SignedPhase::Apply,
            SignedPhase::Task,
            SignedPhase::PlanAndApply,
        ] {
            let temp = tempfile::tempdir().unwrap();
            let lease = |attempt| shown("n", 'A', attempt, phase);
            let ledger = Ledger::open(temp.path()).unwrap();
            // An attempt that got no grant changed nothing: the next one may.
            ledger.show(&lease(1), NOW).unwrap();
            ledger.show(&lease(2), NOW).unwrap();
            assert!(matches!(ledger.spend(&lease(1)), Err(UseError::Older(_))));
            ledger.spend(&lease(2)).unwrap();
            drop(ledger);
            let ledger = Ledger::open(temp.path()).unwrap();
            // The same attempt goes on after a restart.
            ledger.show(&lease(2), NOW).unwrap();
            ledger.spend(&lease(2)).unwrap();
            let again = ledger.show(&lease(3), NOW).unwrap_err();
            assert!(matches!(again, UseError::Spent(Attempt(2))), "{again}");
            assert!(matches!(ledger.spend(&lease(3)), Err(UseError::Spent(_))));
        }
    }

    #[test]
    fn a_use_is_kept_until_its_signature_is_long_over() {
        let temp = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(temp.path()).unwrap();
        let first = shown("first", 'A', 1, SignedPhase::Plan);
        ledger.show(&first, NOW).unwrap();
        let over = first.ends + AFTERLIFE;
        ledger
            .show(&shown("second", 'B', 1, SignedPhase::Plan), over)
            .unwrap();
        assert!(ledger.shown_at("first", first.lease).is_some());
        ledger
            .show(&shown("third", 'C', 1, SignedPhase::Plan), over + 1)
            .unwrap();
        assert_eq!(ledger.shown_at("first", first.lease), None);
    }

    #[test]
    fn what_can_t_be_written_is_refused_and_what_is_damaged_is_not_ignored() {
        let temp = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(temp.path()).unwrap();
        std::fs::create_dir(temp.path().join("signatures.new")).unwrap();
        let one = shown("n", 'A', 1, SignedPhase::Plan);
        let refused = ledger.show(&one, NOW).unwrap_err();
        assert!(matches!(refused, UseError::Write { .. }), "{refused}");
        assert_eq!(ledger.shown_at("n", one.lease), None);
        for text in ["", "{torn", "[]", r#"{"n": {"run": "x"}}"#] {
            std::fs::write(temp.path().join(FILE), text).unwrap();
            let error = Ledger::open(temp.path()).unwrap_err();
            assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn a_full_ledger_takes_nothing_new() {
        let temp = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(temp.path()).unwrap();
        let one = |nonce: String| shown(&nonce, 'A', 1, SignedPhase::Plan);
        let kept = Use {
            run: one(String::new()).lease.run,
            phase: SignedPhase::Plan,
            attempt: Attempt(1),
            shown: NOW,
            ends: NOW + 3600,
            spent: None,
        };
        let uses = (0..MOST).map(|n| (format!("n{n}"), kept.clone()));
        *ledger.uses() = uses.collect();
        let refused = ledger.show(&one("new".into()), NOW).unwrap_err();
        assert!(matches!(refused, UseError::Full), "{refused}");
        // What it knows goes on.
        ledger.show(&one("n7".into()), NOW).unwrap();
    }
}
