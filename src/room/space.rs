//! Free disk and inodes, and when they are too few.
//!
//! Takes paths, gives numbers and a verdict with hysteresis. Never: a verdict that flips at every byte.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Below this share of free inodes no run is taken, in percent.
const INODES: u64 = 2;

/// Once short, this share has to be free again.
const INODES_AGAIN: u64 = 3;

/// Once short, this much more than the need has to be free again, in percent.
const BYTES_AGAIN: u64 = 110;

/// A file system that runs need room on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `data` or `engine`.
    pub name: &'static str,
    /// A directory on it.
    pub path: PathBuf,
}

/// What is free there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Where.
    pub place: Place,
    /// Free bytes, as far as a process of this user may use them.
    pub free: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// All inodes; 0 on file systems that have no limit.
    pub inodes: u64,
}

/// What has to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes (`GANTRY_MIN_FREE_DISK_MB`).
    pub bytes: u64,
}

/// Too little room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Of bytes.
    Bytes {
        /// Where.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes that have to be free.
        need: u64,
    },
    /// Of inodes.
    Inodes {
        /// Where.
        path: PathBuf,
        /// Free inodes.
        free: u64,
        /// All inodes.
        all: u64,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { path, free, need } => write!(
                f,
                "`{}` has {} MiB free, and {} MiB have to be (GANTRY_MIN_FREE_DISK_MB)",
                path.display(),
                free >> 20,
                need >> 20
            ),
            Self::Inodes { path, free, all } => write!(
                f,
                "`{}` has {free} of {all} inodes free, and {INODES} % have to be",
                path.display()
            ),
        }
    }
}

impl Space {
    /// Looks at a place.
    ///
    /// # Errors
    /// What the file system gave.
    pub fn look(place: &Place) -> io::Result<Self> {
        let found = rustix::fs::statvfs(&place.path)?;
        Ok(Self {
            place: place.clone(),
            free: found.f_bavail.saturating_mul(found.f_frsize),
            free_inodes: found.f_favail,
            inodes: found.f_files,
        })
    }

    fn path(&self) -> &Path {
        &self.place.path
    }
}

impl Need {
    /// The first shortage. `was_short` asks for a little more than the need, so that a host at the limit does
    /// not open and close its intake all the time.
    pub fn unmet(self, spaces: &[Space], was_short: bool) -> Option<Shortage> {
        let (bytes, percent) = match was_short {
            true => (self.bytes / 100 * BYTES_AGAIN, INODES_AGAIN),
            false => (self.bytes, INODES),
        };
        spaces.iter().find_map(|space| {
            let path = || space.path().to_owned();
            if space.free < bytes {
                let (free, need) = (space.free, bytes);
                return Some(Shortage::Bytes {
                    path: path(),
                    free,
                    need,
                });
            }
            let few = space.inodes > 0 && space.free_inodes < space.inodes / 100 * percent;
            few.then(|| Shortage::Inodes {
                path: path(),
                free: space.free_inodes,
                all: space.inodes,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(free: u64, free_inodes: u64) -> Space {
        let place = Place {
            name: "data",
            path: "/data".into(),
        };
        Space {
            place,
            free,
            free_inodes,
            inodes: 10_000,
        }
    }

    #[test]
    fn a_shortage_begins_at_the_need_and_ends_a_little_above() {
        let need = Need { bytes: 1000 << 20 };
        let mib = |n: u64| n << 20;
        let rows = [
            (mib(999), 10_000, false, true),
            (mib(1000), 10_000, false, false),
            (mib(1000), 10_000, true, true),
            (mib(1099), 10_000, true, true),
            (mib(1101), 10_000, true, false),
            (mib(5000), 199, false, true),
            (mib(5000), 200, false, false),
            (mib(5000), 299, true, true),
            (mib(5000), 300, true, false),
        ];
        for (free, inodes, was_short, short) in rows {
            let found = need.unmet(&[space(free, inodes)], was_short);
            assert_eq!(
                found.is_some(),
                short,
                "{free} {inodes} {was_short}: {found:?}"
            );
        }
    }

    #[test]
    fn every_place_counts_and_the_text_names_it() {
        let need = Need { bytes: 10 << 20 };
        let mut other = space(5 << 20, 9_000);
        other.place.path = "/var/lib/docker".into();
        let found = need.unmet(&[space(50 << 20, 9_000), other], false);
        let text = found.expect("the second is short").to_string();
        assert!(
            text.contains("/var/lib/docker") && text.contains("GANTRY_MIN_FREE_DISK_MB"),
            "{text}"
        );
    }

    #[test]
    fn a_file_system_without_inodes_is_never_short_of_them() {
        let mut space = space(50 << 20, 0);
        space.inodes = 0;
        assert_eq!(Need { bytes: 1 }.unmet(&[space], false), None);
    }

    #[test]
    fn a_real_file_system_is_seen() {
        let temp = tempfile::tempdir().expect("temp dir");
        let place = Place {
            name: "data",
            path: temp.path().to_owned(),
        };
        let space = Space::look(&place).expect("a file system");
        assert!(space.free > 0, "{space:?}");
    }
}
