//! Copies of packages: trees of plain files, named by their content.
//!
//! Takes directories below trusted roots, gives copies and the hash that Go's `dirhash` (and so a tool's lock
//! file, as `h1:`) gives them. Never: a followed link, a device, a file outside.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use gantry_protocol::Digest;
use rustix::fs::FileType;
use sha2::Digest as _;

use super::beneath::{self, Owner};
use super::layout::Bounds;

/// Deepest directory of a package.
const MAX_DEPTH: usize = 32;

/// Copies the package at `steps` below `root` (which a run wrote) to `to`, a directory of ours that is made;
/// gives its content's hash.
///
/// # Errors
/// What the disk says; also for links and everything else that is no plain file or directory.
pub fn take_package(root: &Path, steps: &[&str], to: &Path, bounds: Bounds) -> io::Result<Digest> {
    let mut from = beneath::open_trusted(root)?;
    for step in steps {
        from = beneath::open_dir(&from, step.as_bytes())?;
    }
    let to = make_trusted(to)?;
    Copy::new(Owner::own(), bounds).all(&from, &to)
}

/// Copies a package of ours from `from` to `steps` below `root`, owned by `owner`; gives its content's hash.
///
/// # Errors
/// What the disk says; also when something is there already.
pub fn lay_package(
    from: &Path,
    root: &Path,
    steps: &[&str],
    owner: Owner,
    bounds: Bounds,
) -> io::Result<Digest> {
    let from = beneath::open_trusted(from)?;
    let (last, parents) = steps.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut to = beneath::open_trusted(root)?;
    for step in parents {
        to = beneath::open_or_make_dir(&to, step.as_bytes(), 0o755, owner)?;
    }
    let to = beneath::make_dir(&to, last.as_bytes(), 0o755, owner)?;
    Copy::new(owner, bounds).all(&from, &to)
}

