//! Files that only their owner may read: logins, tokens, keys.
//!
//! Takes a path and a content, gives a file of mode 0600. Never: a moment in which others could read it, and
//! never an existing file overwritten where a new one is asked for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A new private file that holds nothing yet; removed again unless [`NewFile::finish`] is reached.
pub struct NewFile {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl NewFile {
    /// Fails when something stands at `path` already.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = private().create_new(true).open(path);
        let file = file.with_context(|| match path.exists() {
            true => format!("`{}` exists already; name a new file", path.display()),
            false => format!("cannot create `{}`", path.display()),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            finished: false,
        })
    }

    /// Writes the content and keeps the file.
    pub fn finish(mut self, content: &[u8]) -> anyhow::Result<()> {
        let written = self
            .file
            .write_all(content)
            .and_then(|()| self.file.sync_all());
        written.with_context(|| format!("cannot write `{}`", self.path.display()))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the directory and its parents with mode 0700, and takes everyone else's rights if it exists.
pub fn private_dir(dir: &Path) -> anyhow::Result<()> {
    dir_of_mode(dir, 0o700)
}

/// Like [`private_dir`] with mode 0711: others can pass through to what is open to them, and list nothing.
pub fn passable_dir(dir: &Path) -> anyhow::Result<()> {
    dir_of_mode(dir, 0o711)
}

fn dir_of_mode(dir: &Path, mode: u32) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
    made.and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("cannot make the directory `{}`", dir.display()))
}

/// Replaces `path` as a whole: readers see the old content or the new one.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let part = path.with_extension("part");
        let _ = fs::remove_file(&part);
        let mut file = private().create_new(true).open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_file_is_private_and_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        NewFile::create(&path).unwrap().finish(b"secret").unwrap();
        assert_eq!(mode(&path), 0o600);
        let error = NewFile::create(&path).err().unwrap().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }

    #[test]
    fn an_unfinished_file_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        drop(NewFile::create(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_replaced_file_and_its_directory_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        private_dir(&inner).unwrap();
        let path = inner.join("config.json");
        fs::write(&path, "old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!((mode(&inner), mode(&path)), (0o700, 0o600));
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
