//! Writes log bytes into the spool's segment files.
//!
//! Takes raw bytes of the open section, gives files named by section and offset. Must never happen here:
//! an error that stops the tool (a full disk loses bytes, and the gap in the offsets says how many), a
//! byte written twice, a segment file opened through a link that hostile code laid.

mod ledger;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_protocol::socket::spool::segment_name;
use ledger::Ledger;
use rustix::fs::OFlags;

use crate::link::Bell;

/// Permission bits of everything in the spool: its group may read.
pub const FILE_MODE: u32 = 0o640;

/// The log half of the spool. One section is open at a time; appending from any thread is allowed.
pub struct Spool {
    inner: Mutex<Inner>,
    bell: Arc<Bell>,
}

struct Inner {
    dir: PathBuf,
    ledger: Ledger,
    section: u32,
    /// Raw bytes of the section so far, lost ones included.
    offset: u64,
    current: Option<Current>,
    last_byte: Option<u8>,
}

/// The segment that grows.
struct Current {
    file: File,
    len: u64,
}

impl Spool {
    /// A spool in `dir` that holds at most `budget` unacknowledged bytes and rings `bell` as it grows.
    pub fn new(dir: &Path, budget: u64, bell: Arc<Bell>) -> Self {
        let inner = Inner {
            dir: dir.to_owned(),
            ledger: Ledger::new(budget),
            section: 0,
            offset: 0,
            current: None,
            last_byte: None,
        };
        Self {
            inner: Mutex::new(inner),
            bell,
        }
    }

    /// Begins section `section`; the one before grows no more.
    pub fn begin(&self, section: u32) {
        let mut inner = self.lock();
        inner.section = section;
        inner.offset = 0;
        inner.current = None;
        inner.last_byte = None;
    }

    /// Appends `bytes` to the open section. Bytes that can't be stored leave a gap.
    pub fn append(&self, bytes: &[u8]) {
        self.lock().append(bytes);
        self.bell.ring();
    }

    /// Appends a line of the worker's own, marked as such and on a line of its own.
    pub fn note(&self, text: &str) {
        let mut inner = self.lock();
        let feed = match inner.last_byte {
            None | Some(b'\n') => "",
            Some(_) => "\n",
        };
        inner.append(format!("{feed}[gantry] {text}\n").as_bytes());
        drop(inner);
        self.bell.ring();
    }

    /// Makes the open section durable and gives its raw length in bytes.
    pub fn finish(&self) -> u64 {
        let mut inner = self.lock();
        if let Some(current) = inner.current.take() {
            // A disk that can't sync has its bytes counted by the launcher, which sees the length.
            let _ = current.file.sync_data();
        }
        inner.offset
    }

    /// Leaves a file for the launcher, on disk when this returns; one of that name is replaced.
    ///
    /// # Errors
    /// When it can't be written, or something that is no file stands there.
    pub fn leave(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.lock().dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut open = OpenOptions::new();
        let open = open.write(true).create_new(true).mode(FILE_MODE);
        let mut file = open.custom_flags(flags.bits().cast_signed()).open(&path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    /// Bytes of `section` below `offset` are stored by the server.
    pub fn acknowledge(&self, section: u32, offset: u64) {
        self.lock().ledger.acknowledge(section, offset);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, mut bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.last_byte = Some(*last);
        }
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(written) => {
                    self.offset += written as u64;
                    bytes = bytes.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // Lost, visibly: the next segment's name starts after them.
                    self.current = None;
                    self.offset += bytes.len() as u64;
                    break;
                }
            }
        }
        self.drop_excess();
    }

    /// Writes as much as fits into the current segment, which it opens when there is none.
    fn write_some(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let size = self.ledger.segment_size();
        if self.current.as_ref().is_some_and(|c| c.len >= size) {
            self.current = None;
        }
        if self.current.is_none() {
            return self.open_with(bytes, size);
        }
        let Some(current) = self.current.as_mut() else {
            return Ok(0);
        };
        let room = usize::try_from(size - current.len).unwrap_or(usize::MAX);
        let written = write_once(&mut current.file, bytes, room)?;
        current.len += written as u64;
        self.ledger.grow(written as u64);
        Ok(written)
    }

    /// Opens the next segment with its first bytes; a file that can't take any is removed again.
    fn open_with(&mut self, bytes: &[u8], size: u64) -> std::io::Result<usize> {
        let path = self.dir.join(segment_name(self.section, self.offset));
        let mut file = create(&path)?;
        let room = usize::try_from(size).unwrap_or(usize::MAX);
        let written = match write_once(&mut file, bytes, room) {
            Ok(written) => written,
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                return Err(error);
            }
        };
        self.ledger.open(self.section, self.offset, written as u64);
        self.current = Some(Current {
            file,
            len: written as u64,
        });
        Ok(written)
    }

    fn drop_excess(&mut self) {
        while let Some(segment) = self.ledger.excess() {
            let name = segment_name(segment.section, segment.start);
            // Already gone when the launcher unlinked it before its acknowledgement arrived here.
            let _ = std::fs::remove_file(self.dir.join(name));
        }
    }
}

