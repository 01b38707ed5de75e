//! What one place of a path may hold.
//!
//! Takes decoded segments, says whether they are of a kind. Never: a slash in a kind that is one segment of the host's
//! own path, or a kind that takes whatever comes.

use std::fmt;

/// One element of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// This word, in this case.
    Word(&'static str),
    /// These words, or nothing.
    Maybe(&'static [&'static str]),
    /// A plain name of something that is no project.
    Text,
    /// A number.
    Number,
    /// A whole commit id.
    Commit,
    /// A commit id, whole or cut short.
    Hash,
    /// A branch, tag or commit; slashes in it are escaped.
    Ref,
    /// A branch, tag or commit over one or more segments.
    RefTail,
    /// Two refs with three dots between them.
    Range,
    /// A part of a project's name.
    Name,
    /// The last part of a repository's name in a clone URL, with or without `.git`.
    Repository,
    /// One or more groups.
    Groups,
    /// A project of GitLab: its id, or its whole path with escaped slashes.
    Path,
    /// A part of a project's name at Azure, where it may have spaces and letters of any language.
    Title,
    /// An organization or collection of Azure, below `tfs` or not, or nothing.
    Organization,
    /// Any number of folders.
    Folders,
    /// The path of a configuration file, slashes escaped.
    ConfigFile,
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Word(word) => return write!(out, "/{word}"),
            Self::Maybe(words) => return write!(out, "[/{}]", words.join("/")),
            Self::Text => "/{x}",
            Self::Number => "/{n}",
            Self::Commit => "/{sha}",
            Self::Hash => "/{hash}",
            Self::Ref => "/{ref}",
            Self::RefTail => "/{ref…}",
            Self::Range => "/{ref}...{ref}",
            Self::Name | Self::Title => "/{p}",
            Self::Repository => "/{p}[.git]",
            Self::Groups => "/{p…}",
            Self::Path => "/{project}",
            Self::Organization => "[[/tfs]/{p}]",
            Self::Folders => "[/{folder…}]",
            Self::ConfigFile => "/{[folder%2F]%2Espacelift%2Fconfig%2Eyml}",
        };
        out.write_str(text)
    }
}

impl Part {
    /// Whether what stands here is part of the project's name.
    pub(crate) fn names_project(self) -> bool {
        matches!(
            self,
            Self::Name
                | Self::Repository
                | Self::Groups
                | Self::Path
                | Self::Title
                | Self::Organization
        )
    }
}

/// `{x}`: users, organizations, ids.
pub(super) fn is_text(segment: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || "-._~@+".contains(c);
    segment.chars().all(letter)
}

/// A part of a project's name at GitLab, GitHub and Bitbucket.
pub(super) fn is_name(segment: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    // `-` by itself is where GitLab's own pages begin.
    segment != "-" && segment.chars().all(letter)
}

/// A part of a project's name at Azure. What begins with an underscore is the host's own.
pub(super) fn is_title(segment: &str) -> bool {
    let letter = |c: char| !"/:*?\"<>|#${},+=[]@%".contains(c);
    let ends = |c: char| c == '.' || c == ' ';
    !segment.starts_with('_')
        && !segment.starts_with(ends)
        && !segment.ends_with(ends)
        && segment.chars().all(letter)
}

pub(super) fn is_number(segment: &str) -> bool {
    (1..=18).contains(&segment.len()) && segment.bytes().all(|b| b.is_ascii_digit())
}

/// SHA-1 or SHA-256, in full.
pub(super) fn is_commit(segment: &str) -> bool {
    matches!(segment.len(), 40 | 64)
        && segment
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What can be the beginning of a commit id, or all of it.
pub(super) fn is_hash(segment: &str) -> bool {
    (6..=64).contains(&segment.len()) && segment.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The rules of `git check-ref-format` for one-level names, and no leading dash.
pub(super) fn is_ref(name: &str) -> bool {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let piece = |piece: &str| {
        !piece.is_empty()
            && !piece.starts_with('.')
            && !piece.to_ascii_lowercase().ends_with(".lock")
    };
    !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(bad)
        && name.split('/').all(piece)
}

/// `base...head`.
pub(super) fn is_range(segment: &str) -> bool {
    let ends = segment.split_once("...");
    ends.is_some_and(|(base, head)| is_ref(base) && is_ref(head))
}

/// A GitLab project: its id or its path.
pub(super) fn is_path(segment: &str) -> bool {
    let pieces = segment.split('/').count();
    is_number(segment) || ((2..=21).contains(&pieces) && segment.split('/').all(is_name))
}

/// A folder on the way to a configuration file.
pub(super) fn is_folder(segment: &str) -> bool {
    !segment.contains(['/', ':', '*', '?', '"', '<', '>', '|'])
}

/// `.spacelift/config.yml` below a project root, as one path.
pub(super) fn is_config_file(path: &str) -> bool {
    let folders = match path.strip_suffix(".spacelift/config.yml") {
        Some("") => return true,
        Some(folders) => folders.strip_suffix('/'),
        None => None,
    };
    folders.is_some_and(|folders| folders.split('/').all(is_folder))
}
