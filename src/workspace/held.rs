//! Files that a container's processes hold open after taking their names away: on disk, and in no directory.
//!
//! Takes a container's id, gives bytes, from /proc of the engine's host; where that can't be read it is nothing. Never:
//! a file opened, a process signalled.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::fs::FileType;

/// Descriptors looked at in one go: a process limit times a generous number each.
const MOST: usize = 200_000;

/// Bytes of nameless files that processes of `container` (its id, 64 hex digits) hold open.
pub fn held_bytes(container: &str) -> u64 {
    let mut seen = HashSet::new();
    let mut looked = 0;
    let mut bytes = 0_u64;
    for process in processes(Path::new("/proc"), container) {
        let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            looked += 1;
            if looked > MOST {
                return bytes;
            }
            // Follows the kernel's own link to the open file, not a path that anybody wrote.
            let Ok(stat) = rustix::fs::stat(descriptor.path()) else {
                continue;
            };
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            // Shared memory has no device below a number: it counts against the memory limit.
            let on_disk = rustix::fs::major(stat.st_dev) != 0;
            if is_file && on_disk && stat.st_nlink == 0 && seen.insert((stat.st_dev, stat.st_ino)) {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                bytes = bytes.saturating_add(blocks.saturating_mul(512));
            }
        }
    }
    bytes
}

fn processes(proc: &Path, container: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let is_process = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_in = |path: &std::path::PathBuf| {
        let groups = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        !container.is_empty() && groups.contains(container)
    };
    let paths = entries.map(|entry| entry.path());
    paths.filter(is_process).filter(is_in).collect()
}
