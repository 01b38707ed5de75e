//! Steps below a directory handle, one name at a time.
//!
//! Takes a handle and single names; gives handles. Never: a name with a slash, `.` or `..`, and never a
//! followed link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::engine::Remap;

/// Owner of what a run may write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Host uid.
    pub uid: u32,
    /// Host gid.
    pub gid: u32,
}

impl Owner {
    /// Host ids of the container's user `id`: shifted by the engine's remap when this process may give files
    /// away (root), else this process's own.
    pub fn of_runs(id: u32, remap: Option<Remap>) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::own();
        }
        match remap {
            Some(remap) => Self {
                uid: remap.uid + id,
                gid: remap.gid + id,
            },
            None => Self { uid: id, gid: id },
        }
    }

    /// This process's own ids.
    pub fn own() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn ids(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }
}

const DIR: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

/// Whether `name` is a single step.
pub(super) fn is_step(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

fn checked(name: &[u8]) -> io::Result<&OsStr> {
    match is_step(name) {
        true => Ok(OsStr::from_bytes(name)),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Opens directory `name` in `parent`; a link is an error.
pub(super) fn open_dir(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        parent,
        checked(name)?,
        DIR,
        Mode::empty(),
    )?)
}

/// Opens a directory by path, the one time where one is trusted: the launcher's own.
pub(super) fn open_trusted(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIR, Mode::empty())?)
}

/// Makes directory `name`, owned by `owner` with `mode`; one that is there already is an error.
pub(super) fn make_dir(
    parent: impl AsFd,
    name: &[u8],
    mode: u32,
    owner: Owner,
) -> io::Result<OwnedFd> {
    rustix::fs::mkdirat(&parent, checked(name)?, Mode::RWXU)?;
    let dir = open_dir(&parent, name)?;
    give(&dir, mode, owner)?;
    Ok(dir)
}

/// Opens directory `name`, making it if there is nothing.
pub(super) fn open_or_make_dir(
    parent: impl AsFd,
    name: &[u8],
    mode: u32,
    owner: Owner,
) -> io::Result<OwnedFd> {
    match open_dir(&parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(&parent, name, mode, owner)
        }
        other => other,
    }
}

/// Makes regular file `name`, owned by `owner` with `mode`; anything that is there already is an error.
pub(super) fn make_file(
    parent: impl AsFd,
    name: &[u8],
    mode: u32,
    owner: Owner,
) -> io::Result<std::fs::File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    let file = rustix::fs::openat(parent, checked(name)?, flags, Mode::RUSR | Mode::WUSR)?;
    give(&file, mode, owner)?;
    Ok(file.into())
}

/// Makes a symbolic link, owned by `owner`.
pub(super) fn make_link(
    parent: impl AsFd,
    name: &[u8],
    target: &[u8],
    owner: Owner,
) -> io::Result<()> {
    let name = checked(name)?;
    rustix::fs::symlinkat(OsStr::from_bytes(target), &parent, name)?;
    if owner != Owner::own() {
        let (uid, gid) = owner.ids();
        rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Opens regular file `name` for reading. Anything else is an error, and a FIFO does not block.
pub(super) fn open_file(parent: impl AsFd, name: &[u8]) -> io::Result<(std::fs::File, u64)> {
    let flags =
        OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NOCTTY;
    let file: std::fs::File =
        rustix::fs::openat(parent, checked(name)?, flags, Mode::empty())?.into();
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a regular file",
        )),
    }
}

/// Owner first: giving a file away clears some mode bits.
fn give(fd: impl AsFd, mode: u32, owner: Owner) -> io::Result<()> {
    if owner != Owner::own() {
        let (uid, gid) = owner.ids();
        rustix::fs::fchown(&fd, uid, gid)?;
    }
    Ok(rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode & 0o1777))?)
}

/// Names in a directory, without `.` and `..`, at most `limit`.
pub(super) fn names(dir: impl AsFd, limit: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !is_step(name) {
            continue;
        }
        if found.len() == limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "too many entries",
            ));
        }
        found.push(name.to_vec());
    }
    Ok(found)
}

/// Type and mode of `name`, a link itself rather than its target.
pub(super) fn look(parent: impl AsFd, name: &[u8]) -> io::Result<rustix::fs::Stat> {
    Ok(rustix::fs::statat(
        parent,
        checked(name)?,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}
