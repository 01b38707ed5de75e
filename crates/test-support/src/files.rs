//! Files and disks: searching, copying, filling.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::find_program;
use crate::server::output;

/// Names of files below `dir` that contain `needle`. Links are not followed.
pub fn contains_bytes(dir: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("list a directory") {
        let entry = entry.expect("list a directory");
        let kind = entry.file_type().expect("the kind of a file");
        if kind.is_dir() {
            found.extend(contains_bytes(&entry.path(), needle));
        } else if kind.is_file() {
            let content = fs::read(entry.path()).expect("read a file");
            if content.windows(needle.len()).any(|part| part == needle) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Copies a directory as a disk image would: everything as it is.
pub fn copy_tree(from: &Path, to: &Path) {
    output(
        Command::new(find_program("cp", "coreutils"))
            .arg("-a")
            .arg(from)
            .arg(to),
    );
}

/// A small file system in memory that can be filled.
#[derive(Debug)]
pub struct LoopDisk {
    path: PathBuf,
}

impl LoopDisk {
    /// Mounts one of `megabytes` on the new directory `path`.
    ///
    /// # Panics
    /// When mounting fails: it needs root.
    pub fn mount(path: &Path, megabytes: u32) -> Self {
        fs::create_dir_all(path).expect("make the mount point");
        let size = format!("size={megabytes}m,mode=0700");
        let mut mount = Command::new(find_program("mount", "mount"));
        output(mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path));
        Self {
            path: path.to_owned(),
        }
    }

    /// Takes every free byte.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file = fs::File::create(self.filler()).expect("make the filling file");
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Gives the bytes back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("remove the filling file");
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Lazily: a failed test may leave something open on it.
        let mut umount = Command::new(find_program("umount", "mount"));
        let _ = umount.arg("--lazy").arg(&self.path).status();
    }
}
