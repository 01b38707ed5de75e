//! Why a commit can't be fetched, and what git meant.
//!
//! Takes git's words (secrets already taken out), gives [`FetchError`]. Never: an error that does not name
//! repository and commit.

use std::fmt;
use std::time::Duration;

use super::request::Checked;
use crate::workspace::Bounds;

/// Longest quotation of git, in characters: its end, where the reason stands.
const MAX_SAID: usize = 1500;

/// What was to be fetched, in printable form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    repository: String,
    commit: String,
}

impl Subject {
    pub(super) fn new(repository: &str, commit: &str) -> Self {
        let printable = |text: &str, most: usize| -> String {
            let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            text.chars().take(most).map(plain).collect()
        };
        Self {
            repository: printable(repository, 200),
            commit: printable(commit, 64),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "commit {} of repository `{}`",
            self.commit, self.repository
        )
    }
}

/// Why a commit can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request breaks a rule; nothing was contacted.
    #[error("{subject} is not fetched: {rule}")]
    Refused {
        /// What.
        subject: Subject,
        /// The rule, and what to do.
        rule: &'static str,
    },
    /// The address is one of the host's own.
    #[error("{subject} is not fetched: `{host}` is {address}, and repositories there are refused")]
    ForbiddenAddress {
        /// What.
        subject: Subject,
        /// The URL's host.
        host: String,
        /// Its address.
        address: std::net::IpAddr,
    },
    /// The name has no address.
    #[error("{subject} can't be fetched: host `{host}` was not found")]
    UnknownHost {
        /// What.
        subject: Subject,
        /// The URL's host.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No such repository, or no way to it.
    #[error("{subject} can't be fetched: the repository is missing or can't be reached: {said}")]
    Unreachable {
        /// What.
        subject: Subject,
        /// Git's words.
        said: String,
    },
    /// The server wants (other) credentials.
    #[error(
        "{subject} can't be fetched: the server refused the credentials, or wants some: {said}"
    )]
    AuthNeeded {
        /// What.
        subject: Subject,
        /// Git's words.
        said: String,
    },
    /// The repository is there, the commit is not.
    #[error(
        "{subject} does not exist there, neither by itself nor on any branch (asked for branch `{branch}`)"
    )]
    UnknownCommit {
        /// What.
        subject: Subject,
        /// The branch.
        branch: String,
    },
    /// What was checked out is something else.
    #[error("{subject} was fetched, but the checkout is at `{found}`")]
    OtherCommit {
        /// What.
        subject: Subject,
        /// Where the checkout is.
        found: String,
    },
    /// Too many files or bytes.
    #[error("{subject} is larger than this host allows ({} files, {} bytes)", bounds.entries, bounds.bytes)]
    TooLarge {
        /// What.
        subject: Subject,
        /// The limits.
        bounds: Bounds,
    },
    /// Took too long.
    #[error("{subject} was not fetched within {} s", limit.as_secs())]
    TimedOut {
        /// What.
        subject: Subject,
        /// The limit.
        limit: Duration,
    },
    /// Git failed otherwise.
    #[error("git could not {step} {subject}: {said}")]
    Git {
        /// What.
        subject: Subject,
        /// Which step.
        step: &'static str,
        /// Git's words.
        said: String,
    },
    /// Git is not there.
    #[error("could not start git: is it installed on this host?")]
    NotStarted {
        /// Why.
        source: std::io::Error,
    },
    /// Git is too old.
    #[error("this host's git is `{found}`, and 2.37 is the oldest that pins addresses")]
    GitVersion {
        /// What it says.
        found: String,
    },
    /// The disk said no.
    #[error("could not prepare the directories for {subject}")]
    Disk {
        /// What.
        subject: Subject,
        /// Why.
        source: std::io::Error,
    },
}

impl FetchError {
    pub(super) fn version(found: &str) -> Self {
        Self::GitVersion {
            found: found.chars().take(100).collect(),
        }
    }
}

impl Checked {
    pub(super) fn disk(&self, source: std::io::Error) -> FetchError {
        let subject = self.subject.clone();
        FetchError::Disk { subject, source }
    }

