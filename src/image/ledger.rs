//! Which images this launcher pulled, and when a run used each last.
//!
//! Takes pulls and uses, gives what may be removed. Lives in one small file of the data directory. Never: an
//! image listed that this launcher did not pull, so that what others put on the host is never touched.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::hold::{Claim, Hold, Holds};
use crate::durable;

/// The file that keeps it.
const FILE: &str = "images.json";

/// Pulled images by `registry/repository@digest`; clones share them.
#[derive(Clone, Debug)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    known: Mutex<Known>,
    holds: Holds,
}

/// The images, and whether the file says the same.
#[derive(Debug, Default)]
struct Known {
    images: BTreeMap<String, Record>,
    unsaved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Unix seconds.
    last_used: i64,
}

impl Record {
    fn is_unused_for(self, seconds: i64) -> bool {
        self.last_used <= now().saturating_sub(seconds)
    }
}

impl Ledger {
    /// Opens the ledger of a data directory. A damaged one starts anew: its images are no longer known to be
    /// ours, and stay.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        let images = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the list of pulled images is damaged; images pulled so far stay");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let known = Mutex::new(Known {
            images,
            unsaved: false,
        });
        let holds = Holds::default();
        let inner = Arc::new(Inner { path, known, holds });
        Ok(Self { inner })
    }

    /// The image is about to be pulled: from here on it is ours.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn pulling(&self, image: &str) -> io::Result<()> {
        let last_used = now();
        self.known()
            .images
            .insert(image.to_owned(), Record { last_used });
        self.write()
    }

    /// A run uses the image: waits until nobody removes it, and keeps it while the answer is there.
    pub async fn hold(&self, image: &str) -> Hold {
        let hold = self.inner.holds.hold(image).await;
        self.used(image);
        hold
    }

    /// To remove the image: nothing where a run is about to use it, or has begun to within `seconds`.
    pub fn claim(&self, image: &str, seconds: i64) -> Option<Claim> {
        let claim = self.inner.holds.claim(image)?;
        let known = self.known();
        let record = known.images.get(image)?;
        record.is_unused_for(seconds).then_some(claim)
    }

    /// Written with the next [`Ledger::save`]: a start does not wait for the disk.
    fn used(&self, image: &str) {
        let mut known = self.known();
        if let Some(record) = known.images.get_mut(image) {
            record.last_used = now();
            known.unsaved = true;
        }
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn save(&self) -> io::Result<()> {
        let unsaved = self.known().unsaved;
        if unsaved { self.write() } else { Ok(()) }
    }

    /// The image is gone.
    ///
    /// # Errors
    /// What the disk says.
    pub fn forget(&self, image: &str) -> io::Result<()> {
        self.known().images.remove(image);
        self.write()
    }

    /// Images that no run has used for `seconds`, the one used longest ago first.
    pub fn unused_for(&self, seconds: i64) -> Vec<String> {
        let known = self.known();
        let old = known
            .images
            .iter()
            .filter(|(_, record)| record.is_unused_for(seconds));
        let mut old: Vec<_> = old
            .map(|(image, record)| (record.last_used, image.clone()))
            .collect();
        old.sort();
        old.into_iter().map(|(_, image)| image).collect()
    }

    /// The image that a run used last.
    pub fn newest(&self) -> Option<String> {
        let known = self.known();
        let newest = known
            .images
            .iter()
            .max_by_key(|(_, record)| record.last_used);
        newest.map(|(image, _)| image.clone())
    }

    fn write(&self) -> io::Result<()> {
        let mut known = self.known();
        let bytes = serde_json::to_vec(&known.images).expect("invariant: plain data serialises");
        durable::replace(&self.inner.path, &bytes)?;
        known.unsaved = false;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_pulled_here_is_known_also_after_a_restart() {
        let temp = tempfile::tempdir().expect("temp dir");
        let ledger = Ledger::open(temp.path()).expect("opens");
        ledger.used("stranger@sha256:1");
        assert_eq!(ledger.unused_for(0), Vec::<String>::new());
        ledger.pulling("ours@sha256:2").expect("written");
        let again = Ledger::open(temp.path()).expect("opens");
        assert_eq!(again.unused_for(0), ["ours@sha256:2"]);
        assert_eq!(again.unused_for(60), Vec::<String>::new(), "just used");
        again.forget("ours@sha256:2").expect("written");
        assert_eq!(Ledger::open(temp.path()).expect("opens").newest(), None);
    }

    #[test]
    fn the_longest_unused_comes_first_and_a_use_counts() {
        let temp = tempfile::tempdir().expect("temp dir");
        let old = |n: i64| now() - n;
        let images = serde_json::json!({
            "a@1": { "last_used": old(100) },
            "b@2": { "last_used": old(300) },
            "c@3": { "last_used": old(200) },
        });
        fs::write(temp.path().join(FILE), images.to_string()).expect("file");
        let ledger = Ledger::open(temp.path()).expect("opens");
        assert_eq!(ledger.unused_for(150), ["b@2", "c@3"]);
        ledger.used("b@2");
        ledger.save().expect("written");
        let again = Ledger::open(temp.path()).expect("opens");
        assert_eq!(again.unused_for(50), ["c@3", "a@1"]);
        assert_eq!(again.newest().as_deref(), Some("b@2"));
    }

    #[tokio::test]
    async fn what_a_run_wanted_meanwhile_is_not_removed() {
        let temp = tempfile::tempdir().expect("temp dir");
        let images = serde_json::json!({ "a@1": { "last_used": now() - 100 } });
        fs::write(temp.path().join(FILE), images.to_string()).expect("file");
        let ledger = Ledger::open(temp.path()).expect("opens");
        assert_eq!(ledger.unused_for(50), ["a@1"]);
        assert!(ledger.claim("a@1", 50).is_some());
        assert!(ledger.claim("of-others@1", 50).is_none());
        let hold = ledger.hold("a@1").await;
        assert!(ledger.claim("a@1", 0).is_none(), "it is held");
        drop(hold);
        assert!(ledger.claim("a@1", 50).is_none(), "it was used just now");
        assert!(ledger.claim("a@1", 0).is_some());
    }

    #[test]
    fn a_damaged_file_claims_nothing() {
        let temp = tempfile::tempdir().expect("temp dir");
        fs::write(temp.path().join(FILE), b"{torn").expect("file");
        let ledger = Ledger::open(temp.path()).expect("opens");
        assert_eq!(ledger.unused_for(0), Vec::<String>::new());
    }
}
