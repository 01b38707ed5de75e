//! One request to the API of a code host, before it is known how it gets there. Pure.
//!
//! Takes names that others chose, gives targets in which each is one encoded piece. Never: a name that adds a
//! segment, a parameter or a host.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

/// What stands as it is in a segment or a value of a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As [`PLAIN`], dots encoded too: GitLab takes a file's path as one segment.
const DOTS_TOO: &AsciiSet = &PLAIN.add(b'.');

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// What it is for, for errors and for the log of an agent.
    pub(crate) purpose: &'static str,
    pub(crate) method: Method,
    /// Path and query below the URL of the API.
    pub(crate) target: String,
    pub(crate) accept: &'static str,
    /// JSON.
    pub(crate) body: Option<String>,
}

impl Ask {
    /// A question whose answer is JSON.
    pub(super) fn get(purpose: &'static str, target: String) -> Self {
        Self {
            purpose,
            method: Method::GET,
            target,
            accept: "application/json",
            body: None,
        }
    }

    /// A message in JSON.
    pub(super) fn post(purpose: &'static str, target: String, body: String) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(purpose, target)
        }
    }

    pub(super) fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }
}

/// A text as one segment, or as the value of a parameter.
pub(crate) fn piece(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A path as one segment, as GitLab takes those of files.
pub(super) fn whole(path: &str) -> String {
    utf8_percent_encode(path, DOTS_TOO).to_string()
}

/// A path whose slashes stay.
pub(super) fn path(text: &str) -> String {
    text.split('/').map(piece).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_piece() {
        assert_eq!(piece("a b/../c?d=e#f&g"), "a%20b%2F..%2Fc%3Fd%3De%23f%26g");
        assert_eq!(
            whole(".spacelift/config.yml"),
            "%2Espacelift%2Fconfig%2Eyml"
        );
        assert_eq!(path("a b/c.d"), "a%20b/c.d");
    }
}
