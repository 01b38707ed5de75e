//! Asks a repository which commit a branch points at and what a commit is, with the system's git.
//!
//! Takes a clone URL and a branch or a hash, gives a full hash, a commit's details or one file of it. What must never happen: an argument read as an
//! option, a protocol or a local path that was not allowed, a prompt, a setting of this host's users, a
//! process that outlives its time.

mod changed;
mod details;
mod file;
mod git;
mod memory;
mod url;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use gantry_net::Proxies;

pub use details::Details;
pub use file::Found;
use git::{Call, MAX_KEPT, Outcome};
pub use memory::Memory;
use url::shown;
pub use url::{SourceUrl, check_branch, dialled};

/// A server that has not named a commit by then won't.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Git's own settings for this server's calls.
const SETTINGS: &str = "[safe]\n\tdirectory = *\n";

/// The longest list of branches, in bytes.
const LISTING_LIMIT: usize = 4 << 20;

/// A listing leaves nothing on the disk.
const DISK_LIMIT: u64 = 1 << 20;

/// Where code may come from, as this host's operator set it.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Directories below which `file` URLs may point.
    pub file_prefixes: Vec<PathBuf>,
    /// A directory of ours that becomes git's HOME.
    pub home: PathBuf,
    /// What git may know of this process's environment: how to trust a host.
    pub environment: Vec<(&'static str, OsString)>,
    /// Git gets the one that is right for the repository.
    pub proxies: Proxies,
    /// CAs instead of git's own.
    pub ca_file: Option<PathBuf>,
    /// What is known of commits.
    pub memory: Memory,
}

