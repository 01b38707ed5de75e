//! What hosts said of commits: a hash stands for the same content for ever, so that it is asked for once.
//!
//! Takes a repository with its login and a hash, gives what was found for them before. Never: an answer that was given to
//! another login, a "no" that may be a "yes" later, or more than a few hundred commits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gantry_protocol::ids::Digest;

use super::{Details, Found, SourceUrl};

/// Commits that are remembered.
const COMMITS: usize = 256;

/// The longest text that is remembered, in bytes; settings in repositories are shorter.
const TEXT: usize = 8 * 1024;

/// The memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Key, Known>,
    /// The oldest first.
    order: VecDeque<Key>,
}

#[derive(Debug, Default)]
struct Known {
    details: Option<Details>,
    file: Option<(&'static str, Found)>,
}

/// One commit of one repository, as one login sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Digest);

impl Key {
    pub(super) fn new(url: &SourceUrl, hash: &str) -> Self {
        let mut whole = format!("{}\0{hash}\0", url.text);
        for (name, value) in url.settings() {
            whole += &format!("{name}={}\0", value.expose());
        }
        Self(Digest::of(whole.as_bytes()))
    }
}

impl Memory {
    pub(super) fn details(&self, key: Key) -> Option<Details> {
        self.lock().known.get(&key)?.details.clone()
    }

    pub(super) fn file(&self, key: Key, path: &str) -> Option<Found> {
        let inner = self.lock();
        let (known, found) = inner.known.get(&key)?.file.as_ref()?;
        (*known == path).then(|| found.clone())
    }

    pub(super) fn keep_details(&self, key: Key, details: &Details) {
        self.lock().entry(key).details = Some(details.clone());
    }

    pub(super) fn keep_file(&self, key: Key, path: &'static str, found: &Found) {
        match found {
            // It may be pushed yet.
            Found::NoCommit => {}
            Found::Text(text) if text.len() > TEXT => {}
            Found::Text(_) | Found::Nothing => {
                self.lock().entry(key).file = Some((path, found.clone()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn entry(&mut self, key: Key) -> &mut Known {
        if !self.known.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > COMMITS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        self.known.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcs_probe::testing::sources;
    use gantry_protocol::Secret;
    use gantry_protocol::payload::GitCredentials;

    const PATH: &str = ".spacelift/config.yml";

    fn url() -> SourceUrl {
        let sources = sources(std::path::Path::new("/nonexistent"));
        sources.check("https://git.example/acme/net.git").unwrap()
    }

    #[test]
    fn what_one_login_was_told_no_other_is() {
        let login = |password: &str| GitCredentials {
            username: "ann".to_owned(),
            password: Secret::new(password),
        };
        let hash = "a".repeat(40);
        let memory = Memory::default();
        let known = Key::new(&url().with_login(Some(login("one"))), &hash);
        memory.keep_file(known, PATH, &Found::Nothing);
        memory.keep_details(known, &Details::bounded("ann", "why", 1));
        assert_eq!(memory.file(known, PATH), Some(Found::Nothing));
        assert_eq!(memory.file(known, "other"), None);
        for other in [
            Key::new(&url().with_login(Some(login("two"))), &hash),
            Key::new(&url(), &hash),
            Key::new(&url().with_login(Some(login("one"))), &"b".repeat(40)),
        ] {
            assert_eq!(memory.file(other, PATH), None);
            assert_eq!(memory.details(other), None);
        }
    }

    #[test]
    fn neither_a_commit_that_is_not_there_nor_what_is_long_is_kept_and_the_oldest_goes() {
        let memory = Memory::default();
        let key = |number: usize| Key::new(&url(), &format!("{number:040x}"));
        for found in [Found::NoCommit, Found::Text("#".repeat(TEXT + 1))] {
            memory.keep_file(key(0), PATH, &found);
            assert_eq!(memory.file(key(0), PATH), None);
        }
        for number in 0..=COMMITS {
            memory.keep_file(key(number), PATH, &Found::Text(number.to_string()));
        }
        assert_eq!(memory.file(key(0), PATH), None);
        for number in 1..=COMMITS {
            let text = Found::Text(number.to_string());
            assert_eq!(memory.file(key(number), PATH), Some(text));
        }
        let inner = memory.lock();
        assert_eq!((inner.known.len(), inner.order.len()), (COMMITS, COMMITS));
    }
}
