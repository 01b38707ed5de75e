//! The rules that packing and unpacking share: which links stay inside, and how much is too much.
//!
//! Takes bytes of paths and link targets, gives verdicts. Never: I/O.

/// Where the workspace is in the container; absolute links to there are links inside.
pub const CONTAINER_ROOT: &str = "/mnt/workspace";

/// Deepest directory, in steps from the root: bounds open handles.
pub(super) const MAX_DEPTH: usize = 200;

/// How much a workspace may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Files, directories and links together.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Default for Bounds {
    /// A million entries and 10 GiB: ten times a large workspace with its providers.
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            bytes: 10 << 30,
        }
    }
}

impl Bounds {
    /// Whether this many entries and bytes are within.
    pub(super) fn hold(self, entries: u64, bytes: u64) -> bool {
        entries <= self.entries && bytes <= self.bytes
    }
}

/// Whether a link's target stays inside the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRule {
    /// It does, whatever the names on the way are.
    Inside,
    /// It may not.
    Leaves,
}

impl LinkRule {
    /// The verdict on a link in a directory `depth` steps below the root.
    ///
    /// `..` counts only at the beginning of a target: after a name it would be taken from wherever that name
    /// leads, and a chain of harmless links could climb out. Each link that passes starts in a real directory,
    /// climbs real parents, and then only descends or meets another link that passes.
    pub fn of(target: &[u8], depth: usize) -> Self {
        let (relative, depth) = match target.strip_prefix(CONTAINER_ROOT.as_bytes()) {
            Some([]) => return Self::Inside,
            Some([b'/', rest @ ..]) => (rest, 0),
            _ if target.starts_with(b"/") => return Self::Leaves,
            _ => (target, depth),
        };
        let (mut climbed, mut descended) = (0, false);
        for part in relative.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if descended => return Self::Leaves,
                b".." => climbed += 1,
                _ => descended = true,
            }
        }
        match !target.is_empty() && !target.contains(&0) && climbed <= depth {
            true => Self::Inside,
            false => Self::Leaves,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_stay_and_links_that_leave() {
        use LinkRule::{Inside, Leaves};
        let cases: [(&str, usize, LinkRule); 19] = [
            ("file", 0, Inside),
            ("a/b/c", 0, Inside),
            ("./a", 0, Inside),
            ("..", 1, Inside),
            ("../x", 1, Inside),
            ("../../x", 2, Inside),
            ("/mnt/workspace", 3, Inside),
            ("/mnt/workspace/source/x", 3, Inside),
            ("..", 0, Leaves),
            ("../x", 0, Leaves),
            ("../../x", 1, Leaves),
            ("a/../b", 5, Leaves),
            ("a/..", 5, Leaves),
            ("/etc/passwd", 5, Leaves),
            ("/", 5, Leaves),
            ("/mnt/workspace/../x", 5, Leaves),
            ("/mnt/workspaces/x", 5, Leaves),
            ("/mnt", 5, Leaves),
            ("", 5, Leaves),
        ];
        for (target, depth, expected) in cases {
            assert_eq!(
                LinkRule::of(target.as_bytes(), depth),
                expected,
                "{target} {depth}"
            );
        }
    }
}
