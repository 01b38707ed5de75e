//! How much disk hostile code has taken, as the file system counts it.
//!
//! Takes trusted paths to directories whose content is not trusted, gives bytes. Unlike [`super::tree_size`] it counts
//! blocks and not claims (space can be reserved beyond a file's end), and stops as soon as the answer is "too much".
//! Never: a followed link, a list of names held in memory, a walk that goes on after it was called off.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Dir, FileType};

use super::beneath;
use super::layout::MAX_DEPTH;

/// Every entry counts as this much at least: an empty file takes an inode and a place in its directory.
const ENTRY: u64 = 4096;

/// Bytes of the file system's unit of counting.
const BLOCK: u64 = 512;

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// All of it.
    Bytes(u64),
    /// The bound is passed; how far, nobody looked.
    Over,
    /// Directories nest deeper than any tool makes them, so nobody can say.
    TooDeep,
    /// Called off.
    Stopped,
}

/// Bytes on disk below `roots`, up to `most`; what is not there is nothing.
pub fn usage(roots: &[&Path], most: u64, stop: &AtomicBool) -> Usage {
    let mut walk = Walk {
        bytes: 0,
        most,
        stop,
        linked: HashSet::new(),
    };
    for root in roots {
        let Ok(root) = beneath::open_trusted(root) else {
            continue;
        };
        if let Err(end) = walk.below(root, 0) {
            return end;
        }
    }
    Usage::Bytes(walk.bytes)
}

struct Walk<'a> {
    bytes: u64,
    most: u64,
    stop: &'a AtomicBool,
    /// Files with several names, which are counted once.
    linked: HashSet<(u64, u64)>,
}

impl Walk<'_> {
    fn below(&mut self, dir: OwnedFd, depth: usize) -> Result<(), Usage> {
        if depth > MAX_DEPTH {
            return Err(Usage::TooDeep);
        }
        let Ok(entries) = Dir::new(dir) else {
            return Ok(());
        };
        let mut entries = entries;
        while let Some(entry) = entries.read() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Usage::Stopped);
            }
            // What vanishes meanwhile takes no space.
            let Ok(entry) = entry else { return Ok(()) };
            let name = entry.file_name().to_bytes();
            if !beneath::is_step(name) {
                continue;
            }
            let Ok(fd) = entries.fd() else { return Ok(()) };
            let Ok(stat) = beneath::look(fd, name) else {
                continue;
            };
            self.count(&stat)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                continue;
            }
            if let Ok(inner) = beneath::open_dir(fd, name) {
                self.below(inner, depth + 1)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, stat: &rustix::fs::Stat) -> Result<(), Usage> {
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if stat.st_nlink > 1 && !is_dir && !self.linked.insert((stat.st_dev, stat.st_ino)) {
            self.bytes = self.bytes.saturating_add(ENTRY);
        } else {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            let bytes = blocks.saturating_mul(BLOCK).max(ENTRY);
            self.bytes = self.bytes.saturating_add(bytes);
        }
        match self.bytes > self.most {
            true => Err(Usage::Over),
            false => Ok(()),
        }
    }
}

/// Bytes that the file system of `path` has left for everyone; `None` where it does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn measured(root: &Path, most: u64) -> Usage {
        usage(&[root], most, &AtomicBool::new(false))
    }

    fn bytes(root: &Path) -> u64 {
        match measured(root, u64::MAX) {
            Usage::Bytes(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_takes_space_counts_and_what_only_claims_does_not() {
        let temp = tempfile::tempdir().expect("temp dir");
        let root = temp.path();
        assert_eq!(bytes(root), 0);
        fs::write(root.join("full"), vec![1; 1 << 20]).expect("written");
        let full = bytes(root);
        assert!((1 << 20..(1 << 20) + 65536).contains(&full), "{full}");
        let sparse = fs::File::create(root.join("sparse")).expect("made");
        sparse.set_len(1 << 40).expect("a hole");
        assert_eq!(bytes(root), full + ENTRY);
        fs::hard_link(root.join("full"), root.join("again")).expect("linked");
        assert_eq!(bytes(root), full + 2 * ENTRY);
        symlink("/", root.join("root")).expect("linked");
        assert_eq!(bytes(root), full + 3 * ENTRY);
        // Reserved beyond the end: `ls` shows nothing of it.
        let reserved = fs::File::create(root.join("reserved")).expect("made");
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&reserved, flags, 0, 1 << 20).expect("reserved");
        assert!(bytes(root) >= full + (1 << 20));
    }

    #[test]
    fn a_walk_ends_at_its_bound_its_depth_and_its_stop() {
        let temp = tempfile::tempdir().expect("temp dir");
        for number in 0..100 {
            fs::write(temp.path().join(number.to_string()), "").expect("written");
        }
        assert_eq!(
            measured(temp.path(), 100 * ENTRY),
            Usage::Bytes(100 * ENTRY)
        );
        assert_eq!(measured(temp.path(), 100 * ENTRY - 1), Usage::Over);
        let stopped = usage(&[temp.path()], u64::MAX, &AtomicBool::new(true));
        assert_eq!(stopped, Usage::Stopped);
        assert_eq!(measured(&temp.path().join("absent"), 0), Usage::Bytes(0));
        let deep = temp.path().join("deep");
        fs::create_dir_all(deep.join(["d"; MAX_DEPTH + 2].join("/"))).expect("made");
        assert_eq!(measured(&deep, u64::MAX), Usage::TooDeep);
    }
}
