//! What of the host is mounted into runs, as the host's owner wrote it.
//!
//! Takes one entry of a list, gives a [`MountRule`]. Never: a mount that a run asked for.

use std::path::PathBuf;

use gantry_protocol::socket::HandedTo;

use super::spec::check_extra_target;
use crate::engine::Access;

/// A host path and where runs see it. Existence is a matter of each container's start, not of this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountRule {
    /// Absolute host path as configured, links not yet resolved.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
    /// What runs may do with it.
    pub access: Access,
    /// Which containers get it.
    pub to: HandedTo,
}

impl MountRule {
    /// Parses `/host:/container[:ro|:rw]`; a backslash takes the meaning from the character after it.
    ///
    /// # Errors
    /// The rule that the entry breaks.
    pub fn parse(entry: &str, to: HandedTo) -> Result<Self, &'static str> {
        let parts = split(entry, ':')?;
        let (source, target, access) = match parts.as_slice() {
            [source, target] => (source, target, Access::ReadWrite),
            [source, target, mode] if mode == "ro" => (source, target, Access::ReadOnly),
            [source, target, mode] if mode == "rw" => (source, target, Access::ReadWrite),
            _ => {
                return Err(
                    "expected `/host:/container`, with `:ro` or `:rw` behind it if need be",
                );
            }
        };
        let source = PathBuf::from(source);
        let clean = source.components().all(|part| {
            use std::path::Component::{Normal, RootDir};
            matches!(part, RootDir | Normal(_))
        });
        if !source.is_absolute() || !clean {
            return Err("expected an absolute host path without `..`");
        }
        check_extra_target(target)?;
        Ok(Self {
            source,
            target: target.clone(),
            access,
            to,
        })
    }
}

/// Splits at `separator`; a backslash before a separator or another backslash makes it a plain character.
///
/// # Errors
/// A lone backslash at the end.
pub fn split(text: &str, separator: char) -> Result<Vec<String>, &'static str> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let part = parts
            .last_mut()
            .expect("invariant: there is always a last part");
        match letter {
            '\\' => match letters.next() {
                Some(next) if next == separator || next == '\\' => part.push(next),
                // Kept whole: an inner split may give it its meaning.
                Some(next) => part.extend(['\\', next]),
                None => return Err("ends with a backslash that stands before nothing"),
            },
            letter if letter == separator => parts.push(String::new()),
            letter => part.push(letter),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let rule = |text: &str| MountRule::parse(text, HandedTo::Every);
        let plain = rule("/srv/cache:/cache").unwrap();
        assert_eq!(plain.source, PathBuf::from("/srv/cache"));
        assert_eq!(
            (plain.target.as_str(), plain.access),
            ("/cache", Access::ReadWrite)
        );
        assert_eq!(rule("/a:/b:ro").unwrap().access, Access::ReadOnly);
        assert_eq!(rule("/a:/b:rw").unwrap().access, Access::ReadWrite);
        assert_eq!(rule(r"/a\:b:/c").unwrap().source, PathBuf::from("/a:b"));
        for wrong in [
            "",
            "/a",
            "/a:b",
            "a:/b",
            "/a:/b:rx",
            "/a:/b:ro:x",
            "/a/../b:/c",
            "/a:/b/../c",
            "/a:/",
            "/a:/tmp",
            "/a:/mnt/workspace/x",
            "/a:/mnt",
            "/a:/gantry",
            "/a:/proc/1",
            "/a:/etc/passwd",
            r"/a:/b\",
        ] {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
        // Hosts do mount certificates there.
        assert!(rule("/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro").is_ok());
    }

    #[test]
    fn escapes_survive_the_outer_split() {
        let outer = split(r"/a\,b:/c,/d\:e:/f", ',').unwrap();
        assert_eq!(outer, [r"/a,b:/c", r"/d\:e:/f"]);
        assert_eq!(split(&outer[1], ':').unwrap(), ["/d:e", "/f"]);
    }
}
