//! Unpacks a workspace, believing nothing.
//!
//! Takes the stream that [`super::pack()`] wrote (or that someone made to look like it), gives the tree.
//! Never: an entry outside of the root, through a link or over another entry; a device, FIFO or hard link;
//! more entries or bytes than the bounds; a memory use that the archive decides.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, Timespec, Timestamps};

use super::beneath::{self, Owner};
use super::layout::{Bounds, LinkRule, MAX_DEPTH};

/// Longest path or link target, as the kernel has it.
const MAX_PATH: u64 = 4096;

/// 128 MiB of history: what level 3 of the encoder needs with room, and a bound on memory.
const WINDOW_LOG: u32 = 27;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// An entry breaks a rule. What was unpacked before it is still there.
    #[error("the packed workspace is refused at `{path}`: {rule}")]
    Refused {
        /// The entry.
        path: String,
        /// The rule.
        rule: &'static str,
    },
    /// More than the bounds allow.
    #[error("the packed workspace is refused: more than {} entries or {} bytes", bounds.entries, bounds.bytes)]
    TooLarge {
        /// The bounds.
        bounds: Bounds,
    },
    /// Reading the stream failed, or it is no archive.
    #[error("the packed workspace can't be read")]
    Read(#[source] io::Error),
    /// The disk said no.
    #[error("could not unpack `{path}`")]
    Write {
        /// The entry.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UnpackReport {
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Unpacks into the empty directory `root`, everything owned by `owner`.
///
/// # Errors
/// [`UnpackError`]; remove the directory then.
pub fn unpack(
    root: &Path,
    owner: Owner,
    bounds: Bounds,
    input: impl Read,
) -> Result<UnpackReport, UnpackError> {
    let mut decoder = zstd::stream::read::Decoder::new(input).map_err(UnpackError::Read)?;
    decoder
        .window_log_max(WINDOW_LOG)
        .map_err(UnpackError::Read)?;
    // Headers and long names come on top of the files' bytes.
    let most = bounds
        .entries
        .saturating_mul(16 << 10)
        .saturating_add(bounds.bytes);
    let mut archive = tar::Archive::new(decoder.take(most.saturating_add(1 << 20)));
    let root = beneath::open_trusted(root).map_err(|source| UnpackError::Write {
        path: ".".to_owned(),
        source,
    })?;
    let mut unpacker = Unpacker {
        owner,
        bounds,
        report: UnpackReport::default(),
        dirs: HashMap::from([(Vec::new(), (root, 0))]),
        modes: Vec::new(),
        long: Long::default(),
    };
    // Raw: long names come as entries of their own, so that their size can be checked before they are read.
    for entry in archive.entries().map_err(UnpackError::Read)?.raw(true) {
        unpacker.entry(entry.map_err(UnpackError::Read)?)?;
    }
    unpacker.finish()
}

#[derive(Default)]
struct Long {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

struct Unpacker {
    owner: Owner,
    bounds: Bounds,
    report: UnpackReport,
    /// Directories of this archive with their depth, by path: entries may only be laid into these. Only the
    /// ones on the way to the last entry are kept open.
    dirs: HashMap<Vec<u8>, (OwnedFd, usize)>,
    /// Directories' modes, set at the end: one without write permission still has to be filled.
    modes: Vec<(Vec<u8>, u32)>,
    long: Long,
}

impl Unpacker {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        match kind {
            tar::EntryType::GNULongName => {
                self.long.path = Some(long_text(&mut entry)?);
                return Ok(());
            }
            tar::EntryType::GNULongLink => {
                self.long.target = Some(long_text(&mut entry)?);
                return Ok(());
            }
            _ => {}
        }
        let long = std::mem::take(&mut self.long);
        let path = long
            .path
            .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = path.strip_suffix(b"/").unwrap_or(&path).to_vec();
        let refuse = |rule| refused(&path, rule);
        let (parent, name) = split(&path).map_err(refuse)?;
        self.close_all_but_parents_of(&path);
        let size = entry.header().size().map_err(UnpackError::Read)?;
        self.count(if kind.is_file() { size } else { 0 })?;
        let Some((dir, depth)) = self.dirs.get(parent) else {
            return Err(refuse("its directory did not come before it, or is none"));
        };
        let depth = *depth;
        match kind {
            tar::EntryType::Directory => self.directory(&path, parent, name, depth, mode(&entry)?),
            tar::EntryType::Regular => file(dir, name, self.owner, &mut entry, size)
                .map_err(|source| exists_or_io(&path, source)),
            tar::EntryType::Symlink => {
                let target = long
                    .target
                    .or_else(|| entry.header().link_name_bytes().map(Into::into));
                let target = target.unwrap_or_default();
                if LinkRule::of(&target, depth) == LinkRule::Leaves {
                    return Err(refuse("it is a link that leaves the workspace"));
                }
                beneath::make_link(dir, name, &target, self.owner)
                    .map_err(|source| exists_or_io(&path, source))
            }
            tar::EntryType::Link => Err(refuse("it is a hard link")),
            tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => {
                Err(refuse("it is a device or FIFO"))
            }
            _ => Err(refuse("it is neither file, directory nor symbolic link")),
        }
    }

    fn directory(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        depth: usize,
        mode: u32,
    ) -> Result<(), UnpackError> {
        if depth >= MAX_DEPTH {
            return Err(refused(path, "it is too deep"));
        }
        let made = match self.dirs.get(parent) {
            Some((dir, _)) => beneath::make_dir(dir, name, 0o700, self.owner),
            None => return Err(refused(path, "its directory did not come before it")),
        };
        let dir = made.map_err(|source| exists_or_io(path, source))?;
        self.modes.push((path.to_vec(), mode));
        self.dirs.insert(path.to_vec(), (dir, depth + 1));
        Ok(())
    }

    /// The archive is in order of names within directories, so a directory that the path is not below is
    /// complete. An archive in another order is refused as "did not come before".
    fn close_all_but_parents_of(&mut self, path: &[u8]) {
        self.dirs.retain(|dir, _| {
            dir.is_empty()
                || path
                    .strip_prefix(dir.as_slice())
                    .is_some_and(|r| r.starts_with(b"/"))
        });
    }

    fn count(&mut self, bytes: u64) -> Result<(), UnpackError> {
        self.report.entries += 1;
        self.report.bytes = self.report.bytes.saturating_add(bytes);
        match self.bounds.hold(self.report.entries, self.report.bytes) {
            true => Ok(()),
            false => Err(UnpackError::TooLarge {
                bounds: self.bounds,
            }),
        }
    }

    /// Sets the directories' modes, the deepest first, each reached again without following anything.
    fn finish(mut self) -> Result<UnpackReport, UnpackError> {
        if self.long.path.is_some() || self.long.target.is_some() {
            return Err(refused(b"", "it ends after a long name"));
        }
        let root = self.dirs.remove(&Vec::new());
        let (root, _) = root.expect("invariant: the root is never closed before the end");
        for (path, mode) in self.modes.iter().rev() {
            set_mode(&root, path, *mode).map_err(|source| UnpackError::Write {
                path: shown(path),
                source,
            })?;
        }
        Ok(self.report)
    }
}

fn set_mode(root: &OwnedFd, path: &[u8], mode: u32) -> io::Result<()> {
    let mut steps = path.split(|byte| *byte == b'/');
    let first = steps.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut dir = beneath::open_dir(root, first)?;
    for step in steps {
        dir = beneath::open_dir(&dir, step)?;
    }
    Ok(rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?)
}

fn file<R: Read>(
    dir: impl AsFd,
    name: &[u8],
    owner: Owner,
    entry: &mut tar::Entry<'_, R>,
    size: u64,
) -> io::Result<()> {
    let mode = entry.header().mode()? & 0o777;
    let seconds = i64::try_from(entry.header().mtime()?).unwrap_or(0);
    let mut file = beneath::make_file(dir, name, mode, owner)?;
    if io::copy(entry, &mut file)? != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::futimens(&file, &times)?)
}

fn mode<R: Read>(entry: &tar::Entry<'_, R>) -> Result<u32, UnpackError> {
    Ok(entry.header().mode().map_err(UnpackError::Read)? & 0o777)
}

fn long_text<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    if entry.header().size().map_err(UnpackError::Read)? > MAX_PATH + 1 {
        return Err(refused(b"", "a name in it is longer than 4096 bytes"));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(UnpackError::Read)?;
    if text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

/// Parent path (empty for the root) and last step.
fn split(path: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if path.starts_with(b"/") {
        return Err("its path is absolute");
    }
    if path.len() as u64 > MAX_PATH || !path.split(|byte| *byte == b'/').all(beneath::is_step) {
        return Err("its path has empty, `.` or `..` segments");
    }
    Ok(match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    })
}

fn exists_or_io(path: &[u8], source: io::Error) -> UnpackError {
    match source.kind() {
        io::ErrorKind::AlreadyExists => refused(path, "it comes twice"),
        io::ErrorKind::UnexpectedEof => UnpackError::Read(source),
        _ => UnpackError::Write {
            path: shown(path),
            source,
        },
    }
}

fn refused(path: &[u8], rule: &'static str) -> UnpackError {
    UnpackError::Refused {
        path: shown(path),
        rule,
    }
}

fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.escape_debug().take(300).collect()
}

#[cfg(test)]
#[path = "unpack/tests.rs"]
mod tests;
