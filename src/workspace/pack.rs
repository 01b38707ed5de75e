//! Packs a workspace into a stream.
//!
//! Takes a directory that a run has written, gives tar in zstd through any writer. Never: a followed link, a
//! read from anything but a regular file, or an entry that [`super::unpack()`] would refuse.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FileType;

use super::beneath;
use super::layout::{Bounds, LinkRule, MAX_DEPTH};

/// zstd level: fast enough to keep up with a disk.
const LEVEL: i32 = 3;

/// Most skipped paths that are told.
const MAX_TOLD: usize = 20;

/// Why a workspace can't be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// More than the bounds allow.
    #[error("the workspace has more than {} entries or {} bytes: clean up in an after_plan hook", bounds.entries, bounds.bytes)]
    TooLarge {
        /// The bounds.
        bounds: Bounds,
    },
    /// Deeper than any tool makes.
    #[error("the workspace is deeper than {MAX_DEPTH} directories at `{path}`")]
    TooDeep {
        /// Where.
        path: String,
    },
    /// Reading failed.
    #[error("could not pack `{path}` of the workspace")]
    Read {
        /// Which entry.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The receiving side failed.
    #[error("could not write the packed workspace")]
    Write(#[source] io::Error),
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PackReport {
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Sockets, FIFOs and devices, which are left out.
    pub special: u64,
    /// Links that leave the workspace, which are left out.
    pub outward_links: u64,
    /// Some of those that were left out, for the run's log.
    pub skipped: Vec<String>,
}

/// Packs everything below `root`, hidden entries too, in order of names, and finishes the stream.
///
/// # Errors
/// [`PackError`]; what was written by then is useless.
pub fn pack<W: Write>(root: &Path, bounds: Bounds, out: W) -> Result<(PackReport, W), PackError> {
    let dir = beneath::open_trusted(root).map_err(|source| PackError::Read {
        path: ".".to_owned(),
        source,
    })?;
    let encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(PackError::Write)?;
    let mut packer = Packer {
        tar: tar::Builder::new(encoder),
        report: PackReport::default(),
        bounds,
    };
    packer.directory(&dir, &mut Vec::new(), 0)?;
    let encoder = packer.tar.into_inner().map_err(PackError::Write)?;
    let out = encoder.finish().map_err(PackError::Write)?;
    Ok((packer.report, out))
}

struct Packer<W: Write> {
    tar: tar::Builder<W>,
    report: PackReport,
    bounds: Bounds,
}

impl<W: Write> Packer<W> {
    /// Packs what is in `dir`, whose path below the root is `path`.
    fn directory(
        &mut self,
        dir: &OwnedFd,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), PackError> {
        if depth > MAX_DEPTH {
            return Err(PackError::TooDeep { path: shown(path) });
        }
        let limit = usize::try_from(self.bounds.entries).unwrap_or(usize::MAX);
        let mut names = beneath::names(dir, limit).map_err(|source| read(path, source))?;
        names.sort_unstable();
        for name in names {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            self.entry(dir, &name, path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), PackError> {
        let stat = beneath::look(dir, name).map_err(|source| read(path, source))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = beneath::open_dir(dir, name).map_err(|source| read(path, source))?;
                self.count(0)?;
                let header = header(tar::EntryType::Directory, stat.st_mode, 0, 0);
                self.append(header, path, io::empty())?;
                self.directory(&inner, path, depth + 1)
            }
            FileType::RegularFile => self.file(dir, name, path),
            FileType::Symlink => self.link(dir, name, path, depth),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                self.report.special += 1;
                self.skip(path);
                Ok(())
            }
        }
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(), PackError> {
        let (file, size) = beneath::open_file(dir, name).map_err(|source| read(path, source))?;
        let metadata = file.metadata().map_err(|source| read(path, source))?;
        self.count(size)?;
        let mtime = u64::try_from(metadata.mtime()).unwrap_or(0);
        let header = header(tar::EntryType::Regular, metadata.mode(), size, mtime);
        // The header promises `size` bytes: exactly these are read, whatever the file does meanwhile.
        let mut exact = Exactly {
            inner: file,
            left: size,
        };
        self.append(header, path, &mut exact)?;
        match exact.left {
            0 => Ok(()),
            _ => Err(read(
                path,
                io::Error::other("it shrank while it was packed"),
            )),
        }
    }

    fn link(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        depth: usize,
    ) -> Result<(), PackError> {
        let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
        let target = rustix::fs::readlinkat(dir, name, Vec::new())
            .map_err(|error| read(path, error.into()))?;
        if LinkRule::of(target.as_bytes(), depth) == LinkRule::Leaves {
            self.report.outward_links += 1;
            self.skip(path);
            return Ok(());
        }
        self.count(0)?;
        let mut header = header(tar::EntryType::Symlink, 0o777, 0, 0);
        // Byte by byte: the crate's own `append_link` would tidy the target up.
        if header.set_link_name_literal(target.as_bytes()).is_err() {
            self.long_target(target.as_bytes())?;
        }
        self.append(header, path, io::empty())
    }

    /// GNU's way to carry a target over 100 bytes: an entry before the link's own.
    fn long_target(&mut self, target: &[u8]) -> Result<(), PackError> {
        let length = target.len() as u64 + 1;
        let mut long = header(tar::EntryType::GNULongLink, 0o644, length, 0);
        long.set_path("././@LongLink").map_err(PackError::Write)?;
        long.set_cksum();
        self.tar
            .append(&long, target.chain(&b"\0"[..]))
            .map_err(PackError::Write)
    }

    fn append(
        &mut self,
        mut header: tar::Header,
        path: &[u8],
        data: impl Read,
    ) -> Result<(), PackError> {
        self.tar
            .append_data(&mut header, as_path(path), data)
            .map_err(PackError::Write)
    }

    fn count(&mut self, bytes: u64) -> Result<(), PackError> {
        self.report.entries += 1;
        self.report.bytes = self.report.bytes.saturating_add(bytes);
        match self.bounds.hold(self.report.entries, self.report.bytes) {
            true => Ok(()),
            false => Err(PackError::TooLarge {
                bounds: self.bounds,
            }),
        }
    }

    fn skip(&mut self, path: &[u8]) {
        if self.report.skipped.len() < MAX_TOLD {
            self.report.skipped.push(shown(path));
        }
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64, mtime: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o777);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Gives at most so many bytes, and counts what is missing.
struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}

fn read(path: &[u8], source: io::Error) -> PackError {
    PackError::Read {
        path: shown(path),
        source,
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}
