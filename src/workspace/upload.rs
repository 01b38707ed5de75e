//! Unpacks files that a person uploaded for a preview, believing nothing.
//!
//! Takes a gzip'd tar with one directory at its top, gives that directory's content. Never: an entry outside of the
//! root, through a link or over another entry; a device, pipe or hard link; more than the rules of
//! [`gantry_protocol::archive`] allow; a memory use that the archive decides.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use gantry_protocol::archive::{Kind, MAX_BYTES, MAX_ENTRIES, MAX_EXTENSION, Refused, Rules};

use super::beneath::{self, Owner};
use super::unpack::UnpackReport;

/// Headers and padding of an entry, at most, beside its bytes and its extensions.
const OVERHEAD: u64 = 2 << 10;

/// Why uploaded files are not laid. What was laid before is still there.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// An entry breaks a rule.
    #[error("the uploaded files are refused at `{path}`")]
    Refused {
        /// The entry.
        path: String,
        /// The rule.
        source: Refused,
    },
    /// Two entries of one name, or one below something that is no directory.
    #[error("the uploaded files are refused at `{0}`: something else is in its place")]
    Twice(String),
    /// Reading the archive failed, or it is none.
    #[error("the uploaded archive can't be read")]
    Read(#[source] io::Error),
    /// The disk said no.
    #[error("could not lay `{path}`")]
    Write {
        /// The entry.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Unpacks into the empty directory `root`, everything owned by `owner`.
///
/// # Errors
/// [`UploadError`]; remove the directory then.
pub fn unpack_upload(
    root: &Path,
    owner: Owner,
    packed: impl Read,
) -> Result<UnpackReport, UploadError> {
    let most = MAX_BYTES + MAX_ENTRIES * OVERHEAD + (16 << 20);
    let mut archive = tar::Archive::new(MultiGzDecoder::new(packed).take(most));
    let root = beneath::open_trusted(root).map_err(|source| UploadError::Write {
        path: ".".to_owned(),
        source,
    })?;
    let mut laying = Laying {
        root,
        owner,
        rules: Rules::default(),
        names: Names::default(),
    };
    // Raw: long names come as entries of their own, so that their size can be checked before they are read.
    for entry in archive.entries().map_err(UploadError::Read)?.raw(true) {
        laying.entry(entry.map_err(UploadError::Read)?)?;
    }
    Ok(UnpackReport {
        entries: laying.rules.entries(),
        bytes: laying.rules.bytes(),
    })
}

/// Names that came before their entry.
#[derive(Default)]
struct Names {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

struct Laying {
    root: OwnedFd,
    owner: Owner,
    rules: Rules,
    names: Names,
}

impl Laying {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), UploadError> {
        let kind = entry.header().entry_type();
        match kind {
            tar::EntryType::GNULongName => self.names.path = Some(text(&mut entry)?),
            tar::EntryType::GNULongLink => self.names.target = Some(text(&mut entry)?),
            tar::EntryType::XHeader => self.extended(&extension(&mut entry)?)?,
            // What `git archive` says about the commit.
            tar::EntryType::XGlobalHeader => drop(extension(&mut entry)?),
            _ => return self.lay(&mut entry, kind),
        }
        Ok(())
    }

    fn extended(&mut self, block: &[u8]) -> Result<(), UploadError> {
        for member in tar::PaxExtensions::new(block) {
            let member = member.map_err(UploadError::Read)?;
            let value = || Some(member.value_bytes().to_vec());
            match member.key_bytes() {
                b"path" => self.names.path = value(),
                b"linkpath" => self.names.target = value(),
                // The size in the header is what is read; a size beside it could make two readers disagree.
                b"size" => return Err(UploadError::Read(io::ErrorKind::InvalidData.into())),
                _ => {}
            }
        }
        Ok(())
    }

    fn lay<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        kind: tar::EntryType,
    ) -> Result<(), UploadError> {
        let names = std::mem::take(&mut self.names);
        let name = names
            .path
            .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let target = names
            .target
            .or_else(|| entry.header().link_name_bytes().map(Into::into));
        let target = target.unwrap_or_default();
        let size = entry.header().size().map_err(UploadError::Read)?;
        let kind = match kind {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Regular => Kind::File(size),
            tar::EntryType::Symlink => Kind::Link(&target),
            _ => Kind::Other,
        };
        let refused = |source| UploadError::Refused {
            path: shown(&name),
            source,
        };
        let steps = self.rules.place(&name, kind).map_err(refused)?;
        let done = match steps.split_last() {
            // The directory at the top is the root.
            None => Ok(()),
            Some((last, above)) => self.put(above, last, kind, entry),
        };
        done.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                UploadError::Twice(shown(&name))
            }
            io::ErrorKind::UnexpectedEof => UploadError::Read(source),
            _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                UploadError::Twice(shown(&name))
            }
            _ => UploadError::Write {
                path: shown(&name),
                source,
            },
        })
    }

    fn put<R: Read>(
        &self,
        above: &[&[u8]],
        name: &[u8],
        kind: Kind<'_>,
        entry: &mut tar::Entry<'_, R>,
    ) -> io::Result<()> {
        let mut dir = self.root.try_clone()?;
        for step in above {
            dir = beneath::open_or_make_dir(&dir, step, 0o755, self.owner)?;
        }
        match kind {
            Kind::Directory => {
                beneath::open_or_make_dir(&dir, name, 0o755, self.owner)?;
                Ok(())
            }
            Kind::Link(target) => beneath::make_link(&dir, name, target, self.owner),
            Kind::File(size) => {
                let executable = entry.header().mode()? & 0o111 != 0;
                let mode = if executable { 0o755 } else { 0o644 };
                let mut file = beneath::make_file(&dir, name, mode, self.owner)?;
                match io::copy(entry, &mut file)? == size {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            Kind::Other => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

fn extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, UploadError> {
    let too_long = || UploadError::Read(io::ErrorKind::FileTooLarge.into());
    if entry.header().size().map_err(UploadError::Read)? > MAX_EXTENSION {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(UploadError::Read)?;
    Ok(bytes)
}

fn text<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, UploadError> {
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

#[cfg(test)]
#[path = "upload/tests.rs"]
mod tests;
