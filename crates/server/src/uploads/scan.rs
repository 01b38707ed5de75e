//! Looks through an uploaded archive as it comes in, without laying anything anywhere.
//!
//! Takes pieces, gives how much there is or the first thing that is wrong. Never: more memory than a header and its
//! extension, or one byte unpacked beyond the bounds.

use std::io::{self, Read};

use axum::body::Bytes;
use flate2::read::MultiGzDecoder;
use gantry_protocol::archive::{Kind, MAX_BYTES, MAX_ENTRIES, MAX_EXTENSION, Refused, Rules};
use tokio::sync::mpsc::Receiver;

/// Headers and padding of an entry, at most.
const OVERHEAD: u64 = 2 << 10;

/// An archive that is fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Files, directories and links.
    pub entries: u64,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is none, or cut.
    #[error("the upload is no gzip'd tar archive, or not whole")]
    NoArchive(#[source] io::Error),
    /// Nothing in it.
    #[error("the archive is empty")]
    Empty,
    /// A name that is longer than names may be.
    #[error("the archive is refused: a name or an extended header in it is longer than 64 KiB")]
    LongName,
    /// Two sizes of one entry.
    #[error("the archive is refused: an extended header states a size of its own")]
    Size,
    /// An entry that breaks a rule.
    #[error("the archive is refused at `{path}`")]
    Entry {
        /// The entry.
        path: String,
        /// The rule.
        source: Refused,
    },
}

/// Looks through an archive; blocks until it has come in or is refused.
pub(super) fn scan(pieces: Receiver<Bytes>) -> Result<Scanned, Unfit> {
    let mut input = Pieces {
        pieces,
        current: Bytes::new(),
    };
    let scanned = look_through(&mut input);
    if scanned.is_ok() {
        // What comes after the archive's end is stored with it, and read by nobody.
        io::copy(&mut input, &mut io::sink()).map_err(Unfit::NoArchive)?;
    }
    scanned
}

/// Looks through a gzip'd archive to its end.
///
/// # Errors
/// [`Unfit`]: the first thing that is wrong.
pub fn look_through(input: impl Read) -> Result<Scanned, Unfit> {
    let most = MAX_BYTES + MAX_ENTRIES * OVERHEAD + (16 << 20);
    let mut archive = tar::Archive::new(MultiGzDecoder::new(input).take(most));
    let (mut rules, mut names) = (Rules::default(), Names::default());
    // Raw: long names come as entries of their own, so that their size can be checked before they are read.
    for entry in archive.entries().map_err(Unfit::NoArchive)?.raw(true) {
        let mut entry = entry.map_err(Unfit::NoArchive)?;
        match entry.header().entry_type() {
            tar::EntryType::GNULongName => names.path = Some(text(&mut entry)?),
            tar::EntryType::GNULongLink => names.target = Some(text(&mut entry)?),
            tar::EntryType::XHeader => names.extended(&extension(&mut entry)?)?,
            tar::EntryType::XGlobalHeader => drop(extension(&mut entry)?),
            kind => check(&mut rules, std::mem::take(&mut names), &entry, kind)?,
        }
    }
    match rules.entries() {
        0 => Err(Unfit::Empty),
        entries => Ok(Scanned { entries }),
    }
}

/// Names that came before their entry.
#[derive(Default)]
struct Names {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

impl Names {
    fn extended(&mut self, block: &[u8]) -> Result<(), Unfit> {
        for member in tar::PaxExtensions::new(block) {
            let member = member.map_err(Unfit::NoArchive)?;
            match member.key_bytes() {
                b"path" => self.path = Some(member.value_bytes().to_vec()),
                b"linkpath" => self.target = Some(member.value_bytes().to_vec()),
                b"size" => return Err(Unfit::Size),
                _ => {}
            }
        }
        Ok(())
    }
}

fn check<R: Read>(
    rules: &mut Rules,
    names: Names,
    entry: &tar::Entry<'_, R>,
    kind: tar::EntryType,
) -> Result<(), Unfit> {
    let name = names
        .path
        .unwrap_or_else(|| entry.header().path_bytes().into_owned());
    let target = names
        .target
        .or_else(|| entry.header().link_name_bytes().map(Into::into));
    let target = target.unwrap_or_default();
    let kind = match kind {
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Regular => Kind::File(entry.header().size().map_err(Unfit::NoArchive)?),
        tar::EntryType::Symlink => Kind::Link(&target),
        _ => Kind::Other,
    };
    let placed = rules.place(&name, kind).map(|_| ());
    placed.map_err(|source| Unfit::Entry {
        path: shown(&name),
        source,
    })
}

fn extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, Unfit> {
    if entry.header().size().map_err(Unfit::NoArchive)? > MAX_EXTENSION {
        return Err(Unfit::LongName);
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(Unfit::NoArchive)?;
    Ok(bytes)
}

fn text<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, Unfit> {
    let mut text = extension(entry)?;
    if text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.escape_debug().take(300).collect()
}

/// Pieces as one stream.
struct Pieces {
    pieces: Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        let piece = self.current.split_to(length);
        buffer[..length].copy_from_slice(&piece);
        Ok(length)
    }
}
