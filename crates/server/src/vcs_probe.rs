//! Asks a repository which commit a branch points at, with the system's git.
//!
//! Takes a clone URL and a branch, gives a full commit hash. What must never happen: an argument read as an
//! option, a protocol or a local path that was not allowed, a prompt, a setting of this host's users, a
//! process that outlives its time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// A server that has not named a commit by then won't.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A reference listing of one branch is one short line.
const MAX_OUTPUT: usize = 64 * 1024;

/// Where code may come from, as this host's operator set it.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Directories below which `file` URLs may point.
    pub file_prefixes: Vec<PathBuf>,
    /// A directory of ours that becomes git's HOME.
    pub home: PathBuf,
    /// What git may know of this process's environment: how to reach and to trust a host.
    pub environment: Vec<(&'static str, OsString)>,
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
    /// There is no such branch.
    #[error("the repository `{url}` has no branch `{branch}`")]
    NoBranch {
        /// The URL.
        url: String,
        /// The branch.
        branch: String,
    },
}

/// A URL that may be given to git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUrl {
    text: String,
    protocol: &'static str,
}

impl Sources {
    /// Checks a clone URL: `https://…`, `ssh://…`, `user@host:path`, or `file:///…` below a prefix.
    pub fn check(&self, url: &str) -> Result<SourceUrl, ProbeError> {
        let refuse = |reason| ProbeError::Url {
            url: shown(url),
            reason,
        };
        if url.is_empty() || url.len() > 2048 || url.starts_with('-') {
            return Err(refuse("it is empty, too long, or begins with `-`"));
        }
        if url.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err(refuse("it holds a blank or a control character"));
        }
        if let Some(path) = url.strip_prefix("file://") {
            self.check_file(path).map_err(refuse)?;
            return Ok(SourceUrl {
                text: url.to_owned(),
                protocol: "file",
            });
        }
        let (protocol, host) = network_host(url).map_err(refuse)?;
        check_host(host).map_err(refuse)?;
        Ok(SourceUrl {
            text: url.to_owned(),
            protocol,
        })
    }

    fn check_file(&self, path: &str) -> Result<(), &'static str> {
        let inside = |real: &Path| {
            let prefixes = self
                .file_prefixes
                .iter()
                .filter_map(|p| p.canonicalize().ok());
            prefixes.into_iter().any(|prefix| real.starts_with(prefix))
        };
        // Git decodes escapes, so what was checked would not be what is opened.
        if path.contains('%') {
            return Err("it holds a `%`");
        }
        // Links are followed first: what counts is where git would really go.
        match Path::new(path).canonicalize() {
            Ok(real) if path.starts_with('/') && inside(&real) => Ok(()),
            _ => Err("`file` is allowed only below the directories of GANTRY_SOURCE_FILE_PREFIXES"),
        }
    }

    /// The commit that a branch points at now.
    pub async fn branch_head(&self, url: &SourceUrl, branch: &str) -> Result<String, ProbeError> {
        check_branch(branch)?;
        self.write_settings().map_err(ProbeError::Git)?;
        let reference = format!("refs/heads/{branch}");
        let child = self
            .command(url, &reference)
            .spawn()
            .map_err(ProbeError::Git)?;
        let silent = || ProbeError::Silent {
            url: shown(&url.text),
        };
        // Dropping the child on a time-out kills it (kill_on_drop).
        let ended = tokio::time::timeout(TIME_LIMIT, child.wait_with_output()).await;
        let output = ended.map_err(|_| silent())?.map_err(ProbeError::Git)?;
        let named = || (shown(&url.text), branch.to_owned());
        match output.status.code() {
            Some(0) => {
                let text = &output.stdout[..output.stdout.len().min(MAX_OUTPUT)];
                let (url, branch) = named();
                commit_in(text, &reference).ok_or(ProbeError::NoBranch { url, branch })
            }
            // What `--exit-code` gives for an empty list.
            Some(2) => {
                let (url, branch) = named();
                Err(ProbeError::NoBranch { url, branch })
            }
            _ => {
                let (url, branch) = named();
                Err(ProbeError::Failed {
                    url,
                    branch,
                    answer: last_line(&output.stderr),
                })
            }
        }
    }

    fn command(&self, url: &SourceUrl, reference: &str) -> Command {
        let mut git = Command::new("git");
        git.env_clear();
        git.envs(self.environment.iter().map(|(name, value)| (name, value)));
        git.env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.home.join("gitconfig"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("GIT_ALLOW_PROTOCOL", url.protocol)
            .env(
                "GIT_SSH_COMMAND",
                "ssh -o BatchMode=yes -o ConnectTimeout=10",
            )
            .env("LC_ALL", "C")
            .args([
                "-c",
                "http.followRedirects=false",
                "ls-remote",
                "--exit-code",
                "--",
            ])
            .arg(&url.text)
            .arg(reference)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        git
    }

    /// Git refuses other users' repositories unless a file says otherwise; which ones may be read is
    /// decided by [`Sources::check`].
    fn write_settings(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.home)?;
        std::fs::write(self.home.join("gitconfig"), "[safe]\n\tdirectory = *\n")
    }
}

