//! Pools of VCS agents: ids, and the names that stand in `private://` endpoints. Pure.
//!
//! Takes texts, gives checked values. Never: two spellings of one pool.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

/// A pool of VCS agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcsPoolId(Ulid);

/// A text that is no pool's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a VCS agent pool: expected a ULID of 26 upper-case characters")]
pub struct NoVcsPoolId(String);

/// The name of a pool of VCS agents: 1 to 63 lower-case letters, digits, `-` or `_`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcsPoolName(String);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` can't name a VCS agent pool: it stands in `private://NAME/…`, so expected 1 to 63 lower-case letters, digits, `-` or `_`, starting with a letter or digit"
)]
pub struct NoVcsPoolName(String);

impl VcsPoolId {
    /// Wraps a ULID that the caller made.
    pub fn from_ulid(ulid: Ulid) -> Self {
        Self(ulid)
    }
}

impl FromStr for VcsPoolId {
    type Err = NoVcsPoolId;

    fn from_str(text: &str) -> Result<Self, NoVcsPoolId> {
        let refused = || NoVcsPoolId(text.chars().take(64).collect());
        let ulid = Ulid::from_string(text).map_err(|_| refused())?;
        // One spelling per id.
        if ulid.to_string() == text {
            Ok(Self(ulid))
        } else {
            Err(refused())
        }
    }
}

impl fmt::Display for VcsPoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl VcsPoolName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pool's name and the path in `private://NAME/path`, whatever the name's case there; nothing for other texts.
    /// The path has no slash at its beginning.
    pub fn in_endpoint(url: &str) -> Option<(Self, &str)> {
        let rest = url.strip_prefix("private://")?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let name = name.to_ascii_lowercase().parse().ok()?;
        Some((name, path.trim_start_matches('/')))
    }
}

impl FromStr for VcsPoolName {
    type Err = NoVcsPoolName;

    fn from_str(text: &str) -> Result<Self, NoVcsPoolName> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let first = text.as_bytes().first().is_some_and(plain);
        let rest = text.bytes().all(|b| plain(&b) || b"-_".contains(&b));
        if first && rest && text.len() <= 63 {
            return Ok(Self(text.to_owned()));
        }
        Err(NoVcsPoolName(text.chars().take(64).collect()))
    }
}

impl fmt::Display for VcsPoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for good in ["a", "git-1", "9_x", &"a".repeat(63)] {
            assert_eq!(good.parse::<VcsPoolName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "Git",
            "a b",
            "a/b",
            "a.b",
            "ä",
            "a\n",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<VcsPoolName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_names_a_pool_and_a_path() {
        for (url, expected) in [
            ("private://git", Some(("git", ""))),
            ("private://Git/", Some(("git", ""))),
            ("private://git/a/b.git", Some(("git", "a/b.git"))),
            ("private://git//a", Some(("git", "a"))),
            ("private:///a", None),
            ("private://g.t/a", None),
            ("https://git/a", None),
        ] {
            let found = VcsPoolName::in_endpoint(url);
            let found = found.as_ref().map(|(name, path)| (name.as_str(), *path));
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn ids_are_upper_case_ulids() {
        let id = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";
        assert_eq!(id.parse::<VcsPoolId>().unwrap().to_string(), id);
        for bad in ["", "01jb8m6q7n4t0v2x5y8z9a1b2c", "x"] {
            assert!(bad.parse::<VcsPoolId>().is_err(), "{bad}");
        }
    }
}
