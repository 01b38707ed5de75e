//! One file of a commit, and whether a commit is on a branch.
//!
//! Takes a repository, a hash and a fixed path, fetches as little as the host lets it (no history for a file, no
//! files for a history) into a directory that is gone afterwards. Never: a checkout, a link followed, a file
//! beyond its bound.

use std::time::Duration;

use super::details::{Scratch, parse};
use super::git::MAX_KEPT;
use super::memory::Key;
use super::url::shown;
use super::{ProbeError, SourceUrl, Sources, check_branch, is_full_hash};

/// People wait for their trigger meanwhile.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(20);

/// The most that a host may send.
const DISK_LIMIT: u64 = 64 << 20;

/// What hosts say of a commit that they do not have, or do not give.
const NOT_SERVED: [&str; 4] = [
    "not our ref",
    "couldn't find remote ref",
    "unadvertised object",
    "no such remote ref",
];

/// What a commit has under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This text.
    Text(String),
    /// Nothing.
    Nothing,
    /// The host does not have the commit, or does not give it.
    NoCommit,
}

impl Sources {
    /// The text of the regular file `path` in commit `hash`.
    ///
    /// # Errors
    /// When the host does not answer, when the file is longer than 64 KiB, no text, or no regular file.
    pub async fn file(
        &self,
        url: &SourceUrl,
        hash: &str,
        path: &'static str,
    ) -> Result<Found, ProbeError> {
        let unread = |answer: String| ProbeError::File {
            path,
            commit: hash.chars().take(64).collect(),
            url: shown(url),
            answer,
        };
        if !is_full_hash(hash) {
            return Err(unread("not a full commit hash".to_owned()));
        }
        let key = Key::new(url, hash);
        if let Some(found) = self.memory.file(key, path) {
            return Ok(found);
        }
        let scratch = self.scratch(hash).await?;
        let work = async {
            let fetched = scratch.fetch(url, &["--depth=1", "--filter=blob:none"], hash);
            match fetched.await {
                Ok(_) => {}
                Err(answer) if NOT_SERVED.iter().any(|said| answer.contains(said)) => {
                    return Ok(Found::NoCommit);
                }
                Err(answer) => return Err(unread(answer)),
            }
            // Whoever makes a run asks for the commit's details next, and here they are.
            let commit = ["cat-file", "commit", hash];
            let (found, commit) =
                tokio::join!(scratch.text_of(url, hash, path), scratch.git(None, &commit));
            if let Some(details) = commit.ok().and_then(|commit| parse(&commit)) {
                self.memory.keep_details(key, &details);
            }
            match found {
                Ok(found) => {
                    self.memory.keep_file(key, path, &found);
                    Ok(found)
                }
                Err(Unfit::Unread(answer)) => Err(unread(answer)),
                Err(Unfit::Bad(rule)) => Err(ProbeError::BadFile {
                    path,
                    commit: hash.to_owned(),
                    url: shown(url),
                    rule,
                }),
            }
        };
        match tokio::time::timeout(TIME_LIMIT, work).await {
            Ok(done) => done,
            Err(_) => Err(unread("no answer in time".to_owned())),
        }
    }

    /// Whether commit `hash` is the head of `branch` or one before it.
    ///
    /// # Errors
    /// When the host does not answer, or its history is too large to look at.
    pub async fn is_on_branch(
        &self,
        url: &SourceUrl,
        branch: &str,
        hash: &str,
    ) -> Result<bool, ProbeError> {
        check_branch(branch)?;
        let failed = |answer: String| ProbeError::Failed {
            url: shown(url),
            branch: branch.to_owned(),
            answer,
        };
        if !is_full_hash(hash) {
            return Ok(false);
        }
        let scratch = self.scratch(hash).await?;
        let refspec = format!("refs/heads/{branch}:refs/heads/it");
        let contains = format!("--contains={hash}");
        let work = async {
            let fetched = scratch.fetch(url, &["--filter=tree:0"], &refspec);
            fetched.await.map_err(failed)?;
            // A commit that the branch's history does not have is unknown here: git refuses to look for it.
            let words = ["for-each-ref", &contains, "refs/heads/it"];
            let listed = scratch.git(None, &words).await;
            Ok(listed.is_ok_and(|out| !out.is_empty()))
        };
        match tokio::time::timeout(TIME_LIMIT, work).await {
            Ok(done) => done,
            Err(_) => Err(failed("no answer in time".to_owned())),
        }
    }

