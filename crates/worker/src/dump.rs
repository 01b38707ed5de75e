//! How a hook's shell tells what it exported: the worker's own `dump-env`, run as its last command.
//!
//! Takes the environment and working directory of that process, gives them in one buffer that both
//! sides share without a name (a memory file). Must never happen here: an environment on a disk.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;

/// First bytes of a dump.
const MAGIC: &[u8] = b"gantry-env-1";

/// Lowest descriptor number for the memory file: above those that hooks use for their own redirections.
const LOWEST_FD: i32 = 200;

/// Largest dump that is read, in bytes; Linux itself allows no more than about 6 MB.
const MAX_DUMP: u64 = 16 << 20;

/// What the hooks' shell left in the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The shell reached its end with these exports and this working directory.
    Exported(Exported),
    /// It ended within this hook.
    InHook(usize),
    /// It ended before the first hook, as on a syntax error.
    Nowhere,
}

/// Variables and working directory at a shell's end.
#[derive(Clone, PartialEq, Eq)]
pub struct Exported {
    /// The exported variables.
    pub variables: Vec<(OsString, OsString)>,
    /// The working directory.
    pub directory: PathBuf,
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} variables in {:?}",
            self.variables.len(),
            self.directory
        )
    }
}

/// A memory file that one shell inherits. It holds the number of the hook that runs, at the end the dump.
pub struct Board {
    file: File,
}

impl Board {
    /// An empty board. The next processes that are started inherit it, until it is dropped.
    ///
    /// # Errors
    /// When the system has no memory files or descriptors left.
    pub fn new() -> std::io::Result<Self> {
        let memory = rustix::fs::memfd_create("hooks", MemfdFlags::CLOEXEC)?;
        let high = rustix::io::fcntl_dupfd_cloexec(&memory, LOWEST_FD)?;
        rustix::io::fcntl_setfd(&high, FdFlags::empty())?;
        Ok(Self { file: high.into() })
    }

    /// The descriptor's number in the shell.
    pub fn number(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// What the shell left.
    ///
    /// # Errors
    /// When the memory file can't be read or holds more than a shell can leave.
    pub fn read(&self) -> std::io::Result<Left> {
        let len = self.file.metadata()?.len();
        if len > MAX_DUMP {
            return Err(std::io::Error::other(
                "the exported environment is too large",
            ));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(parse(&bytes))
    }
}

fn parse(bytes: &[u8]) -> Left {
    if let Some(exported) = parse_dump(bytes) {
        return Left::Exported(exported);
    }
    let text = std::str::from_utf8(bytes).ok();
    match text.and_then(|text| text.trim().parse().ok()) {
        Some(hook) => Left::InHook(hook),
        None => Left::Nowhere,
    }
}

fn parse_dump(bytes: &[u8]) -> Option<Exported> {
    // The last byte ends the last entry, so that a cut dump is none.
    let mut entries = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    if entries.next()? != MAGIC {
        return None;
    }
    let directory = PathBuf::from(OsString::from_vec(entries.next()?.to_vec()));
    let variables = entries.filter_map(|entry| {
        let at = entry.iter().skip(1).position(|byte| *byte == b'=')? + 1;
        let (name, value) = (entry.get(..at)?, entry.get(at + 1..)?);
        Some((
            OsString::from_vec(name.to_vec()),
            OsString::from_vec(value.to_vec()),
        ))
    });
    Some(Exported {
        variables: variables.collect(),
        directory,
    })
}

/// The `dump-env` command: writes this process's environment and directory to descriptor `number`.
///
/// # Errors
/// When the descriptor was closed by a hook, or the directory is gone.
pub fn dump(number: i32) -> std::io::Result<()> {
    let directory = std::env::current_dir()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this process exists to tell its environment"
    )]
    let bytes = encode(directory.as_os_str(), std::env::vars_os());
    let path = format!("/proc/self/fd/{number}");
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(&bytes)
}

fn encode(directory: &OsStr, variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<u8> {
    let mut bytes = [MAGIC, b"\0", directory.as_bytes(), b"\0"].concat();
    for (name, value) in variables {
        bytes.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_dump_comes_back(
            directory in "/[^\\x00]{0,40}",
            variables in proptest::collection::vec(("[^\\x00=][^\\x00=]{0,20}", "[^\\x00]{0,40}"), 0..20),
        ) {
            let variables: Vec<(OsString, OsString)> =
                variables.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
            let bytes = encode(OsStr::new(&directory), variables.clone().into_iter());
            let exported = Exported { variables, directory: directory.into() };
            prop_assert_eq!(parse(&bytes), Left::Exported(exported));
        }

        #[test]
        fn anything_else_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
            parse(&[MAGIC, b"\0", &bytes].concat());
        }
    }

    #[test]
    fn a_board_tells_where_the_shell_ended() {
        let table: [(&[u8], Left); 4] = [
            (b"", Left::Nowhere),
            (b"3\n", Left::InHook(3)),
            (b"gantry-env-1\0/cut", Left::Nowhere),
            (b"nonsense", Left::Nowhere),
        ];
        for (bytes, expected) in table {
            let board = Board::new().unwrap();
            board.file.write_all_at(bytes, 0).unwrap();
            assert_eq!(board.read().unwrap(), expected);
            assert!(board.number() >= LOWEST_FD);
        }
    }
}
