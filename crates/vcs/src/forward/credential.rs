//! A credential that the agent holds, so that the gateway needs none.
//!
//! Takes `bearer:TOKEN`, `private-token:TOKEN` or `basic:USER:PASSWORD`, from a variable or a file, gives the header
//! that carries it. Never: the credential in an error, a log line or a debug print. A file is read again when it
//! changes, so that what is in it can rotate.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// Largest file that is looked at, in bytes.
const LIMIT: u64 = 64 * 1024;

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The text is of no known kind.
    #[error(
        "the credential is none of `bearer:TOKEN`, `private-token:TOKEN`, `basic:USER:PASSWORD`"
    )]
    Kind,
    /// A header can't carry it.
    #[error("the credential has characters that a header can't carry")]
    Characters,
    /// The file.
    #[error("the credential file `{}` can't be read", path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("the credential file `{}` has more than {LIMIT} bytes", path.display())]
    TooLarge {
        /// As configured.
        path: PathBuf,
    },
}

/// What the host is shown.
#[derive(Clone)]
pub struct Shown {
    /// The header.
    pub name: HeaderName,
    /// Its value, marked as sensitive.
    pub value: HeaderValue,
}

impl fmt::Debug for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Shown({})", self.name)
    }
}

/// A credential that this agent holds.
pub struct Credential {
    origin: Origin,
}

enum Origin {
    Fixed(Shown),
    File {
        path: PathBuf,
        read: Mutex<(Stamp, Shown)>,
    },
}

/// What changes when a file is replaced or rewritten.
type Stamp = (u64, u64, u64, i64, i64);

impl Credential {
    /// One that stays as it is.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn fixed(text: &Secret) -> Result<Self, CredentialError> {
        let origin = Origin::Fixed(parse(text.expose())?);
        Ok(Self { origin })
    }

    /// One in a file; what is in it now must be good.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn in_file(path: &Path) -> Result<Self, CredentialError> {
        let read = Mutex::new(read(path)?);
        let path = path.to_owned();
        Ok(Self {
            origin: Origin::File { path, read },
        })
    }

    /// What the host is to be shown now.
    ///
    /// # Errors
    /// The file has changed into something that is no credential, or is gone.
    pub fn now(&self) -> Result<Shown, CredentialError> {
        let (path, kept) = match &self.origin {
            Origin::Fixed(shown) => return Ok(shown.clone()),
            Origin::File { path, read } => (path, read),
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != stamp(path)? {
            *kept = read(path)?;
        }
        Ok(kept.1.clone())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Credential(*****)")
    }
}

fn stamp(path: &Path) -> Result<Stamp, CredentialError> {
    let found = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    let changed = (found.mtime(), found.mtime_nsec());
    Ok((found.dev(), found.ino(), found.size(), changed.0, changed.1))
}

fn read(path: &Path) -> Result<(Stamp, Shown), CredentialError> {
    // Taken first: a change while the file is read is seen the next time.
    let stamp = stamp(path)?;
    if stamp.2 > LIMIT {
        let path = path.to_owned();
        return Err(CredentialError::TooLarge { path });
    }
    let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
    let text = Secret::new(text);
    Ok((stamp, parse(text.expose())?))
}

fn unreadable(path: &Path, source: std::io::Error) -> CredentialError {
    let path = path.to_owned();
    CredentialError::File { path, source }
}

fn parse(text: &str) -> Result<Shown, CredentialError> {
    let (kind, rest) = text.trim().split_once(':').ok_or(CredentialError::Kind)?;
    let (name, value) = match kind {
        "bearer" => (AUTHORIZATION, Secret::new(format!("Bearer {rest}"))),
        "private-token" => (HeaderName::from_static("private-token"), Secret::new(rest)),
        "basic" if rest.contains(':') => {
            let encoded = Secret::new(STANDARD.encode(rest));
            (
                AUTHORIZATION,
                Secret::new(format!("Basic {}", encoded.expose())),
            )
        }
        _ => return Err(CredentialError::Kind),
    };
    if rest.is_empty() || rest == ":" {
        return Err(CredentialError::Kind);
    }
    let mut value =
        HeaderValue::from_str(value.expose()).map_err(|_| CredentialError::Characters)?;
    value.set_sensitive(true);
    Ok(Shown { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kinds_are_known() {
        let rows = [
            ("bearer:t1", "authorization", "Bearer t1"),
            ("private-token: t1\n", "private-token", " t1"),
            (
                "basic:me:pass:word",
                "authorization",
                "Basic bWU6cGFzczp3b3Jk",
            ),
        ];
        for (text, name, value) in rows {
            let shown = Credential::fixed(&Secret::new(text))
                .unwrap()
                .now()
                .unwrap();
            assert_eq!(
                (shown.name.as_str(), shown.value.as_bytes()),
                (name, value.as_bytes())
            );
            assert!(!format!("{shown:?}").contains("t1"));
        }
        for text in [
            "",
            "t1",
            "token:t1",
            "bearer:",
            "basic:me",
            "basic::",
            "private-token:",
            "bearer:a\nb",
        ] {
            assert!(Credential::fixed(&Secret::new(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credential");
        assert!(matches!(
            Credential::in_file(&path),
            Err(CredentialError::File { .. })
        ));
        fs::write(&path, "bearer:one").unwrap();
        let credential = Credential::in_file(&path).unwrap();
        assert_eq!(credential.now().unwrap().value, "Bearer one");
        let next = dir.path().join("next");
        fs::write(&next, "private-token:two").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(credential.now().unwrap().value, "two");
        fs::write(&path, "nothing of the kind").unwrap();
        let error = credential.now().unwrap_err();
        assert!(matches!(error, CredentialError::Kind), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(credential.now().is_err());
    }
}