/// One write of at most `room` bytes. A write of nothing is an error, so that no caller loops on it.
fn write_once(file: &mut File, bytes: &[u8], room: usize) -> std::io::Result<usize> {
    let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
    match file.write(part)? {
        0 => Err(ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// Creates a segment that did not exist. A name that somebody else took is removed first: nothing but
/// this process writes segments.
fn create(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || {
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(FILE_MODE)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    };
    match open() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            open()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gantry_protocol::socket::spool::parse_segment_name;

    use super::*;

    fn spool(dir: &Path, budget: u64) -> Spool {
        let spool = Spool::new(dir, budget, Arc::new(Bell::default()));
        spool.begin(1);
        spool
    }

    /// Offset and content of every segment.
    fn segments(dir: &Path) -> BTreeMap<u64, Vec<u8>> {
        let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries
            .filter_map(|entry| {
                let (_, start) = parse_segment_name(entry.file_name().to_str()?)?;
                Some((start, std::fs::read(entry.path()).unwrap()))
            })
            .collect()
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn bytes_come_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let bytes = pattern(300_000);
        for chunk in bytes.chunks(70_001) {
            spool.append(chunk);
        }
        assert_eq!(spool.finish(), 300_000);
        let found = segments(dir.path());
        assert_eq!(
            found.keys().copied().collect::<Vec<_>>(),
            [0, 131_072, 262_144]
        );
        assert_eq!(found.into_values().flatten().collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn over_budget_head_and_tail_stay() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 80_000);
        let bytes = pattern(1_000_000);
        spool.append(&bytes);
        assert_eq!(spool.finish(), 1_000_000);
        let found = segments(dir.path());
        let held: usize = found.values().map(Vec::len).sum();
        assert!((60_000..=80_000).contains(&held), "{held} bytes held");
        for (start, content) in &found {
            let start = usize::try_from(*start).unwrap();
            assert_eq!(content, &bytes[start..start + content.len()]);
        }
        assert!(found.contains_key(&0), "the head is there");
        let (start, tail) = found.last_key_value().unwrap();
        assert_eq!(usize::try_from(*start).unwrap() + tail.len(), 1_000_000);
    }

    #[test]
    fn acknowledged_bytes_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 80_000);
        for part in 1..=20u64 {
            spool.append(&pattern(50_000));
            spool.acknowledge(1, part * 50_000);
        }
        let held: usize = segments(dir.path()).values().map(Vec::len).sum();
        assert_eq!(held, 1_000_000, "the launcher unlinks, not the worker");
    }

    #[test]
    fn what_cannot_be_stored_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("spool");
        std::fs::create_dir(&inside).unwrap();
        let spool = spool(&inside, 1 << 20);
        spool.append(b"one");
        std::fs::rename(&inside, dir.path().join("away")).unwrap();
        spool.append(&pattern(200_000));
        std::fs::create_dir(&inside).unwrap();
        spool.append(b"three");
        assert_eq!(spool.finish(), 200_008);
        let found = segments(&inside);
        assert_eq!(found, BTreeMap::from([(200_003, b"three".to_vec())]));
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "keep").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(segment_name(1, 0))).unwrap();
        spool(dir.path(), 1 << 20).append(b"log");
        assert_eq!(std::fs::read(&victim).unwrap(), b"keep");
        assert_eq!(segments(dir.path())[&0], b"log");
    }

    #[test]
    fn notes_stand_on_their_own_line() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        spool.note("first");
        spool.append(b"half a line");
        spool.note("second");
        assert_eq!(
            segments(dir.path())[&0],
            b"[gantry] first\nhalf a line\n[gantry] second\n"
        );
    }
}