    pub(super) fn timed_out(&self, limit: Duration) -> FetchError {
        let subject = self.subject.clone();
        FetchError::TimedOut { subject, limit }
    }

    pub(super) fn too_large(&self, bounds: Bounds) -> FetchError {
        let subject = self.subject.clone();
        FetchError::TooLarge { subject, bounds }
    }

    pub(super) fn unknown_commit(&self) -> FetchError {
        FetchError::UnknownCommit {
            subject: self.subject.clone(),
            branch: self.branch.clone(),
        }
    }

    pub(super) fn other_commit(&self, found: &str) -> FetchError {
        FetchError::OtherCommit {
            subject: self.subject.clone(),
            found: found.chars().take(64).collect(),
        }
    }

    pub(super) fn auth_needed(&self, said: String) -> FetchError {
        let subject = self.subject.clone();
        FetchError::AuthNeeded { subject, said }
    }

    pub(super) fn unreachable(&self, said: String) -> FetchError {
        let subject = self.subject.clone();
        FetchError::Unreachable { subject, said }
    }

    pub(super) fn git(&self, step: &'static str, said: String) -> FetchError {
        let subject = self.subject.clone();
        FetchError::Git {
            subject,
            step,
            said,
        }
    }
}

/// What git's words mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Auth,
    Unreachable,
    Other,
}

/// Git has one exit code for everything, so its words (in the C locale) are the only evidence.
pub(super) fn classify(said: &str) -> Kind {
    const AUTH: [&str; 6] = [
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "Permission denied (",
        "returned error: 401",
        "returned error: 403",
    ];
    const UNREACHABLE: [&str; 13] = [
        "does not appear to be a git repository",
        "does not exist",
        "not found",
        "unable to access",
        "unable to update url base from redirection",
        "Could not read from remote repository",
        "Could not resolve host",
        "Connection refused",
        "Connection timed out",
        "Host key verification failed",
        "No user exists for uid",
        "detected dubious ownership",
        "early EOF",
    ];
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // "couldn't find remote ref" is a matter of branches; ssh ends every failure with "could not read".
    if has(&[
        "couldn't find remote ref",
        "not our ref",
        "unadvertised object",
    ]) {
        return Kind::Other;
    }
    match (has(&AUTH), has(&UNREACHABLE)) {
        (true, _) => Kind::Auth,
        (false, true) => Kind::Unreachable,
        (false, false) => Kind::Other,
    }
}

/// The end of git's words on one line.
pub(super) fn one_line(said: &str) -> String {
    let words: Vec<&str> = said.split_whitespace().collect();
    let line = words.join(" ");
    let count = line.chars().count();
    let line: String = line.chars().skip(count.saturating_sub(MAX_SAID)).collect();
    line.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_words() {
        let cases = [
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                Kind::Auth,
            ),
            (
                "fatal: Authentication failed for 'https://h/x/'",
                Kind::Auth,
            ),
            (
                "git@h: Permission denied (publickey). fatal: Could not read from remote repository.",
                Kind::Auth,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 403",
                Kind::Auth,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 500",
                Kind::Unreachable,
            ),
            (
                "fatal: repository 'https://h/x/' not found",
                Kind::Unreachable,
            ),
            (
                "fatal: '/x' does not appear to be a git repository",
                Kind::Unreachable,
            ),
            (
                "Host key verification failed. fatal: Could not read from remote repository.",
                Kind::Unreachable,
            ),
            ("fatal: couldn't find remote ref refs/heads/x", Kind::Other),
            (
                "fatal: remote error: upload-pack: not our ref 0123",
                Kind::Other,
            ),
            (
                "error: Server does not allow request for unadvertised object 0123",
                Kind::Other,
            ),
        ];
        for (said, kind) in cases {
            assert_eq!(classify(said), kind, "{said}");
        }
    }

    #[test]
    fn quotations_are_bounded_lines() {
        let said = one_line(&format!("a\n\u{7}b {}the end", "x ".repeat(5000)));
        assert!(said.ends_with("the end") && said.chars().count() <= MAX_SAID);
        assert!(!said.contains(char::is_control));
    }
}