/// Reads a plain file of at most `limit` bytes at `steps` below `root`, which a run may have written.
///
/// # Errors
/// What the disk says; also for links.
pub fn read_plain(root: &Path, steps: &[&str], limit: u64) -> io::Result<Vec<u8>> {
    let (last, parents) = steps.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut dir = beneath::open_trusted(root)?;
    for step in parents {
        dir = beneath::open_dir(&dir, step.as_bytes())?;
    }
    let (file, length) = beneath::open_file(&dir, last.as_bytes())?;
    if length > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn make_trusted(path: &Path) -> io::Result<OwnedFd> {
    std::fs::create_dir(path)?;
    beneath::open_trusted(path)
}

struct Copy {
    owner: Owner,
    bounds: Bounds,
    entries: u64,
    bytes: u64,
    /// Path and SHA-256 of each file.
    files: Vec<(String, Digest)>,
}

impl Copy {
    fn new(owner: Owner, bounds: Bounds) -> Self {
        Self {
            owner,
            bounds,
            entries: 0,
            bytes: 0,
            files: Vec::new(),
        }
    }

    fn all(mut self, from: &OwnedFd, to: &OwnedFd) -> io::Result<Digest> {
        self.directory(from, to, "", 0)?;
        self.files.sort_unstable();
        let mut hash = sha2::Sha256::new();
        for (path, digest) in &self.files {
            hash.update(format!("{}  {path}\n", digest.hex()));
        }
        Ok(Digest::from_bytes(hash.finalize().into()))
    }

    fn directory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        path: &str,
        depth: usize,
    ) -> io::Result<()> {
        let limit = usize::try_from(self.bounds.entries).unwrap_or(usize::MAX);
        for name in beneath::names(from, limit)? {
            self.entries += 1;
            if depth > MAX_DEPTH || self.entries > self.bounds.entries {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let text = std::str::from_utf8(&name).map_err(|_| io::ErrorKind::InvalidData)?;
            if text.contains('\n') {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let path = match path {
                "" => text.to_owned(),
                path => format!("{path}/{text}"),
            };
            match FileType::from_raw_mode(beneath::look(from, &name)?.st_mode) {
                FileType::Directory => {
                    let inner = beneath::open_dir(from, &name)?;
                    let made = beneath::make_dir(to, &name, 0o755, self.owner)?;
                    self.directory(&inner, &made, &path, depth + 1)?;
                }
                FileType::RegularFile => self.file(from, to, &name, path)?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &[u8], path: String) -> io::Result<()> {
        let (mut source, _) = beneath::open_file(from, name)?;
        let executable = source.metadata()?.mode() & 0o111 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let mut target = beneath::make_file(to, name, mode, self.owner)?;
        let mut hash = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = source.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            self.bytes += length as u64;
            if self.bytes > self.bounds.bytes {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            hash.update(&buffer[..length]);
            target.write_all(&buffer[..length])?;
        }
        let digest = Digest::from_bytes(hash.finalize().into());
        self.files.push((path, digest));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn package(root: &Path) {
        let dir = root.join("a/b");
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(dir.join("terraform-provider-x"), "x").unwrap();
        fs::set_permissions(
            dir.join("terraform-provider-x"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        fs::write(dir.join("sub.txt"), "s").unwrap();
        fs::write(dir.join("sub/LICENSE"), "l").unwrap();
    }

    /// What Go's `dirhash.Hash1` does, by the system's own tools.
    fn by_tools(dir: &Path) -> Digest {
        let script = "find . -type f | cut -c3- | LC_ALL=C sort | xargs sha256sum | sha256sum";
        let said = std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(dir)
            .output()
            .unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        format!("sha256:{}", text.split(' ').next().unwrap())
            .parse()
            .unwrap()
    }

    #[test]
    fn there_and_back_the_hash_stays() {
        let temp = tempfile::tempdir().unwrap();
        package(temp.path());
        let kept = temp.path().join("kept");
        let taken = take_package(temp.path(), &["a", "b"], &kept, Bounds::default()).unwrap();
        assert_eq!(taken, by_tools(&temp.path().join("a/b")));
        let laid = lay_package(
            &kept,
            temp.path(),
            &["c", "d"],
            Owner::own(),
            Bounds::default(),
        );
        assert_eq!(laid.unwrap(), taken);
        let mode = |name: &str| {
            let path = temp.path().join("c/d").join(name);
            fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(
            (mode("terraform-provider-x"), mode("sub/LICENSE")),
            (0o755, 0o644)
        );
        let again = lay_package(
            &kept,
            temp.path(),
            &["c", "d"],
            Owner::own(),
            Bounds::default(),
        );
        assert!(again.is_err(), "what is there is left alone");
    }

    #[test]
    fn links_and_pipes_are_not_taken() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("secret"), "s").unwrap();
        for number in 0..3 {
            let root = temp.path().join(number.to_string());
            package(&root);
            match number {
                0 => symlink(temp.path().join("secret"), root.join("a/b/link")).unwrap(),
                1 => {
                    fs::rename(root.join("a"), root.join("real")).unwrap();
                    symlink("real", root.join("a")).unwrap();
                }
                _ => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    root.join("a/b/pipe"),
                    FileType::Fifo,
                    rustix::fs::Mode::RWXU,
                    0,
                )
                .unwrap(),
            }
            let to = temp.path().join(format!("to-{number}"));
            assert!(
                take_package(&root, &["a", "b"], &to, Bounds::default()).is_err(),
                "{number}"
            );
        }
        let target = temp.path().join("target");
        fs::create_dir(&target).unwrap();
        symlink(temp.path(), target.join("out")).unwrap();
        package(temp.path());
        let from = temp.path().join("a/b");
        let laid = lay_package(
            &from,
            &target,
            &["out", "x"],
            Owner::own(),
            Bounds::default(),
        );
        assert!(laid.is_err() && !temp.path().join("x").exists());
        assert!(read_plain(&target, &["out", "secret"], 10).is_err());
        assert_eq!(read_plain(temp.path(), &["secret"], 10).unwrap(), b"s");
        assert!(read_plain(temp.path(), &["secret"], 0).is_err());
    }

    #[test]
    fn bounds_hold() {
        let temp = tempfile::tempdir().unwrap();
        package(temp.path());
        for (number, (entries, bytes)) in [(3, 100), (100, 2)].into_iter().enumerate() {
            let to = temp.path().join(format!("to-{number}"));
            let bounds = Bounds { entries, bytes };
            assert!(take_package(temp.path(), &["a", "b"], &to, bounds).is_err());
        }
    }
}
