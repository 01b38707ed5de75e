//! Who made a commit, when, and with which words.
//!
//! Takes a repository and a hash, fetches that one commit (without its files where the host can leave them
//! out) into a directory that is gone afterwards. Never: a working tree, a hook, a second commit's word for
//! it. The texts are claims of whoever pushed them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::git::{Call, MAX_KEPT, Outcome};
use super::memory::Key;
use super::url::shown;
use super::{ProbeError, SourceUrl, Sources, is_full_hash, last_line};

/// People wait for their trigger meanwhile.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The most that a host may send: a commit is small, but one that can't leave files out sends a tree.
const DISK_LIMIT: u64 = 64 << 20;

/// The most bytes of a message that are kept.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// The most bytes of a name that are kept.
const NAME_LIMIT: usize = 256;

/// What a commit says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The author's name.
    pub author: String,
    /// The message; its lines without control characters.
    pub message: String,
    /// When the commit was made, in Unix seconds.
    pub committed_at: i64,
}

impl Details {
    /// The texts without control characters, as long as they may be.
    pub fn bounded(author: &str, message: &str, committed_at: i64) -> Self {
        Self {
            author: cut(&plain(author), NAME_LIMIT),
            message: cut(&plain(message), MESSAGE_LIMIT),
            committed_at,
        }
    }
}

/// A directory of its own, removed when the call is over.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn make(home: &Path) -> std::io::Result<Self> {
        let path = home.join(format!("commit-{}", ulid::Ulid::generate()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "could not remove a fetched commit");
        }
    }
}

impl Sources {
    /// What commit `hash` of the repository says about itself.
    ///
    /// # Errors
    /// When the host does not serve it, sends too much, or is silent for 10 seconds.
    pub async fn details(&self, url: &SourceUrl, hash: &str) -> Result<Details, ProbeError> {
        self.details_within(url, hash, DISK_LIMIT).await
    }

    async fn details_within(
        &self,
        url: &SourceUrl,
        hash: &str,
        disk: u64,
    ) -> Result<Details, ProbeError> {
        let unknown = |answer: String| ProbeError::Details {
            url: shown(url),
            commit: hash.chars().take(64).collect(),
            answer,
        };
        if !is_full_hash(hash) {
            return Err(unknown("not a full commit hash".to_owned()));
        }
        let key = Key::new(url, hash);
        if let Some(details) = self.memory.details(key) {
            return Ok(details);
        }
        self.write_settings().map_err(ProbeError::Git)?;
        let scratch = Scratch::make(&self.home).map_err(ProbeError::Git)?;
        let format = match hash.len() {
            64 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        let calls: [(Option<&SourceUrl>, &[&str]); 3] = [
            (
                None,
                &["init", "--quiet", "--bare", "--template=", format, "."],
            ),
            (
                Some(url),
                &[
                    "fetch",
                    "--quiet",
                    "--depth=1",
                    "--filter=tree:0",
                    "--no-tags",
                    "--no-write-fetch-head",
                    "--no-recurse-submodules",
                    "--",
                    &url.text,
                    hash,
                ],
            ),
            (None, &["cat-file", "commit", hash]),
        ];
        let mut said = Vec::new();
        let work = async {
            for (url, arguments) in calls {
                let answered = self.answered((&scratch.0, disk), url, TIME_LIMIT, arguments);
                said = answered.await.map_err(unknown)?;
            }
            Ok(())
        };
        match tokio::time::timeout(TIME_LIMIT, work).await {
            Ok(done) => done?,
            Err(_) => return Err(unknown("no answer in time".to_owned())),
        }
        let details = parse(&said);
        let details = details.ok_or_else(|| unknown("the commit can't be read".to_owned()))?;
        self.memory.keep_details(key, &details);
        Ok(details)
    }

    /// What git says on standard output, or why it gave up.
    pub(super) async fn answered(
        &self,
        (directory, disk): (&Path, u64),
        url: Option<&SourceUrl>,
        limit: Duration,
        arguments: &[&str],
    ) -> Result<Vec<u8>, String> {
        let call = Call {
            sources: self,
            url,
            directory,
            limit,
            disk,
            most: MAX_KEPT,
        };
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let outcome = call.run(&arguments).await;
        match outcome.map_err(|error| format!("could not run `git`: {error}"))? {
            Outcome::Ended {
                code: Some(0),
                stdout,
                ..
            } => Ok(stdout),
            Outcome::Ended { stderr, .. } => Err(match url {
                Some(url) => url.told(self, &stderr),
                None => last_line(&stderr),
            }),
            Outcome::TimedOut => Err("no answer in time".to_owned()),
            Outcome::TooLarge => Err("the host sent too much".to_owned()),
        }
    }
}

/// Reads a commit object: header lines, an empty line, the message.
pub(super) fn parse(object: &[u8]) -> Option<Details> {
    let text = String::from_utf8_lossy(object);
    let (headers, message) = match text.split_once("\n\n") {
        Some(parts) => parts,
        // A message may be empty.
        None => (text.as_ref(), ""),
    };
    let header = |name: &str| {
        let mut lines = headers.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let author = header("author")?;
    let author = author.rsplit_once('<').map_or(author, |(name, _)| name);
    let time = header("committer")?.rsplit_once("> ")?.1;
    let committed_at = time.split(' ').next()?.parse().ok()?;
    Some(Details::bounded(author, message, committed_at))
}

/// Without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    let kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let text: String = text.chars().filter(kept).collect();
    text.trim().to_owned()
}

fn cut(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most.min(text.len()));
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcs_probe::testing::{git, sources};
    use proptest::prelude::*;

