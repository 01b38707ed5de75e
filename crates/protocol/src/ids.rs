//! Identifiers: one type per kind, so that one can't be passed for another.
//!
//! Generated ids are ULIDs (26 characters, Crockford base32, sortable by creation). Stacks are named by
//! slugs, as people type them. All are safe in a URL path and in a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// Why a text is not an identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a valid {kind}: {rule}")]
pub struct InvalidId {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(ulid::Ulid);

        impl $name {
            /// Wraps a ULID that the caller made (this crate reads neither clock nor entropy).
            pub fn from_ulid(ulid: ulid::Ulid) -> Self {
                Self(ulid)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let rule = "expected a ULID of 26 upper-case characters";
                let invalid = || InvalidId { text: text.chars().take(64).collect(), kind: $kind, rule };
                let ulid = ulid::Ulid::from_string(text).map_err(|_| invalid())?;
                // One spelling per id: comparisons and file names rely on it.
                if ulid.to_string() == text { Ok(Self(ulid)) } else { Err(invalid()) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

ulid_id!(
    /// One run of a stack.
    RunId,
    "run id"
);
ulid_id!(
    /// A pool of launchers that share one pool key.
    PoolId,
    "pool id"
);
ulid_id!(
    /// One enrolled launcher.
    LauncherId,
    "launcher id"
);

/// A stack's slug: lower-case letters, digits, `-` and `_`, 1 to 100 characters, starting with a letter
/// or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackId(String);

impl StackId {
    /// The slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes = text.as_bytes();
        let first = bytes
            .first()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b));
        if first && rest && bytes.len() <= 100 {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId {
            text: text.chars().take(64).collect(),
            kind: "stack id",
            rule: "expected 1 to 100 lower-case letters, digits, `-` or `_`, starting with a letter or digit",
        })
    }
}

impl TryFrom<String> for StackId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<StackId> for String {
    fn from(id: StackId) -> String {
        id.0
    }
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many times a run has been leased; the first lease is 1. Every write about a run carries it, and a
/// lower one than the newest issued is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The attempt that a new lease of the same run gets.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest, written `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Takes what a hasher gave.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 64 hex digits without the prefix: a safe file name.
    pub fn hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl FromStr for Digest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            text: text.chars().take(80).collect(),
            kind: "digest",
            rule: "expected `sha256:` and 64 lower-case hex digits",
        };
        let hex = text.strip_prefix("sha256:").ok_or_else(invalid)?;
        let lower = hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex.len() != 64 || !lower {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";
        let id: RunId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert!(text.to_lowercase().parse::<RunId>().is_err());
        assert!("../../etc/passwd".parse::<RunId>().is_err());
    }

    #[test]
    fn a_stack_id_is_a_slug() {
        assert!("net-prod_2".parse::<StackId>().is_ok());
        for bad in ["", "-a", "A", "a/b", "a b", "ä", "..", &"a".repeat(101)] {
            assert!(bad.parse::<StackId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_strict() {
        let digest = Digest::of(b"gantry");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("sha256:".parse::<Digest>().is_err());
        assert!(
            format!("sha256:{}/..", "0".repeat(61))
                .parse::<Digest>()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<RunId>();
            let _ = text.parse::<StackId>();
            let _ = text.parse::<Digest>();
        }
    }
}
