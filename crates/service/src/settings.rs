//! Where a daemon's settings come from.
//!
//! Takes names, gives values: of variables, or of the credentials that the service manager hands over in files of the
//! same names. Never: a value in an error or a log line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where values come from: the environment, or a map in tests.
pub trait Source {
    /// The value of `name`; `None` when unset. An empty value counts as unset.
    fn get(&self, name: &str) -> Option<String>;

    /// Every set name that begins with `prefix`.
    fn names_with(&self, prefix: &str) -> Vec<String>;
}

/// The process's environment.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl Source for Environment {
    fn get(&self, name: &str) -> Option<String> {
        variable(name).or_else(|| credential(&credentials()?.join(name)))
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        let handed = credentials().and_then(|dir| std::fs::read_dir(dir).ok());
        let handed = handed.into_iter().flatten().flatten();
        let handed = handed.map(|entry| entry.file_name());
        let mut found: Vec<String> = variables()
            .chain(handed)
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.starts_with(prefix))
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the environment"
)]
fn variables() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

/// Where systemd lays the files of `LoadCredential=` and `LoadCredentialEncrypted=`.
fn credentials() -> Option<PathBuf> {
    variable("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// A file's text without the line feed at its end; one that is not there counts as unset.
fn credential(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
    (!text.is_empty()).then_some(text)
}

impl Source for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    fn names_with(&self, prefix: &str) -> Vec<String> {
        self.keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_its_file_without_the_last_line_feed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("SPACELIFT_TOKEN");
        assert_eq!(credential(&file), None);
        for (content, expected) in [("abc\n", Some("abc")), ("a\nb", Some("a\nb")), ("\n", None)] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(credential(&file).as_deref(), expected);
        }
    }
}
