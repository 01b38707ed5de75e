//! Appends facts to the spool's `events` file.
//!
//! Takes [`Fact`]s in order, gives one JSON line each, written with one `write`. Must never happen here:
//! a line longer than the reader accepts, or a decisive fact that is not on disk when the call returns.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use gantry_protocol::socket::spool::{EVENTS, Fact, MAX_FACT, PhaseExit, WorkerEnd};
use rustix::fs::{FallocateFlags, OFlags};

use crate::spool::FILE_MODE;

/// Disk space in bytes that is set aside at start, so that a disk filled by logs still takes the facts.
const RESERVE: u64 = 256 << 10;

/// Longest free text in a fact, in bytes: far below [`MAX_FACT`] whatever JSON makes of it.
const MAX_TEXT: usize = 16 << 10;

/// Why a fact is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// The file can't be opened.
    #[error("could not open the spool's file of facts `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file can't be written.
    #[error("could not write a fact to the spool")]
    Write(#[source] std::io::Error),
    /// The fact can't be a line.
    #[error("a fact of {0} bytes is over the limit of {MAX_FACT}")]
    TooLong(usize),
    /// The fact is not JSON.
    #[error("could not encode a fact")]
    Encode(#[source] serde_json::Error),
}

/// The open file of facts.
pub struct Facts {
    file: File,
}

impl Facts {
    /// Opens or creates the file in the spool directory `dir`.
    ///
    /// # Errors
    /// [`FactError::Open`] when it can't be opened, also when it is a link.
    pub fn open(dir: &Path) -> Result<Self, FactError> {
        let path = dir.join(EVENTS);
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .custom_flags(flags.bits().cast_signed())
            .open(&path);
        let file = opened.map_err(|source| FactError::Open { path, source })?;
        // Not every file system can; then the facts compete for space like everything else.
        let _ = rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVE);
        Ok(Self { file })
    }

    /// Appends `fact`. Decisive ones are on disk when this returns.
    ///
    /// # Errors
    /// [`FactError`] when the fact could not be written.
    pub fn record(&mut self, fact: Fact) -> Result<(), FactError> {
        let fact = bounded(fact);
        let mut line = serde_json::to_vec(&fact).map_err(FactError::Encode)?;
        line.push(b'\n');
        if line.len() > MAX_FACT {
            return Err(FactError::TooLong(line.len()));
        }
        self.file.write_all(&line).map_err(FactError::Write)?;
        match fact {
            Fact::Entered { .. } => Ok(()),
            Fact::Left { .. } | Fact::Planned(_) | Fact::Finished(_) => {
                self.file.sync_data().map_err(FactError::Write)
            }
        }
    }
}

/// The fact with every free text cut to [`MAX_TEXT`].
fn bounded(fact: Fact) -> Fact {
    match fact {
        Fact::Left { section, end, exit } => Fact::Left {
            section,
            end,
            exit: bounded_exit(exit),
        },
        Fact::Finished(WorkerEnd::Failed { kind, message }) => Fact::Finished(WorkerEnd::Failed {
            kind,
            message: cut(message),
        }),
        Fact::Finished(WorkerEnd::Stopped { message }) => Fact::Finished(WorkerEnd::Stopped {
            message: cut(message),
        }),
        other => other,
    }
}

fn bounded_exit(exit: PhaseExit) -> PhaseExit {
    match exit {
        PhaseExit::NotStarted { what, reason } => PhaseExit::NotStarted {
            what,
            reason: cut(reason),
        },
        other => other,
    }
}

/// `text`, cut at a character boundary.
fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use gantry_protocol::socket::{FailureKind, Phase};

    use super::*;

    #[test]
    fn facts_come_back_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let given = [
            Fact::Entered {
                section: 1,
                phase: Phase::Init,
            },
            Fact::Left {
                section: 1,
                end: 7,
                exit: PhaseExit::Ok,
            },
            Fact::Finished(WorkerEnd::Succeeded),
        ];
        let mut facts = Facts::open(dir.path()).unwrap();
        for fact in given.clone() {
            facts.record(fact).unwrap();
        }
        let text = std::fs::read_to_string(dir.path().join(EVENTS)).unwrap();
        let read: Vec<Fact> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(read, given);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let dir = tempfile::tempdir().unwrap();
        let message = "\u{1}ä".repeat(400_000);
        let end = WorkerEnd::Failed {
            kind: FailureKind::Denied,
            message,
        };
        Facts::open(dir.path())
            .unwrap()
            .record(Fact::Finished(end))
            .unwrap();
        let line = std::fs::read(dir.path().join(EVENTS)).unwrap();
        assert!(line.len() < MAX_FACT);
        let Fact::Finished(WorkerEnd::Failed { message, .. }) =
            serde_json::from_slice(&line).unwrap()
        else {
            panic!("the fact came back as another");
        };
        assert!(message.ends_with('…'));
    }

    #[test]
    fn a_link_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join(EVENTS)).unwrap();
        assert!(matches!(
            Facts::open(dir.path()),
            Err(FactError::Open { .. })
        ));
    }
}
