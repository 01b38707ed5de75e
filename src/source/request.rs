//! What a run wants fetched, checked piece by piece.
//!
//! Takes texts of a payload, gives [`Checked`]. Never: a value that git, curl, ssh or a shell could take for
//! something else than what it is meant to be.

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};

use gantry_net::Proxy;
use gantry_protocol::payload::GitCredentials;
use reqwest::Url;

use super::FetchPolicy;
use super::error::{FetchError, Subject};

/// A commit to fetch, as the payload has it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Clone URL.
    pub url: &'a str,
    /// The name that people use.
    pub repository: &'a str,
    /// The branch that should hold the commit.
    pub branch: &'a str,
    /// Full commit hash.
    pub commit: &'a str,
    /// For `https` only.
    pub credentials: Option<&'a GitCredentials>,
}

/// How the repository is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// HTTP over TLS.
    Https { host: String, port: u16 },
    /// SSH; the host is a name or address without anything that a shell would see.
    Ssh { host: String, port: u16 },
    /// A directory of this host, resolved.
    File { path: PathBuf },
}

/// A request that passed.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) url: String,
    pub(super) transport: Transport,
    pub(super) branch: String,
    pub(super) commit: String,
    pub(super) subject: Subject,
}

impl Checked {
    /// The proxy by which git goes there.
    pub(super) fn proxy<'a>(&self, policy: &'a FetchPolicy) -> Option<&'a Proxy> {
        match self.transport {
            Transport::Https { .. } => policy.proxies.of(&Url::parse(&self.url).ok()?),
            Transport::Ssh { .. } | Transport::File { .. } => None,
        }
    }

    pub(super) fn new(request: &Request<'_>, policy: &FetchPolicy) -> Result<Self, FetchError> {
        let subject = Subject::new(request.repository, request.commit);
        let refuse = |rule| FetchError::Refused {
            subject: subject.clone(),
            rule,
        };
        check_commit(request.commit).map_err(refuse)?;
        check_branch(request.branch).map_err(refuse)?;
        let (url, transport) = check_url(request.url, policy).map_err(refuse)?;
        if request.credentials.is_some() && !matches!(transport, Transport::Https { .. }) {
            return Err(refuse("credentials go with https URLs only"));
        }
        if let Some(credentials) = request.credentials {
            check_credentials(credentials).map_err(refuse)?;
        }
        Ok(Self {
            url,
            transport,
            branch: request.branch.to_owned(),
            commit: request.commit.to_owned(),
            subject,
        })
    }
}

fn check_commit(commit: &str) -> Result<(), &'static str> {
    let hex = commit
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match hex && matches!(commit.len(), 40 | 64) {
        true => Ok(()),
        false => Err("a commit is 40 (or 64) lower-case hex digits"),
    }
}

/// The rules of `git check-ref-format`, and no leading dash.
fn check_branch(branch: &str) -> Result<(), &'static str> {
    const RULE: &str = "the branch name is not one that git accepts";
    let bad = branch.is_empty()
        || branch.len() > 255
        || branch.starts_with('-')
        || branch.ends_with('.')
        || branch == "@"
        || branch.contains("..")
        || branch.contains("@{")
        || branch
            .chars()
            .any(|c| c.is_control() || " ~^:?*[\\".contains(c))
        || branch
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"));
    match bad {
        true => Err(RULE),
        false => Ok(()),
    }
}

fn check_url(text: &str, policy: &FetchPolicy) -> Result<(String, Transport), &'static str> {
    if text.len() > 2048 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the URL has white space, control or non-ASCII characters, or is too long");
    }
    let mapped = private(text, &policy.private)?;
    let text = mapped.as_deref().unwrap_or(text);
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("https" | "ssh" | "file")) {
        return Err(
            "only https://, ssh:// and (where the host allows it) file:// URLs are fetched",
        );
    }
    let url = Url::parse(text).map_err(|_| "the URL can't be parsed")?;
    if url.query().is_some() || url.fragment().is_some() || url.password().is_some() {
        return Err("the URL has a query, fragment or password");
    }
    match url.scheme() {
        "https" => https(&url),
        "ssh" => ssh(&url, policy),
        _ => file(&url, policy),
    }
}

/// `private://NAME/path` below the base URL that this host maps `NAME` to.
fn private(text: &str, mapped: &BTreeMap<String, Url>) -> Result<Option<String>, &'static str> {
    let Some(rest) = text.strip_prefix("private://") else {
        return Ok(None);
    };
    let (name, path) = rest
        .split_once('/')
        .ok_or("the private:// URL has no repository path")?;
    let same = |(known, _): &(&String, &Url)| known.eq_ignore_ascii_case(name);
    let base = mapped.iter().find(same).map(|(_, base)| base).ok_or(
        "its VCS agent pool is not mapped on this host: set SPACELIFT_PRIVATEVCS_MAPPING_NAME_<n> to the pool's name and SPACELIFT_PRIVATEVCS_MAPPING_BASE_ENDPOINT_<n> to its base URL",
    )?;
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('%');
    if !path.split('/').all(plain) {
        return Err("the repository path of the private:// URL is not plain");
    }
    Ok(Some(format!(
        "{}/{path}",
        base.as_str().trim_end_matches('/')
    )))
}