    pub(super) async fn scratch(&self, hash: &str) -> Result<Repository<'_>, ProbeError> {
        self.write_settings().map_err(ProbeError::Git)?;
        let directory = Scratch::make(&self.home).map_err(ProbeError::Git)?;
        let repository = Repository {
            sources: self,
            directory,
        };
        let format = match hash.len() {
            64 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        let words = ["init", "--quiet", "--bare", "--template=", format, "."];
        let made = repository.git(None, &words).await;
        made.map_err(|answer| ProbeError::Git(std::io::Error::other(answer)))?;
        Ok(repository)
    }
}

/// Why there is no text: git did not get it, or it is none that is taken.
enum Unfit {
    Unread(String),
    Bad(&'static str),
}

impl From<String> for Unfit {
    fn from(answer: String) -> Self {
        Self::Unread(answer)
    }
}

/// A bare repository that is gone when it is dropped.
pub(super) struct Repository<'a> {
    sources: &'a Sources,
    directory: Scratch,
}

impl Repository<'_> {
    pub(super) async fn fetch(
        &self,
        url: &SourceUrl,
        how: &[&str],
        what: &str,
    ) -> Result<Vec<u8>, String> {
        let mut words = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        words.push("--no-recurse-submodules");
        words.extend(how);
        words.extend(["--", &url.text, what]);
        self.git(Some(url), &words).await
    }

    /// What git says on standard output, or why it gave up.
    pub(super) async fn git(
        &self,
        url: Option<&SourceUrl>,
        words: &[&str],
    ) -> Result<Vec<u8>, String> {
        let place = (self.directory.path(), DISK_LIMIT);
        let answered = self.sources.answered(place, url, TIME_LIMIT, words);
        answered.await
    }

    async fn text_of(
        &self,
        url: &SourceUrl,
        hash: &str,
        path: &'static str,
    ) -> Result<Found, Unfit> {
        let listed = self.git(None, &["ls-tree", "-z", hash, "--", path]).await?;
        if listed.is_empty() {
            return Ok(Found::Nothing);
        }
        let blob = blob_in(&listed).ok_or(Unfit::Bad("it is no regular file"))?;
        let size = ["cat-file", "-s", &blob];
        let said = match self.git(None, &size).await {
            Ok(said) => said,
            Err(_) => {
                self.fetch(url, &["--filter=blob:none"], &blob).await?;
                self.git(None, &size).await?
            }
        };
        let bytes: Option<usize> = String::from_utf8_lossy(&said).trim().parse().ok();
        if bytes.is_none_or(|bytes| bytes > MAX_KEPT) {
            return Err(Unfit::Bad("it is longer than 64 KiB"));
        }
        let text = self.git(None, &["cat-file", "blob", &blob]).await?;
        let text = String::from_utf8(text).map_err(|_| Unfit::Bad("it is no text in UTF-8"))?;
        Ok(Found::Text(text))
    }
}

