//! Roles of API keys.
//!
//! Takes and gives names. A higher role includes the lower ones.

use std::fmt;
use std::str::FromStr;

/// What the bearer of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Role {
    /// Looks at everything but secrets.
    Reader,
    /// Also triggers, confirms, discards and stops runs.
    Writer,
    /// Also makes, changes and deletes stacks and pools.
    Admin,
}

/// A text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: expected `admin`, `writer` or `reader`")]
pub struct UnknownRole(String);

impl Role {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let known = [Self::Reader, Self::Writer, Self::Admin];
        let found = known.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.chars().take(32).collect()))
    }
}