/// The protocol and host of a URL that goes over the network.
fn network_host(url: &str) -> Result<(&'static str, &str), &'static str> {
    const UNKNOWN: &str = "expected `https://…`, `ssh://…` or `user@host:path`";
    for (scheme, protocol) in [("https://", "https"), ("ssh://", "ssh")] {
        if let Some(rest) = url.strip_prefix(scheme) {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
            if protocol == "https" && authority.contains('@') {
                return Err("it holds a user name or password: those belong elsewhere");
            }
            return Ok((protocol, authority.rsplit('@').next().unwrap_or("")));
        }
    }
    if url.contains("://") || url.contains("::") {
        return Err(UNKNOWN);
    }
    let (before, _) = url.split_once(':').ok_or(UNKNOWN)?;
    let (_, host) = before.split_once('@').ok_or(UNKNOWN)?;
    if before.contains('/') {
        Err(UNKNOWN)
    } else {
        Ok(("ssh", host))
    }
}

fn check_host(authority: &str) -> Result<(), &'static str> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    if host.is_empty() || host.starts_with('-') {
        return Err("it names no host");
    }
    let link_local = match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => ip.is_link_local() || ip.is_unspecified(),
        Ok(std::net::IpAddr::V6(ip)) => ip.is_unicast_link_local() || ip.is_unspecified(),
        Err(_) => false,
    };
    if link_local {
        Err("link-local addresses are refused")
    } else {
        Ok(())
    }
}

/// Git's own rules for names of references, as far as they matter for being one plain argument.
pub fn check_branch(branch: &str) -> Result<(), ProbeError> {
    let bad = branch.is_empty()
        || branch.len() > 255
        || branch.starts_with(['-', '/', '.'])
        || branch.ends_with(['/', '.'])
        || branch.ends_with(".lock")
        || branch.contains("..")
        || branch.contains("//")
        || branch.contains("@{")
        || branch
            .chars()
            .any(|c| c.is_control() || " ~^:?*[\\".contains(c));
    if bad {
        return Err(ProbeError::Branch {
            branch: branch.chars().take(64).collect(),
        });
    }
    Ok(())
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

fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[..stderr.len().min(MAX_OUTPUT)]);
    let line = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no answer");
    line.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}

/// A URL as errors show it: without what may be a password.
fn shown(url: &str) -> String {
    let short: String = url.chars().filter(|c| !c.is_control()).take(200).collect();
    match short.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((user, host)) if !user.contains('/') => format!("{scheme}://…@{host}"),
            _ => short,
        },
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sources(prefix: &Path) -> Sources {
        let path = OsString::from("/usr/local/bin:/usr/bin:/bin");
        Sources {
            file_prefixes: vec![prefix.to_owned()],
            home: prefix.join("home"),
            environment: vec![("PATH", path)],
        }
    }

    #[test]
    fn only_named_protocols_and_places() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("repo")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
        let sources = sources(&root);
        let file = |path: &str| format!("file://{}{path}", root.display());
        for good in [
            "https://git.example/acme/net.git",
            "ssh://git@git.example:22/acme/net.git",
            "git@git.example:acme/net.git",
            &file("/repo"),
        ] {
            assert!(sources.check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "--upload-pack=touch /tmp/x",
            "-u",
            "ext::sh -c id",
            "ext::sh",
            "http://git.example/x",
            "git://git.example/x",
            "/etc",
            "file:///etc",
            "file://etc",
            "https://",
            "https://-x/",
            "https://user:pw@git.example/x",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/x",
            "https://a b",
            "https://a\nb",
            "ssh://-oProxyCommand=id/x",
            "git@-oProxyCommand=id:x",
            "a/b@c:d",
            &file("/link"),
            &file("/../.."),
            &file("/nothing"),
            &file("/%72epo"),
        ] {
            assert!(sources.check(bad).is_err(), "{bad}");
        }
        let refused = sources
            .check("https://ann:hunter2@git.example/x")
            .unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn branch_names() {
        for good in ["main", "feature/a-b", "v1.2", "ünï"] {
            assert!(check_branch(good).is_ok(), "{good}");
        }
        for bad in [
            "", "-x", "a..b", "a b", "/a", "a/", "a:b", "a*", "a.lock", "a\nb", "x@{1}", ".",
        ] {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
    }

    fn git(dir: &Path, args: &[&str]) -> String {
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

    proptest! {
        #[test]
        fn checks_never_panic(text in "\\PC{0,80}") {
            let sources = sources(Path::new("/nonexistent"));
            if let Ok(url) = sources.check(&text) {
                prop_assert!(!url.text.starts_with('-') && url.protocol != "file");
            }
            let _ = check_branch(&text);
        }
    }
}
