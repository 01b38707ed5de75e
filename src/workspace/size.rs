//! How large a tree is, without following anything.
//!
//! Takes a trusted path to a directory whose content is not trusted, gives entries and bytes on disk. Never:
//! an error for what vanishes meanwhile; a count beyond the bounds.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FileType;

use super::beneath;
use super::layout::{Bounds, MAX_DEPTH};

/// Entries and bytes (as files claim or disk blocks show, whichever is less, so that holes do not count) below
/// `root`; `None` beyond `bounds`. Nothing there is zero.
pub fn tree_size(root: &Path, bounds: Bounds) -> Option<(u64, u64)> {
    let mut total = (0, 0);
    let Ok(root) = beneath::open_trusted(root) else {
        return Some(total);
    };
    let fits = add(&root, bounds, &mut total, 0);
    fits.then_some(total)
}

fn add(dir: &OwnedFd, bounds: Bounds, total: &mut (u64, u64), depth: usize) -> bool {
    let limit = usize::try_from(bounds.entries).unwrap_or(usize::MAX);
    let names = match beneath::names(dir, limit) {
        Ok(names) => names,
        Err(error) => return error.kind() != std::io::ErrorKind::InvalidData,
    };
    for name in names {
        let Ok(stat) = beneath::look(dir, &name) else {
            continue;
        };
        let claimed = u64::try_from(stat.st_size).unwrap_or(0);
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        total.0 += 1;
        total.1 += claimed.min(blocks.saturating_mul(512));
        if total.0 > bounds.entries || total.1 > bounds.bytes {
            return false;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        if depth > MAX_DEPTH {
            return false;
        }
        if let Ok(inner) = beneath::open_dir(dir, &name)
            && !add(&inner, bounds, total, depth + 1)
        {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_bounds_hold() {
        let temp = tempfile::tempdir().expect("temp dir");
        std::fs::create_dir(temp.path().join("d")).expect("dir");
        std::fs::write(temp.path().join("d/x"), vec![1; 50_000]).expect("file");
        std::os::unix::fs::symlink("/", temp.path().join("root")).expect("link");
        let (entries, bytes) = tree_size(temp.path(), Bounds::default()).expect("small");
        assert_eq!(entries, 3);
        assert!((50_000..100_000).contains(&bytes), "{bytes}");
        let tight = |entries, bytes| tree_size(temp.path(), Bounds { entries, bytes });
        assert_eq!(tight(2, u64::MAX), None);
        assert_eq!(tight(100, 49_999), None);
        assert_eq!(
            tree_size(&temp.path().join("absent"), Bounds::default()),
            Some((0, 0))
        );
    }
}
