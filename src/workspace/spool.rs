//! The launcher's eyes on the spool that the worker writes.
//!
//! Takes the spool directory and cursors, gives facts and log bytes by raw offset. Never: a followed link, a
//! blocking open, a line or read without a bound, or trust in what a file's name says about its length.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use gantry_protocol::socket::Fact;
use gantry_protocol::socket::spool::{EVENTS, MAX_FACT, SEGMENT, parse_segment_name, segment_name};

use super::beneath;

/// Most files that a spool may hold: far above any budget, and a bound on a hostile listing.
const MAX_FILES: usize = 100_000;

/// No section is longer, in bytes: who names a larger offset is no worker, and nobody's sums overflow.
pub const MAX_OFFSET: u64 = 1 << 50;

/// Most bytes of facts that one call reads.
const FACTS_AT_ONCE: usize = 4 * MAX_FACT;

/// Why a spool can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk said no, or something else than a file stands in a file's place.
    #[error("could not read `{name}` of the run's spool")]
    Io {
        /// Which file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A line that no worker writes.
    #[error("the run's spool is not what a worker writes: {rule} at byte {at} of `{EVENTS}`")]
    Fact {
        /// Where.
        at: u64,
        /// What is wrong.
        rule: &'static str,
    },
}

/// What there is at an offset of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing from here to there: the worker dropped it to stay within its budget.
    Gap {
        /// The offset asked for.
        from: u64,
        /// Where bytes are again.
        to: u64,
    },
    /// Nothing yet, or the end: [`Fact::Left`] tells the section's length.
    Nothing,
}

/// A segment that is being read; its handle outlives an unlink.
#[derive(Debug)]
struct Open {
    section: u32,
    start: u64,
    file: File,
}

/// Reader of one run's spool.
#[derive(Debug)]
pub struct SpoolReader {
    dir: OwnedFd,
    events: Option<File>,
    cursor: u64,
    open: Option<Open>,
    /// Known starts by section.
    segments: BTreeMap<u32, BTreeSet<u64>>,
}

