//! Lays the stack's mounted files into the workspace.
//!
//! Takes relative paths and contents, gives files owned by the run's user. Never: a file outside of the
//! workspace, also not through a link that the repository brought along.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use gantry_protocol::Secret;
use rustix::fs::AtFlags;

use super::beneath::{self, Owner};

/// Largest mounted file in bytes.
pub const MAX_MOUNTED_FILE: usize = 2 << 20;

/// One file to lay.
#[derive(Clone, Debug)]
pub struct LaidFile<'a> {
    /// Path below the workspace.
    pub path: &'a str,
    /// Content, standard base64.
    pub content: &'a Secret,
}

/// Why a file can't be laid.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path does not stay in the workspace.
    #[error("mounted file `{path}` is refused: {rule}")]
    Path {
        /// The path.
        path: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The content can't be decoded or is too large.
    #[error("mounted file `{path}` is refused: {rule}")]
    Content {
        /// The path.
        path: String,
        /// What is wrong.
        rule: &'static str,
    },
    /// The disk, or something in the way.
    #[error("could not lay mounted file `{path}` (is a link, or a directory, in its place?)")]
    Io {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Lays `files` below `workspace` in order; a later one, and any of them over the repository's, wins.
///
/// # Errors
/// The first [`FileError`]; files before it are laid.
pub fn lay_files(workspace: &Path, files: &[LaidFile<'_>], owner: Owner) -> Result<(), FileError> {
    for file in files {
        let steps = check_path(file.path)?;
        let content = decode(file)?;
        lay(workspace, &steps, &content, owner).map_err(|source| FileError::Io {
            path: file.path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// The steps of a path that stays below the workspace.
///
/// # Errors
/// [`FileError::Path`].
pub fn check_path(path: &str) -> Result<Vec<&str>, FileError> {
    let refuse = |rule| {
        Err(FileError::Path {
            path: path.chars().take(200).collect(),
            rule,
        })
    };
    if path.is_empty() || path.len() > 1024 {
        return refuse("expected 1 to 1024 bytes");
    }
    if path.starts_with('/') {
        return refuse("expected a path relative to /mnt/workspace");
    }
    if path.chars().any(char::is_control) {
        return refuse("it has control characters");
    }
    let steps: Vec<&str> = path.split('/').collect();
    if steps
        .iter()
        .any(|step| !beneath::is_step(step.as_bytes()) || step.len() > 255)
    {
        return refuse("expected no empty, `.` or `..` segments");
    }
    // A repository's configuration would be obeyed by every git in the container.
    if steps.contains(&".git") {
        return refuse("`.git` is not a place for files");
    }
    Ok(steps)
}

fn decode(file: &LaidFile<'_>) -> Result<Vec<u8>, FileError> {
    use base64::Engine as _;
    let refuse = |rule| FileError::Content {
        path: file.path.to_owned(),
        rule,
    };
    let text = file.content.expose();
    if text.len() / 4 * 3 > MAX_MOUNTED_FILE + 2 {
        return Err(refuse("it is larger than 2 MiB"));
    }
    let content = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| refuse("its content is not base64"))?;
    match content.len() <= MAX_MOUNTED_FILE {
        true => Ok(content),
        false => Err(refuse("it is larger than 2 MiB")),
    }
}

fn lay(workspace: &Path, steps: &[&str], content: &[u8], owner: Owner) -> io::Result<()> {
    let (name, parents) = steps.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut dir: OwnedFd = beneath::open_trusted(workspace)?;
    for step in parents {
        dir = beneath::open_or_make_dir(&dir, step.as_bytes(), 0o755, owner)?;
    }
    match rustix::fs::unlinkat(&dir, *name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mut file = beneath::make_file(&dir, name.as_bytes(), 0o600, owner)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn laid(root: &Path, path: &str, content: &[u8]) -> Result<(), FileError> {
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        let content = Secret::new(content);
        let file = LaidFile {
            path,
            content: &content,
        };
        lay_files(root, &[file], Owner::own())
    }

    #[test]
    fn files_win_over_the_repositorys() {
        let temp = tempfile::tempdir().expect("temp dir");
        laid(temp.path(), "source/sub/x.tf", b"one").expect("laid");
        laid(temp.path(), "source/sub/x.tf", b"two").expect("laid");
        laid(temp.path(), "aws.json", b"").expect("laid");
        let read = |path: &str| std::fs::read_to_string(temp.path().join(path)).expect("file");
        assert_eq!(
            (read("source/sub/x.tf").as_str(), read("aws.json").as_str()),
            ("two", "")
        );
    }

    #[test]
    fn paths_that_leave_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../x",
            "a//x",
            "./x",
            "a/.",
            "a/",
            "a\0b",
            "a\nb",
            ".git/hooks/x",
            "source/.git/config",
        ] {
            assert!(
                matches!(check_path(path), Err(FileError::Path { .. })),
                "{path:?}"
            );
        }
        for path in [
            "x",
            "source/x",
            "a b/ü.txt",
            ".terraformrc",
            "..x",
            "x.git/y",
        ] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn links_of_the_repository_lead_nowhere() {
        let temp = tempfile::tempdir().expect("temp dir");
        let outside = tempfile::tempdir().expect("temp dir");
        std::fs::write(outside.path().join("precious"), "x").expect("file");
        std::os::unix::fs::symlink(outside.path(), temp.path().join("dir")).expect("link");
        std::os::unix::fs::symlink(outside.path().join("precious"), temp.path().join("file"))
            .expect("link");
        let error = laid(temp.path(), "dir/new", b"y").expect_err("through a link");
        assert!(error.to_string().contains("`dir/new`"), "{error}");
        laid(temp.path(), "file", b"y").expect("a link in the file's own place is replaced");
        let kept = std::fs::read_to_string(outside.path().join("precious")).expect("file");
        assert_eq!(kept, "x");
        assert!(!outside.path().join("new").exists());
    }

    #[test]
    fn contents_are_bounded() {
        let temp = tempfile::tempdir().expect("temp dir");
        laid(temp.path(), "fits", &vec![0; MAX_MOUNTED_FILE]).expect("just fits");
        let large = laid(temp.path(), "large", &vec![0; MAX_MOUNTED_FILE + 1]);
        assert!(matches!(large, Err(FileError::Content { .. })));
        let content = Secret::new("not base64!");
        let file = LaidFile {
            path: "x",
            content: &content,
        };
        let error = lay_files(temp.path(), &[file], Owner::own()).expect_err("no base64");
        assert!(
            !error.to_string().contains("not base64!"),
            "content is not told"
        );
    }
}
