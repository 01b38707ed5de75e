//! When the engine is asked to pull.
//!
//! Whatever it says, the registry is asked what the reference means now: a cached image still needs the run's
//! right to it.

use std::str::FromStr;

/// When the engine is asked to pull a resolved digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it lacks the digest.
    #[default]
    IfNotPresent,
    /// Every time.
    Always,
    /// Never: what is not present is refused.
    Never,
}

impl FromStr for PullPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "if-not-present" => Ok(Self::IfNotPresent),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err("is none of `if-not-present`, `always` and `never`"),
        }
    }
}