impl SpoolReader {
    /// Opens the spool at `path`; `cursor` is 0, or [`SpoolReader::cursor`] of an earlier process.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn open(path: &Path, cursor: u64) -> Result<Self, SpoolError> {
        let dir = beneath::open_trusted(path).map_err(|source| io_error(".", source))?;
        Ok(Self {
            dir,
            events: None,
            cursor,
            open: None,
            segments: BTreeMap::new(),
        })
    }

    /// Bytes of facts that have been given out: where a later process continues.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The complete facts after the cursor, in order; call again until it gives none.
    ///
    /// # Errors
    /// [`SpoolError::Fact`] for a line that is too long or no fact. The cursor then stands before that line,
    /// after all facts of earlier calls.
    pub fn facts(&mut self) -> Result<Vec<Fact>, SpoolError> {
        let events = |source| io_error(EVENTS, source);
        if self.events.is_none() {
            self.events = match beneath::open_file(&self.dir, EVENTS.as_bytes()) {
                Ok((file, _)) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(events(error)),
            };
        }
        let Some(file) = &self.events else {
            return Ok(Vec::new());
        };
        let bytes = read_at(file, self.cursor, FACTS_AT_ONCE).map_err(events)?;
        let mut facts = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            match parse_fact(&rest[..end]) {
                Ok(fact) => facts.push(fact),
                // What came before is given out first; the next call begins here.
                Err(_) if !facts.is_empty() => return Ok(facts),
                Err(rule) => return Err(self.bad_fact(rule)),
            }
            self.cursor += end as u64 + 1;
            rest = &rest[end + 1..];
        }
        match facts.is_empty() && rest.len() > MAX_FACT {
            true => Err(self.bad_fact("a line is too long")),
            false => Ok(facts),
        }
    }

    fn bad_fact(&self, rule: &'static str) -> SpoolError {
        SpoolError::Fact {
            at: self.cursor,
            rule,
        }
    }

    /// At most `max` bytes of `section` from raw `offset` on; nothing beyond [`MAX_OFFSET`].
    ///
    /// # Errors
    /// [`SpoolError::Io`], also when a segment is no regular file.
    pub fn log(&mut self, section: u32, offset: u64, max: usize) -> Result<LogRead, SpoolError> {
        if offset > MAX_OFFSET {
            return Ok(LogRead::Nothing);
        }
        if let Some(bytes) = self.read_open(section, offset, max)? {
            return Ok(LogRead::Bytes(bytes));
        }
        self.list()?;
        // The worker may have filled the open segment and begun another between the two looks.
        if let Some(bytes) = self.read_open(section, offset, max)? {
            return Ok(LogRead::Bytes(bytes));
        }
        let starts = self.segments.get(&section);
        let at = starts.and_then(|starts| starts.range(..=offset).next_back().copied());
        let next = starts.and_then(|starts| starts.range(offset + 1..).next().copied());
        if let Some(start) = at
            && self.switch_to(section, start)?
            && let Some(bytes) = self.read_open(section, offset, max)?
        {
            return Ok(LogRead::Bytes(bytes));
        }
        Ok(match next {
            Some(to) => LogRead::Gap { from: offset, to },
            None => LogRead::Nothing,
        })
    }

    fn read_open(
        &self,
        section: u32,
        offset: u64,
        max: usize,
    ) -> Result<Option<Vec<u8>>, SpoolError> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        if open.section != section || offset < open.start {
            return Ok(None);
        }
        // Never past the next segment's first byte, whatever the file's own length is.
        let next = self
            .segments
            .get(&section)
            .and_then(|starts| starts.range(open.start + 1..).next());
        let room = next.map_or(u64::MAX, |next| next.saturating_sub(offset));
        let max = usize::try_from(room).unwrap_or(usize::MAX).min(max);
        let bytes = read_at(&open.file, offset - open.start, max)
            .map_err(|source| io_error(&segment_name(section, open.start), source))?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// Opens another segment; `false` when it is gone by now.
    fn switch_to(&mut self, section: u32, start: u64) -> Result<bool, SpoolError> {
        let current = self.open.as_ref();
        if current.is_some_and(|open| open.section == section && open.start == start) {
            return Ok(true);
        }
        let name = segment_name(section, start);
        match beneath::open_file(&self.dir, name.as_bytes()) {
            Ok((file, _)) => {
                self.open = Some(Open {
                    section,
                    start,
                    file,
                });
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(&name, error)),
        }
    }

    fn list(&mut self) -> Result<(), SpoolError> {
        self.segments.clear();
        let names = beneath::names(&self.dir, MAX_FILES);
        for name in names.map_err(|source| io_error(".", source))? {
            let name = std::str::from_utf8(&name).ok();
            if let Some((section, start)) = name.and_then(parse_segment_name)
                && start <= MAX_OFFSET
            {
                self.segments.entry(section).or_default().insert(start);
            }
        }
        Ok(())
    }

    /// Unlinks the segments of `section` that lie wholly below the acknowledged `offset`. The one that the
    /// worker may still write to stays, unless `left` says that the section will grow no more.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn release(&mut self, section: u32, offset: u64, left: bool) -> Result<(), SpoolError> {
        self.list()?;
        let starts: Vec<u64> = match self.segments.get(&section) {
            Some(starts) => starts.iter().copied().collect(),
            None => return Ok(()),
        };
        for (index, start) in starts.iter().enumerate() {
            let done = match starts.get(index + 1) {
                Some(next) => *next <= offset,
                None => self.last_is_done(section, *start, offset, left)?,
            };
            if done {
                self.unlink(section, *start)?;
            }
        }
        Ok(())
    }

    fn last_is_done(
        &self,
        section: u32,
        start: u64,
        offset: u64,
        left: bool,
    ) -> Result<bool, SpoolError> {
        let name = segment_name(section, start);
        let stat = match beneath::look(&self.dir, name.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(|source| io_error(&name, source))?,
        };
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        Ok((left || length >= SEGMENT) && start.saturating_add(length) <= offset)
    }

    fn unlink(&mut self, section: u32, start: u64) -> Result<(), SpoolError> {
        let name = segment_name(section, start);
        match rustix::fs::unlinkat(&self.dir, &name, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(io_error(&name, error.into())),
        }
        if let Some(starts) = self.segments.get_mut(&section) {
            starts.remove(&start);
        }
        let open = self.open.as_ref();
        if open.is_some_and(|open| (open.section, open.start) == (section, start)) {
            self.open = None;
        }
        Ok(())
    }
}

/// The file `name` that a worker left in the spool at `path`, if it is no longer than `limit`.
///
/// # Errors
/// [`SpoolError::Io`], also for something that is no file and for a longer one.
pub fn left_in(path: &Path, name: &str, limit: usize) -> Result<Option<Vec<u8>>, SpoolError> {
    let dir = beneath::open_trusted(path).map_err(|source| io_error(".", source))?;
    let (file, _) = match beneath::open_file(&dir, name.as_bytes()) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(name, error)),
    };
    let bytes = read_at(&file, 0, limit + 1).map_err(|source| io_error(name, source))?;
    match bytes.len() > limit {
        true => {
            let long = io::Error::other(format!("it has more than {limit} bytes"));
            Err(io_error(name, long))
        }
        false => Ok(Some(bytes)),
    }
}

fn parse_fact(line: &[u8]) -> Result<Fact, &'static str> {
    if line.len() > MAX_FACT {
        return Err("a line is too long");
    }
    serde_json::from_slice(line).map_err(|_| "a line is no fact")
}

fn read_at(file: &File, offset: u64, max: usize) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let there = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; there.min(max)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn io_error(name: &str, source: io::Error) -> SpoolError {
    SpoolError::Io {
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
#[path = "spool/tests.rs"]
mod tests;