fn https(url: &Url) -> Result<(String, Transport), &'static str> {
    if !url.username().is_empty() {
        return Err("the URL has user information: credentials are set on the stack's source");
    }
    let host = host_of(url)?;
    let port = url.port().unwrap_or(443);
    Ok((url.to_string(), Transport::Https { host, port }))
}

fn ssh(url: &Url, policy: &FetchPolicy) -> Result<(String, Transport), &'static str> {
    if policy.known_hosts.is_none() {
        return Err("ssh needs a known_hosts file: set GANTRY_SSH_KNOWN_HOSTS on the launcher");
    }
    let user = url.username();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if user.starts_with('-') || !user.bytes().all(plain) {
        return Err("the URL's user name is not plain letters and digits");
    }
    if url.path().len() < 2 || url.path().starts_with("/-") {
        return Err("the URL has no repository path");
    }
    let host = host_of(url)?;
    let port = url.port().unwrap_or(22);
    Ok((url.to_string(), Transport::Ssh { host, port }))
}

fn file(url: &Url, policy: &FetchPolicy) -> Result<(String, Transport), &'static str> {
    const OUTSIDE: &str =
        "file URLs are allowed only below the directories in GANTRY_SOURCE_FILE_PREFIXES";
    const MISSING: &str = "its directory does not exist on this host; it was moved or removed";
    if url.host_str().is_some_and(|host| !host.is_empty()) {
        return Err("a file URL has no host");
    }
    let path = url
        .to_file_path()
        .map_err(|()| "the URL is no path of this host")?;
    let Ok(path) = path.canonicalize() else {
        // Only below an allowed directory may anything be told of what exists.
        let plain = !path.components().any(|part| part == Component::ParentDir);
        let below = policy
            .file_prefixes
            .iter()
            .any(|prefix| path.starts_with(prefix));
        return Err(if plain && below { MISSING } else { OUTSIDE });
    };
    let below = policy
        .file_prefixes
        .iter()
        .filter_map(|prefix| prefix.canonicalize().ok())
        .any(|prefix| path.starts_with(prefix));
    // Configuration lines can't hold these, and no repository needs them.
    let plain = path
        .to_str()
        .is_some_and(|text| !text.chars().any(char::is_control));
    if !below || !plain {
        return Err(OUTSIDE);
    }
    // The resolved path, so that a link that changes later leads nowhere else.
    let url = Url::from_file_path(&path).map_err(|()| "the URL is no path of this host")?;
    Ok((url.to_string(), Transport::File { path }))
}

/// Lower-case name or address; an IPv6 address without its brackets.
fn host_of(url: &Url) -> Result<String, &'static str> {
    let host = url.host_str().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let host = host.to_ascii_lowercase();
    let address = host.parse::<std::net::IpAddr>().is_ok();
    let name = !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    // `0x7f.1` or `2130706433` is a name to one program and an address to another.
    let numeric = host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x"));
    match address || (name && !numeric) {
        true => Ok(host),
        false => Err("the URL has no valid host name"),
    }
}

fn check_credentials(credentials: &GitCredentials) -> Result<(), &'static str> {
    let clean = |text: &str| !text.chars().any(char::is_control);
    let username = &credentials.username;
    if !clean(username) || username.contains(':') || !clean(credentials.password.expose()) {
        return Err(
            "the source's credentials have control characters, or a colon in the user name",
        );
    }
    Ok(())
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_repositories_stand_below_their_mapping() {
        let base = |text: &str| Url::parse(text).expect("a URL");
        let mapped = BTreeMap::from([
            ("Corp".to_owned(), base("https://git.example:8443/scm/")),
            ("plain".to_owned(), base("https://git.example")),
        ]);
        let direct = |url: &str| private(url, &mapped);
        let found = |url: &str| direct(url).expect(url);
        assert_eq!(
            found("private://corp/team/code.git").as_deref(),
            Some("https://git.example:8443/scm/team/code.git")
        );
        assert_eq!(
            found("private://plain/code").as_deref(),
            Some("https://git.example/code")
        );
        assert_eq!(found("https://ghcr.io/x"), None);
        let unknown = direct("private://other/code").expect_err("not mapped");
        assert!(
            unknown.contains("SPACELIFT_PRIVATEVCS_MAPPING_NAME_"),
            "{unknown}"
        );
        for wrong in [
            "private://corp",
            "private://corp/",
            "private://corp/../x",
            "private://corp/a//b",
            "private://corp/%2e%2e/x",
        ] {
            assert!(direct(wrong).is_err(), "{wrong}");
        }
    }
}
