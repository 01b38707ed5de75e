//! What this launcher has promised, on disk before it is promised: one file per lease.
//!
//! Takes sealed runs and the steps taken for them. Gives them back after a restart. Lives outside the run
//! directory, so that nothing a run writes can reach it. Never: a step taken before its entry is synced,
//! an opened payload on disk, an envelope accepted twice.

mod entry;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gantry_protocol::control::run::Lease;

pub use entry::{Entry, GrantRecord, Progress, SessionRecord, Started};

use crate::durable;

/// The journal of one data directory.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
}

/// Why the journal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("journal file `{path}`; free space or repair the data directory's file system")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("journal file `{path}` is damaged; the run it names has to be looked at by a person")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// This lease was accepted before: a replay.
    #[error("run {}, attempt {}, was accepted by this launcher before; the envelope is a replay", .0.run, .0.attempt)]
    Replay(Lease),
}

impl Journal {
    /// Opens (or makes) the journal below the data directory.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn open(data: &Path) -> Result<Self, JournalError> {
        let dir = data.join("journal");
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir);
        made.map_err(|source| JournalError::Io {
            path: dir.clone(),
            source,
        })?;
        Ok(Self { dir })
    }

    /// Writes a lease down for the first time.
    ///
    /// # Errors
    /// [`JournalError::Replay`] when it was accepted before, also when it has ended since.
    pub fn accept(&self, entry: &Entry) -> Result<(), JournalError> {
        let lease = entry.lease;
        if self.open_path(lease).exists() || self.ended_path(lease).exists() {
            return Err(JournalError::Replay(lease));
        }
        self.write(entry)
    }

    /// Writes a lease's next step down.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn write(&self, entry: &Entry) -> Result<(), JournalError> {
        let path = self.open_path(entry.lease);
        let bytes = serde_json::to_vec(entry).expect("invariant: plain data serialises");
        durable::replace(&path, &bytes).map_err(|source| JournalError::Io { path, source })
    }

    /// Forgets a lease whose result was taken, and remembers only that it was accepted, until `until`
    /// (Unix seconds): the time after which its envelope is refused as expired anyway.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn end(&self, lease: Lease, until: i64) -> Result<(), JournalError> {
        let ended = self.ended_path(lease);
        let wrap = |path: PathBuf| move |source| JournalError::Io { path, source };
        durable::replace(&ended, until.to_string().as_bytes()).map_err(wrap(ended))?;
        let open = self.open_path(lease);
        durable::remove(&open).map_err(wrap(open))
    }

    /// Every lease that has not ended.
    ///
    /// # Errors
    /// [`JournalError::Io`] or [`JournalError::Damaged`].
    pub fn entries(&self) -> Result<Vec<Entry>, JournalError> {
        let paths = self.paths("json")?;
        paths.into_iter().map(Self::read).collect()
    }

    /// How many leases have not ended.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn unfinished(&self) -> Result<usize, JournalError> {
        Ok(self.paths("json")?.len())
    }

    /// Forgets ended leases whose envelopes have expired.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn forget_expired(&self, now: i64) -> Result<(), JournalError> {
        for path in self.paths("ended")? {
            let until = fs::read_to_string(&path)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            if until.is_none_or(|until: i64| until < now) {
                durable::remove(&path).map_err(|source| JournalError::Io { path, source })?;
            }
        }
        Ok(())
    }

    /// Forgets everything: the identity that accepted it is gone.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn discard(&self) -> Result<usize, JournalError> {
        let paths = [self.paths("json")?, self.paths("ended")?].concat();
        for path in &paths {
            durable::remove(path).map_err(|source| JournalError::Io {
                path: path.clone(),
                source,
            })?;
        }
        Ok(paths.len())
    }

    fn read(path: PathBuf) -> Result<Entry, JournalError> {
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| JournalError::Damaged { path, source }),
            Err(source) => Err(JournalError::Io { path, source }),
        }
    }

    fn paths(&self, extension: &str) -> Result<Vec<PathBuf>, JournalError> {
        let wrap = |source| JournalError::Io {
            path: self.dir.clone(),
            source,
        };
        let mut paths = Vec::new();
        for item in fs::read_dir(&self.dir).map_err(wrap)? {
            let path = item.map_err(wrap)?.path();
            if path.extension().is_some_and(|found| found == extension) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn open_path(&self, lease: Lease) -> PathBuf {
        self.dir
            .join(format!("{}-{}.json", lease.run, lease.attempt))
    }

    fn ended_path(&self, lease: Lease) -> PathBuf {
        self.dir
            .join(format!("{}-{}.ended", lease.run, lease.attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_protocol::control::inbox::SealedRun;
    use gantry_protocol::ids::Attempt;

    fn entry(attempt: u32) -> Entry {
        let run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
        let sealed = SealedRun {
            envelope: "e".into(),
            sealed: "s".into(),
        };
        Entry::accepted(
            Lease {
                run,
                attempt: Attempt(attempt),
            },
            sealed,
            100,
        )
    }

    #[test]
    fn a_lease_is_accepted_once_also_after_it_ended() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal::open(temp.path()).unwrap();
        let first = entry(1);
        journal.accept(&first).unwrap();
        assert!(matches!(
            journal.accept(&first),
            Err(JournalError::Replay(_))
        ));
        journal.end(first.lease, 500).unwrap();
        assert!(matches!(
            journal.accept(&first),
            Err(JournalError::Replay(_))
        ));
        journal.accept(&entry(2)).unwrap();
        assert_eq!(journal.entries().unwrap(), [entry(2)]);
    }

    #[test]
    fn tombstones_go_when_the_envelope_has_expired() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal::open(temp.path()).unwrap();
        journal.accept(&entry(1)).unwrap();
        journal.end(entry(1).lease, 500).unwrap();
        journal.forget_expired(500).unwrap();
        assert!(journal.accept(&entry(1)).is_err());
        journal.forget_expired(501).unwrap();
        assert!(journal.accept(&entry(1)).is_ok());
    }

    #[test]
    fn a_damaged_file_is_named_not_skipped() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal::open(temp.path()).unwrap();
        journal.accept(&entry(1)).unwrap();
        let path = journal.open_path(entry(1).lease);
        fs::write(&path, b"{torn").unwrap();
        let error = journal.entries().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()));
        assert_eq!(journal.discard().unwrap(), 1);
        assert!(journal.entries().unwrap().is_empty());
    }
}
