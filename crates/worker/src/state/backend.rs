//! The override file that makes the tool keep its state with the server.
//!
//! Takes the directory in which the tool runs, gives the file in it. Must never happen here: an address
//! or a credential in the file (they are in the environment, so a saved plan pins neither), or losing a
//! file of the user's that has the same name.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The file's name: the tool merges `*_override.tf` last, so it wins over the code's own backend.
pub const FILE: &str = "gantry_backend_override.tf";

const CONTENT: &str = "# Written by Gantry for this run: the server keeps the state.
terraform {
  backend \"http\" {}
}
";

/// Why the override is not there.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The name is taken.
    #[error("`{}` is not Gantry's: the stack's state is managed, so this name is reserved; rename the file", .0.display())]
    Taken(PathBuf),
    /// It can't be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Makes sure that `directory` has the override.
///
/// # Errors
/// [`BackendError`] when a file that is not ours has its name, or it can't be written.
pub fn ensure(directory: &Path) -> Result<(), BackendError> {
    let path = directory.join(FILE);
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
    let mut create = OpenOptions::new();
    create
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(flags);
    match create.open(&path) {
        Ok(mut file) => file.write_all(CONTENT.as_bytes()).map_err(|source| {
            // Half a file would look like somebody else's the next time.
            let _ = std::fs::remove_file(&path);
            BackendError::Write { path, source }
        }),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => keep(path, flags),
        Err(source) => Err(BackendError::Write { path, source }),
    }
}

/// The file exists: it stays if it is the one that a former lease of this run wrote.
fn keep(path: PathBuf, flags: i32) -> Result<(), BackendError> {
    let mut found = String::new();
    let limit = CONTENT.len() as u64 + 1;
    let read = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&path);
    match read.and_then(|file| file.take(limit).read_to_string(&mut found)) {
        Ok(_) if found == CONTENT => Ok(()),
        _ => Err(BackendError::Taken(path)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_written_once_and_recognised() {
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path()).unwrap();
        ensure(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(path).unwrap(), CONTENT);
    }

    #[test]
    fn a_file_of_the_users_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for content in ["", "locals {}", &format!("{CONTENT}\n")] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(ensure(dir.path()), Err(BackendError::Taken(_))));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(ensure(dir.path()), Err(BackendError::Taken(_))));
        let gone = dir.path().join("none");
        assert!(matches!(ensure(&gone), Err(BackendError::Write { .. })));
    }
}