/// The object of a listing's one line, if it is a regular file's.
fn blob_in(listed: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(listed).ok()?;
    let (what, _) = text.split_once('\t')?;
    let mut words = what.split(' ');
    let (mode, kind, id) = (words.next()?, words.next()?, words.next()?);
    let regular = matches!(mode, "100644" | "100755") && kind == "blob";
    (regular && is_full_hash(id)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcs_probe::testing::{git, sources};
    use std::path::Path;

    const PATH: &str = ".spacelift/config.yml";

    fn commit(repo: &Path, text: &str) -> String {
        std::fs::create_dir_all(repo.join(".spacelift")).unwrap();
        std::fs::write(repo.join(PATH), text).unwrap();
        git(repo, &["add", "-A"]);
        git(repo, &["commit", "-q", "--allow-empty", "-m", "x"]);
        git(repo, &["rev-parse", "HEAD"])
    }

    #[tokio::test]
    async fn a_file_of_any_commit_and_nothing_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        git(&repo, &["commit", "-q", "--allow-empty", "-m", "empty"]);
        let empty = git(&repo, &["rev-parse", "HEAD"]);
        let first = commit(&repo, "version: 1\n");
        let second = commit(&repo, "version: 2\n");
        let first_sources = sources(dir.path());
        let url = first_sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        for filtered in ["true", "false"] {
            git(&repo, &["config", "uploadpack.allowFilter", filtered]);
            // One that remembers nothing yet.
            let sources = sources(dir.path());
            for (hash, expected) in [
                (&empty, Found::Nothing),
                (&first, Found::Text("version: 1\n".to_owned())),
                (&second, Found::Text("version: 2\n".to_owned())),
                (&"a".repeat(40), Found::NoCommit),
            ] {
                assert_eq!(sources.file(&url, hash, PATH).await.unwrap(), expected);
            }
        }
        let left: Vec<_> = std::fs::read_dir(&first_sources.home)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["gitconfig"]);
    }

    #[tokio::test]
    async fn a_commit_is_asked_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        let hash = commit(&repo, "version: 1\n");
        let sources = sources(dir.path());
        let url = sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        let text = Found::Text("version: 1\n".to_owned());
        assert_eq!(sources.file(&url, &hash, PATH).await.unwrap(), text);
        // From here on only what is remembered can answer.
        std::fs::remove_dir_all(&repo).unwrap();
        assert_eq!(sources.file(&url, &hash, PATH).await.unwrap(), text);
        let details = sources.details(&url, &hash).await.unwrap();
        assert_eq!(
            (details.author.as_str(), details.message.as_str()),
            ("t", "x")
        );
        assert!(sources.file(&url, &hash, "other").await.is_err());
        assert!(sources.details(&url, &"a".repeat(40)).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_plain_short_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        git(&repo, &["config", "uploadpack.allowFilter", "true"]);
        let long = commit(&repo, &"#".repeat(MAX_KEPT + 1));
        std::fs::remove_file(repo.join(PATH)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", repo.join(PATH)).unwrap();
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-q", "-m", "link"]);
        let link = git(&repo, &["rev-parse", "HEAD"]);
        std::fs::remove_file(repo.join(PATH)).unwrap();
        std::fs::create_dir(repo.join(PATH)).unwrap();
        std::fs::write(repo.join(PATH).join("x"), [0xff]).unwrap();
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-q", "-m", "directory"]);
        let directory = git(&repo, &["rev-parse", "HEAD"]);
        let sources = sources(dir.path());
        let url = sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        for (hash, words) in [
            (&long, "longer than 64 KiB"),
            (&link, "no regular file"),
            (&directory, "no regular file"),
        ] {
            let refused = sources.file(&url, hash, PATH).await.unwrap_err();
            let text = refused.to_string();
            assert!(text.contains(words) && text.contains(PATH), "{text}");
        }
        assert!(sources.file(&url, "--upload-pack=id", PATH).await.is_err());
        std::fs::remove_dir_all(&repo).unwrap();
        assert!(sources.file(&url, &long, PATH).await.is_err());
    }

    #[tokio::test]
    async fn commits_of_a_branch_are_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        let first = commit(&repo, "a");
        git(&repo, &["checkout", "-q", "-b", "other"]);
        let other = commit(&repo, "b");
        git(&repo, &["checkout", "-q", "main"]);
        let second = commit(&repo, "c");
        let sources = sources(dir.path());
        let url = sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        for filtered in ["true", "false"] {
            git(&repo, &["config", "uploadpack.allowFilter", filtered]);
            for (hash, expected) in [
                (&first, true),
                (&second, true),
                (&other, false),
                (&"a".repeat(40), false),
            ] {
                let found = sources.is_on_branch(&url, "main", hash).await.unwrap();
                assert_eq!(found, expected);
            }
        }
        assert!(sources.is_on_branch(&url, "nope", &first).await.is_err());
    }
}
