//! Finds programs without a shell and without libc's help.
//!
//! Takes a name and the value of `PATH`, gives the path of an executable file. Must never happen here:
//! a hit in a relative `PATH` entry, which would mean the checkout.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// The first executable file called `name` in the absolute directories of `path`, then `fallback`.
pub fn find(name: &str, path: Option<&OsStr>, fallback: Option<&Path>) -> Option<PathBuf> {
    let directories = path.map(std::env::split_paths).into_iter().flatten();
    let in_path = directories
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name));
    in_path
        .chain(fallback.map(Path::to_owned))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_executable_wins() {
        let root = tempfile::tempdir().unwrap();
        let file = |dir: &str, mode: u32| {
            let path = root.path().join(dir).join("tool");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (plain, first, second) = (file("plain", 0o644), file("a", 0o755), file("b", 0o755));
        std::fs::create_dir_all(root.path().join("dir/tool")).unwrap();
        let dirs = |names: &[&str]| {
            std::env::join_paths(names.iter().map(|n| root.path().join(n))).unwrap()
        };
        let table = [
            (
                dirs(&["plain", "dir", "none", "a", "b"]),
                None,
                Some(&first),
            ),
            (dirs(&["b", "a"]), None, Some(&second)),
            (dirs(&["plain"]), None, None),
            (dirs(&["plain"]), Some(&second), Some(&second)),
            (dirs(&["plain"]), Some(&plain), None),
            ("a:.:".into(), None, None),
        ];
        for (path, fallback, expected) in table {
            let found = find("tool", Some(&path), fallback.map(PathBuf::as_path));
            assert_eq!(found.as_ref(), expected, "{}", path.display());
        }
        assert_eq!(find("tool", None, None), None);
    }
}