    #[test]
    fn commit_objects() {
        let object = "tree 1\nparent 2\nauthor A. <x> Person <a@b> 1 +0000\ncommitter B <b@c> 1760000000 +0200\n\
            gpgsig -----BEGIN\n author Nobody <n@n> 5 +0000\n\none\x1b[2J\n\ntwo\n";
        let found = parse(object.as_bytes()).unwrap();
        assert_eq!(found.author, "A. <x> Person");
        assert_eq!(found.message, "one[2J\n\ntwo");
        assert_eq!(found.committed_at, 1_760_000_000);
        let quiet = "tree 1\nauthor  <> 1 +0000\ncommitter  <> 7 +0000";
        let found = parse(quiet.as_bytes()).unwrap();
        assert_eq!((found.author.as_str(), found.message.as_str()), ("", ""));
        for broken in ["", "tree 1", "author a <b> 1 +0\ncommitter a <b> x +0"] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn no_object_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300), long in 0usize..20_000) {
            let _ = parse(&bytes);
            let object = format!("author ü <a> 1 +0\ncommitter ü <a> 1 +0\n\n{}", "ü".repeat(long));
            let found = parse(object.as_bytes()).unwrap();
            prop_assert!(found.message.len() <= MESSAGE_LIMIT);
        }
    }

    #[tokio::test]
    async fn any_commit_of_a_real_repository_and_nothing_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        std::fs::write(repo.join("file"), "content").unwrap();
        git(&repo, &["add", "file"]);
        git(&repo, &["commit", "-q", "-m", "one\n\nand why"]);
        let first = git(&repo, &["rev-parse", "HEAD"]);
        git(&repo, &["commit", "-q", "--allow-empty", "-m", "two"]);
        let first_sources = sources(dir.path());
        let url = first_sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        for filtered in ["true", "false"] {
            git(&repo, &["config", "uploadpack.allowFilter", filtered]);
            // One that remembers nothing yet.
            let sources = sources(dir.path());
            let found = sources.details(&url, &first).await.unwrap();
            assert_eq!(found.author, "t");
            assert_eq!(found.message, "one\n\nand why");
            let time = git(&repo, &["log", "-1", "--format=%ct", &first]);
            assert_eq!(found.committed_at.to_string(), time);
        }
        let sources = first_sources;
        let missing = sources.details(&url, &"a".repeat(40)).await.unwrap_err();
        assert!(missing.to_string().contains(&"a".repeat(40)), "{missing}");
        assert!(sources.details(&url, "--upload-pack=id").await.is_err());
        let left: Vec<_> = std::fs::read_dir(&sources.home)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["gitconfig"]);
    }

    #[tokio::test]
    async fn a_host_that_sends_too_much_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        // Bytes that do not compress.
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..1 << 20)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        std::fs::write(repo.join("noise"), noise).unwrap();
        git(&repo, &["add", "."]);
        git(&repo, &["commit", "-q", "-m", "large"]);
        let head = git(&repo, &["rev-parse", "HEAD"]);
        let sources = sources(dir.path());
        let url = sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        git(&repo, &["config", "uploadpack.allowFilter", "false"]);
        let refused = sources.details_within(&url, &head, 512 << 10).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.ends_with("the host sent too much"), "{text}");
        assert!(sources.details(&url, &head).await.is_ok());
    }
}