/// Why a commit could not be found.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The URL is none that may be used.
    #[error("the repository URL `{url}` can't be used: {reason}")]
    Url {
        /// The URL, without its user part.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// The branch's name is not one.
    #[error("`{branch}` is not the name of a branch")]
    Branch {
        /// The name.
        branch: String,
    },
    /// Git could not be started.
    #[error("could not run `git`: install it on the server's host")]
    Git(#[source] std::io::Error),
    /// The host did not answer in time.
    #[error("the repository `{url}` did not answer within {} seconds", TIME_LIMIT.as_secs())]
    Silent {
        /// The URL.
        url: String,
    },
    /// Git gave up.
    #[error("could not read branch `{branch}` of `{url}`: {answer}")]
    Failed {
        /// The URL.
        url: String,
        /// The branch.
        branch: String,
        /// Git's last line.
        answer: String,
    },
    /// A file of a commit is there and can't be taken.
    #[error("`{path}` of commit {commit} of `{url}` can't be used: {rule}")]
    BadFile {
        /// The file.
        path: &'static str,
        /// The commit.
        commit: String,
        /// The URL.
        url: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// A file of a commit can't be had.
    #[error("could not read `{path}` of commit {commit} of `{url}`: {answer}")]
    File {
        /// The file.
        path: &'static str,
        /// The commit.
        commit: String,
        /// The URL.
        url: String,
        /// Git's last line, or what went wrong.
        answer: String,
    },
    /// What differs between two commits can't be had.
    #[error("could not compare commits {from} and {to} of `{url}`: {answer}")]
    Changes {
        /// The URL.
        url: String,
        /// The older commit.
        from: String,
        /// The newer commit.
        to: String,
        /// Git's last line, or what went wrong.
        answer: String,
    },
    /// What a commit says about itself can't be had.
    #[error("could not read commit {commit} of `{url}`: {answer}")]
    Details {
        /// The URL.
        url: String,
        /// The commit.
        commit: String,
        /// Git's last line, or what went wrong.
        answer: String,
    },
    /// There is no such branch.
    #[error("the repository `{url}` has no branch `{branch}`")]
    NoBranch {
        /// The URL.
        url: String,
        /// The branch.
        branch: String,
    },
}

impl Sources {
    /// The commit that a branch points at now.
    pub async fn branch_head(&self, url: &SourceUrl, branch: &str) -> Result<String, ProbeError> {
        check_branch(branch)?;
        let reference = format!("refs/heads/{branch}");
        let listing = self.listed(url, branch, &reference).await?;
        commit_in(&listing, &reference).ok_or_else(|| ProbeError::NoBranch {
            url: shown(url),
            branch: branch.to_owned(),
        })
    }

    /// Every branch and the commit that it points at now.
    pub async fn branches(&self, url: &SourceUrl) -> Result<Vec<(String, String)>, ProbeError> {
        let listing = match self.listed(url, "*", "refs/heads/*").await {
            Err(ProbeError::NoBranch { .. }) => return Ok(Vec::new()),
            listing => listing?,
        };
        if listing.len() >= LISTING_LIMIT {
            return Err(ProbeError::Failed {
                url: shown(url),
                branch: "*".to_owned(),
                answer: "it has too many branches to be asked in turns".to_owned(),
            });
        }
        let text = String::from_utf8_lossy(&listing);
        let branch = |line: &str| {
            let (hash, name) = line.split_once('\t')?;
            let name = name.strip_prefix("refs/heads/")?;
            let usable = is_full_hash(hash) && check_branch(name).is_ok();
            usable.then(|| (name.to_owned(), hash.to_owned()))
        };
        Ok(text.lines().filter_map(branch).collect())
    }

    async fn listed(
        &self,
        url: &SourceUrl,
        branch: &str,
        reference: &str,
    ) -> Result<Vec<u8>, ProbeError> {
        self.write_settings().map_err(ProbeError::Git)?;
        let call = Call {
            sources: self,
            url: Some(url),
            directory: &self.empty().map_err(ProbeError::Git)?,
            limit: TIME_LIMIT,
            disk: DISK_LIMIT,
            most: LISTING_LIMIT,
        };
        let arguments = ["ls-remote", "--exit-code", "--", &url.text, reference];
        let outcome = call.run(&arguments.map(OsStr::new)).await;
        let (shown_url, branch) = (shown(url), branch.to_owned());
        match outcome.map_err(ProbeError::Git)? {
            Outcome::Ended {
                code: Some(0),
                stdout,
                ..
            } => Ok(stdout),
            // What `--exit-code` gives for an empty list.
            Outcome::Ended { code: Some(2), .. } => Err(ProbeError::NoBranch {
                url: shown_url,
                branch,
            }),
            Outcome::Ended { stderr, .. } => Err(ProbeError::Failed {
                url: shown_url,
                branch,
                answer: url.told(self, &stderr),
            }),
            Outcome::TimedOut | Outcome::TooLarge => Err(ProbeError::Silent { url: shown_url }),
        }
    }

    /// A directory that is no repository.
    fn empty(&self) -> std::io::Result<PathBuf> {
        let empty = self.home.join("empty");
        std::fs::create_dir_all(&empty)?;
        Ok(empty)
    }

    /// Git refuses other users' repositories unless a file says otherwise; which ones may be read is
    /// decided by [`Sources::check`].
    fn write_settings(&self) -> std::io::Result<()> {
        let path = self.home.join("gitconfig");
        // Another call may be reading it: it is not written again while it says the right thing.
        if std::fs::read_to_string(&path).is_ok_and(|text| text == SETTINGS) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.home)?;
        std::fs::write(path, SETTINGS)
    }
}

/// Whether a text is a full commit hash, in lower case.
pub fn is_full_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn commit_in(listing: &[u8], reference: &str) -> Option<String> {
    let text = std::str::from_utf8(listing).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
    let (hash, _) = lines.find(|(hash, name)| *name == reference && is_full_hash(hash))?;
    Some(hash.to_owned())
}

/// Git's last line; before it what the host itself had to say.
fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[..stderr.len().min(MAX_KEPT)]);
    let line = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no answer");
    let remote = text
        .lines()
        .filter_map(|line| line.strip_prefix("remote: "));
    let said: Vec<&str> = remote.map(str::trim).filter(|l| !l.is_empty()).collect();
    let whole = match said.is_empty() {
        true => line.trim().to_owned(),
        false => format!("{} ({})", said.join(" "), line.trim()),
    };
    whole
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}

#[cfg(test)]
mod testing {
    use std::path::Path;

    use super::*;

    pub(super) fn sources(prefix: &Path) -> Sources {
        let path = OsString::from("/usr/local/bin:/usr/bin:/bin");
        Sources {
            file_prefixes: vec![prefix.to_owned()],
            home: prefix.join("home"),
            environment: vec![("PATH", path)],
            proxies: Proxies::default(),
            ca_file: None,
            memory: Memory::default(),
        }
    }

    pub(super) fn git(dir: &Path, args: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(args)
            .current_dir(dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{git, sources};
    use super::*;

    #[tokio::test]
    async fn the_head_of_a_real_repository() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q"]);
        git(&repo, &["commit", "-q", "--allow-empty", "-m", "one"]);
        let head = git(&repo, &["rev-parse", "HEAD"]);
        let sources = sources(dir.path());
        let url = sources
            .check(&format!("file://{}", repo.display()))
            .unwrap();
        assert_eq!(sources.branch_head(&url, "main").await.unwrap(), head);
        let missing = sources.branch_head(&url, "nope").await.unwrap_err();
        assert!(matches!(missing, ProbeError::NoBranch { .. }), "{missing}");
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let url = sources
            .check(&format!("file://{}", empty.display()))
            .unwrap();
        let broken = sources.branch_head(&url, "main").await.unwrap_err();
        assert!(matches!(broken, ProbeError::Failed { .. }), "{broken}");
    }
}
