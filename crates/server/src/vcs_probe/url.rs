//! Which URLs and branch names may be given to git.
//!
//! Takes texts, gives the same texts checked. Never: one that git could read as an option, or that leads to a
//! protocol or a place that was not allowed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_net::{Proxy, means_of_curl};
use gantry_protocol::Secret;
use gantry_protocol::payload::GitCredentials;

use super::{ProbeError, Sources};

/// The variables by which git gets settings.
const NAMES: [(&str, &str); 2] = [
    ("GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"),
    ("GIT_CONFIG_KEY_1", "GIT_CONFIG_VALUE_1"),
];

/// A URL that may be given to git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUrl {
    pub(super) text: String,
    pub(super) protocol: &'static str,
    pub(super) login: Option<GitCredentials>,
    pub(super) bridge: Option<Bridge>,
}

/// What leads to a repository that only agents reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    /// The URL as people know it.
    shown: String,
    /// Opens the bridge.
    header: Secret,
}

impl SourceUrl {
    /// A repository that git reaches by a URL of this host which a header opens; `shown` is what people know it by.
    #[must_use]
    pub fn bridged(shown: &str, url: &url::Url, (name, value): (&str, Secret)) -> Self {
        Self {
            text: url.as_str().to_owned(),
            protocol: "http",
            login: None,
            bridge: Some(Bridge {
                shown: shown.to_owned(),
                header: Secret::new(format!("{name}: {}", value.expose())),
            }),
        }
    }

    /// Whether only agents reach it.
    #[must_use]
    pub fn is_bridged(&self) -> bool {
        self.bridge.is_some()
    }

    /// The same, reached with a login. It goes over `https` or to an agent only, and to this URL only.
    #[must_use]
    pub fn with_login(self, login: Option<GitCredentials>) -> Self {
        let login = login.filter(|_| self.protocol == "https" || self.is_bridged());
        Self { login, ..self }
    }

    /// What git complained of, without the URL of a bridge.
    pub(super) fn told(&self, sources: &Sources, stderr: &[u8]) -> String {
        let told = super::last_line(stderr);
        let told = match means_of_curl(&told, sources.proxy(self)) {
            Some(means) => format!("{means}: {told}"),
            None => told,
        };
        match &self.bridge {
            Some(bridge) => told.replace(&self.text, &bridge.shown),
            None => told,
        }
    }

    /// What git gets through its environment to use the login, which other users of the host can't see.
    pub(super) fn settings(&self) -> Vec<(&'static str, Secret)> {
        let login = self.login.as_ref().map(|login| {
            let pair = format!("{}:{}", login.username, login.password.expose());
            Secret::new(format!("Authorization: Basic {}", STANDARD.encode(pair)))
        });
        let bridge = self.bridge.as_ref().map(|bridge| bridge.header.clone());
        let headers: Vec<Secret> = login.into_iter().chain(bridge).collect();
        let key = format!("http.{}.extraHeader", self.text);
        let mut settings = Vec::new();
        for ((name, value), header) in NAMES.into_iter().zip(&headers) {
            settings.push((name, Secret::new(key.clone())));
            settings.push((value, header.clone()));
        }
        if !headers.is_empty() {
            let count = headers.len().to_string();
            settings.push(("GIT_CONFIG_COUNT", Secret::new(count)));
        }
        settings
    }
}

impl Sources {
    /// The proxy by which git goes to a repository.
    pub(super) fn proxy(&self, url: &SourceUrl) -> Option<&Proxy> {
        self.proxies.of(&url::Url::parse(&url.text).ok()?)
    }

    /// Checks a clone URL: `https://…`, `ssh://…`, `user@host:path`, or `file:///…` below a prefix.
    pub fn check(&self, url: &str) -> Result<SourceUrl, ProbeError> {
        let refuse = |reason| ProbeError::Url {
            url: plain(url),
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
                login: None,
                bridge: None,
            });
        }
        let (protocol, host) = network_host(url).map_err(refuse)?;
        check_host(host).map_err(refuse)?;
        Ok(SourceUrl {
            text: url.to_owned(),
            protocol,
            login: None,
            bridge: None,
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

/// Host and port that git dials for a clone URL, and whether by ssh; nothing for what is no URL over the network.
pub fn dialled(url: &str) -> Option<(String, u16, bool)> {
    let (protocol, authority) = network_host(url).ok()?;
    let ssh = protocol == "ssh";
    let usual = if ssh { 22 } else { 443 };
    let end = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[end..].rfind(':') {
        Some(colon) => (
            &authority[..end + colon],
            authority[end + colon + 1..].parse().ok()?,
        ),
        None => (authority, usual),
    };
    Some((host.trim_matches(['[', ']']).to_owned(), port, ssh))
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

/// A URL as errors show it.
pub(super) fn shown(url: &SourceUrl) -> String {
    match &url.bridge {
        Some(bridge) => plain(&bridge.shown),
        None => plain(&url.text),
    }
}

/// A URL without what may be a password.
fn plain(url: &str) -> String {
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
    use super::super::testing::sources;
    use super::*;
    use proptest::prelude::*;

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
    fn a_login_goes_over_https_to_its_own_url_only() {
        let sources = sources(Path::new("/nonexistent"));
        let login = GitCredentials {
            username: "ann".to_owned(),
            password: Secret::new("hunter2"),
        };
        let url = sources.check("https://git.example/acme/net.git").unwrap();
        assert!(url.settings().is_empty());
        let url = url.with_login(Some(login.clone()));
        assert!(!format!("{url:?}").contains("hunter2"));
        let settings = url.settings();
        let value = |name: &str| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.unwrap().1.expose().to_owned()
        };
        assert_eq!(
            value("GIT_CONFIG_KEY_0"),
            "http.https://git.example/acme/net.git.extraHeader"
        );
        assert_eq!(
            value("GIT_CONFIG_VALUE_0"),
            "Authorization: Basic YW5uOmh1bnRlcjI="
        );
        let ssh = sources.check("git@git.example:acme/net.git").unwrap();
        assert!(ssh.with_login(Some(login)).settings().is_empty());
    }

    #[test]
    fn a_bridge_is_opened_by_a_header_and_never_shown() {
        let url = url::Url::parse("http://127.0.0.1:4/01AB/acme/net.git").unwrap();
        let door = ("gantry-vcs-bridge", Secret::new("hunter2"));
        let bridged = SourceUrl::bridged("private://corp/acme/net.git", &url, door);
        let login = GitCredentials {
            username: "ann".to_owned(),
            password: Secret::new("x"),
        };
        let both = bridged.clone().with_login(Some(login));
        assert!(!format!("{both:?}").contains("hunter2"));
        for (url, count) in [(&bridged, 1), (&both, 2)] {
            let settings = url.settings();
            assert_eq!(settings.len(), 2 * count + 1);
            let has = |text: &str| settings.iter().any(|(_, value)| value.expose() == text);
            assert!(has("gantry-vcs-bridge: hunter2") && has(&count.to_string()));
        }
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(dir.path());
        let stderr = b"remote: no agent of VCS agent pool `corp` is connected\n\
            fatal: unable to access 'http://127.0.0.1:4/01AB/acme/net.git/': error: 503\n";
        assert_eq!(
            bridged.told(&sources, stderr),
            "no agent of VCS agent pool `corp` is connected \
             (fatal: unable to access 'private://corp/acme/net.git/': error: 503)"
        );
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
