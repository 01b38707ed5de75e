//! Where a repository stands at its host. Pure.
//!
//! Takes clone URLs and the names that people use, gives names in pieces. Never: a piece that is empty, or that
//! stands for another place (`.`, `..`).

use percent_encoding::percent_decode_str;

use crate::domain::{CodeHost, spellings};

/// A repository of a host: owner and name at GitHub, groups and name at GitLab, key and name at Bitbucket, project
/// and name at Azure DevOps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Vec<String>);

impl Place {
    /// The repository of a clone URL; `api_url` says where the host's own paths begin.
    pub fn of(host: CodeHost, url: &str, api_url: &str) -> Option<Self> {
        let path = match url.strip_prefix("private://") {
            Some(rest) => rest.split_once('/')?.1.to_owned(),
            None => {
                let all = spellings(url);
                let plain = all.iter().find_map(|url| url.strip_prefix("https://"))?;
                plain.split_once('/')?.1.to_owned()
            }
        };
        let root = root(host, api_url);
        let below = path.strip_prefix(root.trim_start_matches('/'));
        let below = below.filter(|rest| root.is_empty() || rest.starts_with('/'));
        let path = below.unwrap_or(&path);
        let path = path.trim_matches('/').trim_end_matches(".git");
        let decoded = path.split('/').map(|part| {
            let text = percent_decode_str(part).decode_utf8().ok()?;
            Some(text.into_owned())
        });
        Self::canonical(host, decoded.collect::<Option<Vec<_>>>()?)
    }

    /// The repository of a name such as `acme/net`.
    pub fn named(host: CodeHost, name: &str) -> Option<Self> {
        Self::checked(host, name.split('/').map(ToOwned::to_owned).collect())
    }

    /// What stands before and between the names in clone URLs is left out.
    fn canonical(host: CodeHost, mut parts: Vec<String>) -> Option<Self> {
        match host {
            CodeHost::BitbucketDatacenter if parts.first()? == "scm" => drop(parts.remove(0)),
            CodeHost::AzureDevops if parts.first()? == "v3" && parts.len() == 4 => {
                drop(parts.drain(..2));
            }
            CodeHost::AzureDevops => {
                let at = parts.iter().position(|part| part == "_git")?;
                let name = parts.get(at + 1)?.clone();
                // The project's name is left out where the repository has the same.
                let project = match at {
                    0 => name.clone(),
                    _ => parts[at - 1].clone(),
                };
                parts = vec![project, name];
            }
            _ => {}
        }
        Self::checked(host, parts)
    }

    fn checked(host: CodeHost, parts: Vec<String>) -> Option<Self> {
        let plain = |part: &String| {
            !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control)
        };
        let enough = match host {
            CodeHost::Gitlab => parts.len() >= 2,
            CodeHost::Git => false,
            _ => parts.len() == 2,
        };
        (enough && parts.len() <= 25 && parts.iter().all(plain)).then_some(Self(parts))
    }

    /// What comes before the last name.
    pub fn owner(&self) -> &str {
        &self.0[0]
    }

    /// The last name.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The whole name, as people use it.
    pub fn name(&self) -> String {
        self.0.join("/")
    }

    /// Where git finds the repository below the host's own beginning, encoded.
    pub(super) fn clone_path(&self, host: CodeHost) -> String {
        let name = super::ask::path(&self.name());
        match host {
            CodeHost::BitbucketDatacenter => format!("scm/{name}.git"),
            CodeHost::AzureDevops => {
                let piece = super::ask::piece;
                format!("{}/_git/{}", piece(self.owner()), piece(self.last()))
            }
            CodeHost::Github | CodeHost::Gitlab | CodeHost::Git => format!("{name}.git"),
        }
    }
}

/// Where a host's own paths begin: the path of the API's URL without what the vendor adds; no slash at the end.
pub(super) fn root(host: CodeHost, api_url: &str) -> &str {
    let path = match api_url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => "",
    };
    let path = path.trim_end_matches('/');
    let added = match host {
        CodeHost::Github => "/api/v3",
        CodeHost::Gitlab => "/api/v4",
        _ => "",
    };
    path.strip_suffix(added).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repositories_are_found_in_every_spelling() {
        use CodeHost::{AzureDevops, BitbucketDatacenter, Github, Gitlab};
        let azure = "https://dev.azure.com/org";
        #[rustfmt::skip]
        let rows = [
            (Github, "https://github.com/acme/net.git", "https://api.github.com", "acme/net"),
            (Github, "git@ghe.example:acme/net", "https://ghe.example/api/v3", "acme/net"),
            (Github, "private://corp/acme/net.git", "private://corp/api/v3", "acme/net"),
            (Gitlab, "https://gl.example/a/b/net.git", "https://gl.example/api/v4", "a/b/net"),
            (Gitlab, "https://gl.example/git/a/net", "https://gl.example/git/api/v4", "a/net"),
            (Gitlab, "private://corp/git/a/net", "private://corp/git/api/v4/", "a/net"),
            (BitbucketDatacenter, "https://bb.example/scm/key/net.git", "https://bb.example", "key/net"),
            (BitbucketDatacenter, "ssh://git@bb.example/key/net.git", "https://bb.example", "key/net"),
            (BitbucketDatacenter, "https://bb.example/bb/scm/~ann/net.git", "https://bb.example/bb", "~ann/net"),
            (AzureDevops, "https://dev.azure.com/org/my%20proj/_git/net", azure, "my proj/net"),
            (AzureDevops, "https://dev.azure.com/org/_git/net", azure, "net/net"),
            (AzureDevops, "git@ssh.dev.azure.com:v3/org/proj/net", azure, "proj/net"),
            (AzureDevops, "https://tfs.example/tfs/Coll/proj/_git/net", "https://tfs.example/tfs/Coll", "proj/net"),
        ];
        for (host, url, api, expected) in rows {
            let found = Place::of(host, url, api);
            assert_eq!(
                found.map(|place| place.name()).as_deref(),
                Some(expected),
                "{url}"
            );
        }
        for (host, url) in [
            (Github, "https://github.com/acme"),
            (Github, "https://github.com/a/../b"),
            (Github, "https://github.com/%2e%2e/b"),
            (Github, "https://github.com/a/b/c"),
            (AzureDevops, "https://dev.azure.com/org/proj/net"),
            (CodeHost::Git, "https://git.example/a/b"),
            (Github, "private://corp"),
            (Gitlab, "file:///srv/a/b"),
        ] {
            assert_eq!(Place::of(host, url, ""), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange(text in "\\PC{0,60}", url in "(https://h|private://p|git@h:)[/%.a-z~_ 0-9]{0,40}") {
            for host in [CodeHost::Github, CodeHost::Gitlab, CodeHost::BitbucketDatacenter, CodeHost::AzureDevops] {
                for found in [Place::named(host, &text), Place::of(host, &url, "https://h/x")] {
                    let path = found.map(|place| place.clone_path(host)).unwrap_or_default();
                    prop_assert!(path.split('/').all(|part| part != ".." && part != "."), "{}", path);
                }
            }
        }
    }
}
