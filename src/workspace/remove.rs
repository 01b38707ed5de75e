//! Removes a directory tree that hostile code has written.
//!
//! Takes a trusted parent handle and a name, gives what could not be removed. Never: a followed link, a
//! recursion or number of handles that the tree's depth decides, or an early stop at the first refusal.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags};

use super::beneath;

/// Directories deeper than this are first moved up to the top, so that few handles are open at a time.
const MAX_DEPTH: usize = 64;

/// Most leftovers that are told.
const MAX_TOLD: usize = 20;

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Path below the parent, for people (bytes that are no UTF-8 are replaced).
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Removes `name` in `parent` with all that is below; nothing there is fine.
pub fn remove_tree(parent: impl AsFd, name: &[u8]) -> Vec<Leftover> {
    let mut removal = Removal::default();
    let mut path = vec![shown(name)];
    match open_to_remove(&parent, name) {
        Ok(top) => {
            // Deep directories are moved to the top while it is swept; each round leaves less of them.
            loop {
                removal.leftovers.clear();
                let moved_before = removal.moved;
                removal.sweep(&top, &top, &mut path);
                if removal.moved == moved_before {
                    break;
                }
            }
            if removal.leftovers.is_empty() {
                let result = unlink(&parent, name, AtFlags::REMOVEDIR);
                removal.note(&path, result);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => {
            let result = unlink(&parent, name, AtFlags::empty());
            removal.note(&path, result);
        }
    }
    removal.leftovers
}

#[derive(Default)]
struct Removal {
    leftovers: Vec<Leftover>,
    moved: u64,
}

impl Removal {
    /// Removes everything in `dir`, whose path is `path`.
    fn sweep(&mut self, top: &OwnedFd, dir: &OwnedFd, path: &mut Vec<String>) {
        let names = match beneath::names(dir, usize::MAX) {
            Ok(names) => names,
            Err(error) => return self.note(path, Err(error)),
        };
        for name in names {
            path.push(shown(&name));
            let result = self.remove(top, dir, &name, path);
            self.note(path, result);
            path.pop();
        }
    }

    fn remove(
        &mut self,
        top: &OwnedFd,
        dir: &OwnedFd,
        name: &[u8],
        path: &mut Vec<String>,
    ) -> io::Result<()> {
        let stat = beneath::look(dir, name)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return unlink(dir, name, AtFlags::empty());
        }
        if path.len() > MAX_DEPTH {
            let raised = format!(".gantry-removing-{}", self.moved);
            let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
            rustix::fs::renameat(dir, name, top, raised)?;
            self.moved += 1;
            return Ok(());
        }
        let before = self.leftovers.len();
        self.sweep(top, &open_to_remove(dir, name)?, path);
        match self.leftovers.len() == before {
            true => unlink(dir, name, AtFlags::REMOVEDIR),
            // What keeps it from being empty is told already.
            false => Ok(()),
        }
    }

    fn note(&mut self, path: &[String], result: io::Result<()>) {
        let Err(error) = result else { return };
        if error.kind() != io::ErrorKind::NotFound && self.leftovers.len() < MAX_TOLD {
            self.leftovers.push(Leftover {
                path: path.join("/"),
                reason: error.to_string(),
            });
        }
    }
}

/// Opens a directory and makes sure that its owner may empty it: a process without root's rights has to lift
/// the modes that a run left.
fn open_to_remove(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let dir = match beneath::open_dir(&parent, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            lift(&parent, name)?;
            beneath::open_dir(&parent, name)?
        }
        other => other?,
    };
    // A refusal shows when its entries are removed.
    let _ = rustix::fs::fchmod(&dir, Mode::RWXU);
    Ok(dir)
}

/// Changes the mode of exactly this directory: by handle, so that a link in its place is not followed.
fn lift(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let handle = format!("/proc/self/fd/{}", dir.as_raw_fd());
    Ok(rustix::fs::chmod(handle, Mode::RWXU)?)
}

