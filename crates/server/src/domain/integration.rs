//! Code hosts and what they tell of pushes. Pure.
//!
//! Takes URLs, paths and messages, gives whether they are about a stack. Never: a commit's word for what it
//! may do.

use serde::{Deserialize, Serialize};

use super::slug::slug_id;

slug_id! {
    /// An integration's slug.
    IntegrationId, NoIntegrationId, "VCS integration"
}

/// Kinds of code hosts, with what is special about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeHost {
    /// Any server that speaks git: it is asked in turns.
    Git,
    /// GitHub and GitHub Enterprise.
    Github,
    /// GitLab.
    Gitlab,
    /// Bitbucket Data Center.
    BitbucketDatacenter,
    /// Azure DevOps.
    AzureDevops,
}

impl CodeHost {
    /// The user name that goes with a token where nobody named one.
    pub fn username(self) -> &'static str {
        match self {
            Self::Github => "x-access-token",
            Self::Gitlab => "oauth2",
            Self::BitbucketDatacenter => "x-token-auth",
            Self::Git | Self::AzureDevops => "git",
        }
    }
}

/// A branch that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Every URL under which the host says that the repository can be cloned.
    pub urls: Vec<String>,
    /// The branch.
    pub branch: String,
    /// Where it points now; none for a branch that is gone.
    pub head: Option<String>,
    /// Where it pointed before, as the host says; none for a new branch, or where it does not say.
    #[serde(default)]
    pub before: Option<String>,
    /// Who pushed, as the host says.
    pub pusher: String,
    /// Every path that changed since before; none where the host does not tell all.
    pub changed: Option<Vec<String>>,
}

/// Words in a commit's message that say: start nothing.
const SKIP: [&str; 4] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip spacelift]"];

/// Whether a message asks for no runs.
pub fn asks_to_skip(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    SKIP.iter().any(|words| message.contains(words))
}

/// Whether changed paths are about a stack whose code lies below `project_root`.
pub fn touches(changed: Option<&[String]>, project_root: &str) -> bool {
    let Some(changed) = changed.filter(|_| !project_root.is_empty()) else {
        return true;
    };
    changed.iter().any(|path| {
        let below = path.strip_prefix(project_root);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || path == ".spacelift/config.yml"
    })
}

/// The ways in which stacks may write the URL of the same repository.
pub fn spellings(url: &str) -> Vec<String> {
    if url.starts_with("file://") {
        return vec![url.to_owned()];
    }
    if url.starts_with("private://") {
        let bare = url.trim_end_matches('/').trim_end_matches(".git");
        return vec![format!("{bare}.git"), bare.to_owned()];
    }
    let (user, rest) = match url.split_once("://") {
        Some((_, rest)) => match rest.split_once('@') {
            Some((user, rest)) if !user.contains('/') => (user, rest.to_owned()),
            _ => ("", rest.to_owned()),
        },
        None => match url.split_once('@') {
            Some((user, rest)) => (user, rest.replacen(':', "/", 1)),
            None => return Vec::new(),
        },
    };
    let user = user.split(':').next().filter(|user| !user.is_empty());
    let user = user
        .filter(|_| !url.starts_with("https://"))
        .unwrap_or("git");
    let rest = rest.trim_end_matches('/').trim_end_matches(".git");
    let Some((host, path)) = rest.split_once('/') else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for end in [".git", ""] {
        all.push(format!("https://{host}/{path}{end}"));
        all.push(format!("ssh://{user}@{host}/{path}{end}"));
        all.push(format!("{user}@{host}:{path}{end}"));
    }
    all
}

/// Whether a clone URL lies below the prefix of an integration: whole parts of the path only.
pub fn is_below(url: &str, prefix: &str) -> bool {
    let Some(rest) = url.strip_prefix(prefix) else {
        return false;
    };
    rest.is_empty() || rest == ".git" || prefix.ends_with(['/', ':']) || rest.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_one_repository_are_known_in_every_spelling() {
        let of = |url: &str| spellings(url);
        for url in [
            "https://git.example/acme/net.git",
            "https://ann@git.example/acme/net",
            "git@git.example:acme/net.git",
            "ssh://git@git.example/acme/net.git",
        ] {
            let all = of(url);
            for other in [
                "https://git.example/acme/net.git",
                "https://git.example/acme/net",
                "git@git.example:acme/net.git",
            ] {
                assert!(all.iter().any(|one| one == other), "{url}: {all:?}");
            }
        }
        assert_eq!(of("file:///srv/a"), ["file:///srv/a"]);
        assert!(of("nonsense").is_empty() && of("https://host").is_empty());
    }

    #[test]
    fn prefixes_end_at_parts() {
        for (url, prefix, expected) in [
            (
                "https://git.example/acme/net.git",
                "https://git.example/",
                true,
            ),
            (
                "https://git.example/acme/net.git",
                "https://git.example/acme",
                true,
            ),
            (
                "https://git.example/acme/net.git",
                "https://git.example/acme/net",
                true,
            ),
            (
                "https://git.example/acme2/net.git",
                "https://git.example/acme",
                false,
            ),
            ("https://git.example.evil/x", "https://git.example", false),
            ("git@git.example:acme/net", "git@git.example:", true),
        ] {
            assert_eq!(is_below(url, prefix), expected, "{url} {prefix}");
        }
    }

    #[test]
    fn changes_and_messages_decide() {
        let changed = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (paths, root, expected) in [
            (&["infra/main.tf"][..], "infra", true),
            (&["infra2/main.tf", "README.md"], "infra", false),
            (&["a/b/c"], "a/b", true),
            (&["README.md"], "", true),
            (&[".spacelift/config.yml"], "infra", true),
            (&[], "infra", false),
        ] {
            assert_eq!(touches(Some(&changed(paths)), root), expected, "{paths:?}");
        }
        assert!(touches(None, "infra"));
        assert!(asks_to_skip("fix\n\n[Skip CI]") && !asks_to_skip("skip ci"));
    }
}
