//! What an uploaded tree of files may hold: the rules that the server and the launcher both keep.
//!
//! Takes names, kinds and sizes of an archive's entries, gives the place of each below the tree or a refusal. Never:
//! I/O, or a name that leads out of the tree.

/// Largest archive as it is uploaded, in bytes.
pub const MAX_PACKED: u64 = 128 << 20;

/// Most files, directories and links in it.
pub const MAX_ENTRIES: u64 = 100_000;

/// Most bytes of all its files together.
pub const MAX_BYTES: u64 = 512 << 20;

/// Longest name or link target, in bytes.
pub const MAX_NAME: u64 = 4096;

/// Longest block of extended headers before an entry, in bytes.
pub const MAX_EXTENSION: u64 = 64 << 10;

/// Deepest directory, in steps below the tree.
const MAX_DEPTH: usize = 200;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A directory.
    Directory,
    /// A file of this many bytes.
    File(u64),
    /// A symbolic link to this target.
    Link(&'a [u8]),
    /// Anything else.
    Other,
}

/// Why an archive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A name that begins at the root.
    #[error("its name is absolute")]
    Absolute,
    /// A name that is no plain path.
    #[error("its name is longer than 4096 bytes, too deep, or has empty, `.` or `..` segments")]
    Name,
    /// Something beside the one directory at the top.
    #[error("it is not below the one directory that the archive has to hold")]
    Top,
    /// A link that leads out.
    #[error("it is a link that leaves the uploaded files")]
    Leaves,
    /// A hard link, a device, a pipe.
    #[error("it is neither file, directory nor symbolic link")]
    Kind,
    /// Too much of it.
    #[error("with it there are more than 100000 entries or 512 MiB of files")]
    TooMuch,
}

/// Follows an archive from its first entry on.
#[derive(Debug, Default)]
pub struct Rules {
    top: Option<Vec<u8>>,
    entries: u64,
    bytes: u64,
}

impl Rules {
    /// The steps of an entry's place below the tree; none for the directory at the top itself.
    ///
    /// # Errors
    /// [`Refused`]: nothing of the archive may be used.
    pub fn place<'a>(&mut self, name: &'a [u8], kind: Kind<'_>) -> Result<Vec<&'a [u8]>, Refused> {
        let steps = steps(name)?;
        let (top, below) = steps.split_first().ok_or(Refused::Name)?;
        match &self.top {
            Some(known) if known.as_slice() != *top => return Err(Refused::Top),
            Some(_) => {}
            None => self.top = Some(top.to_vec()),
        }
        match kind {
            Kind::Other => return Err(Refused::Kind),
            Kind::File(_) | Kind::Link(_) if below.is_empty() => return Err(Refused::Top),
            Kind::Link(target) if !stays(target, below.len() - 1) => return Err(Refused::Leaves),
            Kind::Directory | Kind::File(_) | Kind::Link(_) => {}
        }
        let bytes = if let Kind::File(bytes) = kind {
            bytes
        } else {
            0
        };
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.entries <= MAX_ENTRIES && self.bytes <= MAX_BYTES {
            true => Ok(below.to_vec()),
            false => Err(Refused::TooMuch),
        }
    }

    /// Files, directories and links so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of files so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn steps(name: &[u8]) -> Result<Vec<&[u8]>, Refused> {
    if name.starts_with(b"/") {
        return Err(Refused::Absolute);
    }
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let steps: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    let plain =
        |step: &&[u8]| !step.is_empty() && *step != b"." && *step != b".." && !step.contains(&0);
    let fits = name.len() as u64 <= MAX_NAME && steps.len() <= MAX_DEPTH + 1;
    match fits && steps.iter().all(plain) {
        true => Ok(steps),
        false => Err(Refused::Name),
    }
}

/// Whether the target of a link in a directory `depth` steps below the tree stays in it. `..` counts at the beginning
/// only: after a name it would be taken from wherever that name leads.
fn stays(target: &[u8], depth: usize) -> bool {
    let plain = !target.is_empty() && target[0] != b'/' && !target.contains(&0);
    let (mut climbed, mut descended) = (0, false);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if descended => return false,
            b".." => climbed += 1,
            _ => descended = true,
        }
    }
    plain && target.len() as u64 <= MAX_NAME && climbed <= depth
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_find_their_place_or_none() {
        let place = |name: &str, kind| {
            let mut rules = Rules::default();
            rules.place(b"w/", Kind::Directory).unwrap();
            let steps = rules.place(name.as_bytes(), kind);
            steps.map(|steps| String::from_utf8(steps.join(&b'/')).unwrap())
        };
        let file = Kind::File(1);
        for (name, kind, found) in [
            ("w/main.tf", file, Ok("main.tf")),
            ("./w/a/b", file, Ok("a/b")),
            ("w/a/", Kind::Directory, Ok("a")),
            ("w", Kind::Directory, Ok("")),
            ("w/a/l", Kind::Link(b"../main.tf"), Ok("a/l")),
            ("w/l", Kind::Link(b"a/b"), Ok("l")),
            ("w/l", Kind::Link(b"../x"), Err(Refused::Leaves)),
            ("w/l", Kind::Link(b"a/../../x"), Err(Refused::Leaves)),
            ("w/l", Kind::Link(b"/etc/passwd"), Err(Refused::Leaves)),
            ("w/l", Kind::Link(b""), Err(Refused::Leaves)),
            ("w/../x", file, Err(Refused::Name)),
            ("../x", file, Err(Refused::Name)),
            ("w//x", file, Err(Refused::Name)),
            ("", file, Err(Refused::Name)),
            ("/w/x", file, Err(Refused::Absolute)),
            ("v/x", file, Err(Refused::Top)),
            ("w", file, Err(Refused::Top)),
            ("w/d", Kind::Other, Err(Refused::Kind)),
            ("w/x", Kind::File(MAX_BYTES + 1), Err(Refused::TooMuch)),
        ] {
            assert_eq!(place(name, kind), found.map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn bounds_are_of_all_entries_together() {
        let mut rules = Rules::default();
        rules.place(b"w/a", Kind::File(MAX_BYTES)).unwrap();
        assert_eq!(rules.place(b"w/b", Kind::File(1)), Err(Refused::TooMuch));
        let mut rules = Rules::default();
        for _ in 0..MAX_ENTRIES {
            rules.place(b"w/d", Kind::Directory).unwrap();
        }
        assert_eq!(rules.place(b"w/d", Kind::Directory), Err(Refused::TooMuch));
    }

    proptest! {
        /// Whatever stands in an archive: a place never climbs, and is never the way out of a link.
        #[test]
        fn no_place_climbs(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(steps) = Rules::default().place(&name, Kind::File(0)) {
                prop_assert!(!steps.is_empty());
                for step in steps {
                    prop_assert!(!step.is_empty() && step != b".." && !step.contains(&b'/'));
                }
            }
        }
    }
}