fn unlink(parent: impl AsFd, name: &[u8], flags: AtFlags) -> io::Result<()> {
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
    match rustix::fs::unlinkat(&parent, name, flags) {
        // Immutable or append-only: only root can have set that, and only root can lift it.
        Err(rustix::io::Errno::PERM) => {
            clear_flags(&parent, name);
            Ok(rustix::fs::unlinkat(&parent, name, flags)?)
        }
        other => Ok(other?),
    }
}

/// Failures show in the second attempt to unlink.
fn clear_flags(parent: impl AsFd, name: &std::ffi::OsStr) {
    let clear = |fd: &dyn AsFd| {
        if let Ok(flags) = rustix::fs::ioctl_getflags(fd.as_fd()) {
            let kept = flags - IFlags::IMMUTABLE - IFlags::APPEND;
            let _ = rustix::fs::ioctl_setflags(fd.as_fd(), kept);
        }
    };
    clear(&parent);
    let how = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY;
    if let Ok(entry) = rustix::fs::openat(&parent, name, how, Mode::empty()) {
        clear(&entry);
    }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn removed(temp: &Path, name: &str) -> Vec<Leftover> {
        let parent = beneath::open_trusted(temp).expect("temp dir");
        remove_tree(parent, name.as_bytes())
    }

    #[test]
    fn links_are_removed_and_their_targets_stay() {
        let temp = tempfile::tempdir().expect("temp dir");
        let outside = temp.path().join("outside");
        std::fs::create_dir(&outside).expect("dir");
        std::fs::write(outside.join("precious"), "x").expect("file");
        let tree = temp.path().join("tree");
        std::fs::create_dir_all(tree.join("sub")).expect("dirs");
        symlink(&outside, tree.join("sub/dir-link")).expect("link");
        symlink(outside.join("precious"), tree.join("file-link")).expect("link");
        symlink("nowhere", tree.join("dangling")).expect("link");
        std::os::unix::net::UnixListener::bind(tree.join("socket")).expect("socket");
        assert_eq!(removed(temp.path(), "tree"), []);
        assert!(!tree.exists() && outside.join("precious").exists());
    }

    #[test]
    fn a_link_in_the_trees_own_place_is_only_unlinked() {
        let temp = tempfile::tempdir().expect("temp dir");
        std::fs::create_dir(temp.path().join("outside")).expect("dir");
        std::fs::write(temp.path().join("outside/precious"), "x").expect("file");
        symlink("outside", temp.path().join("tree")).expect("link");
        assert_eq!(removed(temp.path(), "tree"), []);
        assert!(temp.path().join("outside/precious").exists());
        assert!(!temp.path().join("tree").is_symlink());
        assert_eq!(removed(temp.path(), "absent"), []);
    }

    #[test]
    fn odd_modes_and_names_do_not_stop_it() {
        let temp = tempfile::tempdir().expect("temp dir");
        let tree = temp.path().join("tree");
        std::fs::create_dir_all(tree.join("closed/inner")).expect("dirs");
        std::fs::write(tree.join("closed/-rf"), "x").expect("file");
        std::fs::write(tree.join("new\nline \u{1}"), "x").expect("file");
        for (path, mode) in [("closed/inner", 0o000), ("closed", 0o000), ("", 0o555)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(tree.join(path), mode).expect("mode");
        }
        assert_eq!(removed(temp.path(), "tree"), []);
        assert!(!tree.exists());
    }

    #[test]
    fn depth_costs_no_handles() {
        let temp = tempfile::tempdir().expect("temp dir");
        let root = beneath::open_trusted(temp.path()).expect("temp dir");
        let own = beneath::Owner::own();
        let mut dir = beneath::make_dir(&root, b"tree", 0o700, own).expect("dir");
        for _ in 0..3000 {
            dir = beneath::make_dir(&dir, b"deep", 0o700, own).expect("dir");
        }
        assert_eq!(removed(temp.path(), "tree"), []);
        assert!(!temp.path().join("tree").exists());
    }
}
