//! The one place that requests go to.
//!
//! Takes the base endpoint once, and paths that the rules let through, gives URLs. Never: a URL of another scheme, host
//! or port than the base's (or, for one kind of row, the same with `codeload.` before the host), whatever the path is;
//! a path that was changed on the way into the URL.

use std::net::IpAddr;

use reqwest::Url;

use crate::route::Place;
use crate::rules::Target;

/// GitHub Enterprise Server with subdomain isolation serves archives from there.
const CODELOAD: &str = "codeload";

/// Why a text is no base endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Another scheme.
    #[error("has the scheme `{0}`: use https or http")]
    Scheme(String),
    /// Something that a base has no use for.
    #[error("has {0}: give scheme, host, and port and path if there are any")]
    TooMuch(&'static str),
}

/// Why a URL was not made; all of these would be defects of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The path became another one.
    #[error("the path does not stay what it is in a URL")]
    Changed,
    /// The host can't have a `codeload.` before it.
    #[error("the base endpoint is an address: archives would be below `codeload.` and its name")]
    NoSubdomain,
    /// It would have gone elsewhere.
    #[error("the URL would leave the base endpoint")]
    Elsewhere,
}

/// The base endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    url: Url,
    /// Without a slash at its end.
    path: String,
}

impl Base {
    /// Takes a base endpoint; a slash at its end counts for nothing.
    ///
    /// # Errors
    /// It is no `http` or `https` URL, or has userinfo, query or fragment.
    pub fn new(url: Url) -> Result<Self, BaseError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseError::Scheme(url.scheme().to_owned()));
        }
        let too_much = [
            (
                !url.username().is_empty() || url.password().is_some(),
                "a user or password",
            ),
            (url.query().is_some(), "a query"),
            (url.fragment().is_some(), "a fragment"),
        ];
        if let Some((_, what)) = too_much.into_iter().find(|(found, _)| *found) {
            return Err(BaseError::TooMuch(what));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { url, path })
    }

    /// The endpoint itself.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where archives of GitHub Enterprise are, if the host has a name.
    pub fn archives(&self) -> Option<Url> {
        let mut url = self.url.clone();
        url.set_host(Some(&self.subdomain()?)).ok()?;
        Some(url)
    }

    /// The URL of what was admitted, below this endpoint or, for archives, below its host with `codeload.` in front.
    ///
    /// # Errors
    /// Anything that would make it another path or another host.
    pub fn reach(&self, target: &Target, place: Place) -> Result<Url, JoinError> {
        let query = target.query().unwrap_or_default();
        self.join(&target.path(), &query, place)
    }

    /// The URL of any path and query: it trusts neither, whoever calls.
    fn join(&self, path: &str, query: &str, place: Place) -> Result<Url, JoinError> {
        let whole = format!("{}{path}", self.path);
        let mut url = self.url.clone();
        url.set_path(&whole);
        url.set_query((!query.is_empty()).then_some(query));
        if place == Place::Codeload {
            let host = self.subdomain().ok_or(JoinError::NoSubdomain)?;
            url.set_host(Some(&host))
                .map_err(|_| JoinError::NoSubdomain)?;
        }
        if !path.starts_with('/') || url.path() != whole || url.query().unwrap_or_default() != query
        {
            return Err(JoinError::Changed);
        }
        match self.holds(&url, place) {
            true => Ok(url),
            false => Err(JoinError::Elsewhere),
        }
    }

    /// What of `location`, as the answer to `asked` named it, lies below this endpoint, or below its `codeload.`: path and
    /// query, and which of the two. Nothing for any other origin.
    pub fn below(&self, asked: &Url, location: &str) -> Option<(String, Place)> {
        let url = asked.join(location).ok()?;
        let held = |place: &Place| self.holds(&url, *place);
        let place = [Place::Base, Place::Codeload].into_iter().find(held)?;
        let path = url.path().strip_prefix(&self.path)?;
        if !path.starts_with('/') {
            return None;
        }
        let target = match url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        Some((target, place))
    }

    fn holds(&self, url: &Url, place: Place) -> bool {
        let host = match place {
            Place::Codeload => self.subdomain(),
            Place::Base => self.url.host_str().map(str::to_owned),
        };
        url.scheme() == self.url.scheme()
            && host.is_some()
            && url.host_str() == host.as_deref()
            && url.port_or_known_default() == self.url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().starts_with(&self.path)
    }

    fn subdomain(&self) -> Option<String> {
        let host = self.url.host_str()?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>()
            .is_err()
            .then(|| format!("{CODELOAD}.{host}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Base, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        Base::new(url).map_err(|error| error.to_string())
    }

    fn base(text: &str) -> Base {
        parse(text).unwrap()
    }

    #[test]
    fn a_base_is_an_endpoint_and_nothing_more() {
        for text in [
            "https://git.example.com",
            "http://169.254.0.10:7990",
            "https://h/base/",
            "http://[::1]:80/a/b",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "git.example.com",
            "ftp://h",
            "https://me@h",
            "https://:x@h",
            "https://h/?a",
            "https://h/#f",
            "https://",
            "file:///x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_go_below_the_base() {
        let rows = [
            ("https://h", "/a/b", "", "https://h/a/b"),
            (
                "https://h:8443/",
                "/a%2Fb",
                "x=1&y",
                "https://h:8443/a%2Fb?x=1&y",
            ),
            ("http://h/gitlab/", "/api/v4", "", "http://h/gitlab/api/v4"),
        ];
        for (at, path, query, url) in rows {
            assert_eq!(
                base(at).join(path, query, Place::Base).unwrap().as_str(),
                url
            );
        }
        let url = base("https://ghe.example.com")
            .join("/o/r/legacy.tar.gz/main", "", Place::Codeload)
            .unwrap();
        assert_eq!(
            url.as_str(),
            "https://codeload.ghe.example.com/o/r/legacy.tar.gz/main"
        );
        for at in ["https://10.0.0.1", "https://[::1]"] {
            assert_eq!(
                base(at).join("/o", "", Place::Codeload),
                Err(JoinError::NoSubdomain),
                "{at}"
            );
        }
    }

    #[test]
    fn what_a_url_would_change_is_refused() {
        let hostile = [
            "/a/../b",
            "/a/%2e%2E/b",
            "/a b",
            "/a\\b",
            "/a?b",
            "/a#b",
            "a",
            "/a/./b",
            "/ä",
            "/a\tb",
        ];
        for path in hostile {
            assert!(
                base("https://h/base").join(path, "", Place::Base).is_err(),
                "{path}"
            );
        }
        assert!(base("https://h").join("/a", "x#y", Place::Base).is_err());
        assert!(base("https://h").join("/a", "x y", Place::Base).is_err());
    }

    #[test]
    fn only_what_stays_below_the_base_is_followed() {
        let base = base("https://h:8443/gitlab");
        let asked = base.join("/a/b", "", Place::Base).unwrap();
        let rows = [
            ("https://h:8443/gitlab/c?d=1", Some("/c?d=1")),
            ("/gitlab/c", Some("/c")),
            ("c", Some("/a/c")),
            ("../../c", None),
            ("/gitlabx/c", None),
            ("/other", None),
            ("//evil/gitlab/c", None),
            ("https://h/gitlab/c", None),
            ("http://h:8443/gitlab/c", None),
            ("https://me@h:8443/gitlab/c", None),
            ("https://h.evil:8443/gitlab/c", None),
            ("javascript:x", None),
        ];
        for (location, below) in rows {
            let below = below.map(|below| (below.to_owned(), Place::Base));
            assert_eq!(base.below(&asked, location), below, "{location}");
        }
    }

    #[test]
    fn archives_are_followed_to_the_host_that_has_them() {
        let base = base("https://ghe.example.com");
        let asked = base
            .join("/repos/o/r/tarball/main", "", Place::Base)
            .unwrap();
        let archive = "/o/r/legacy.tar.gz/refs/heads/main?token=x";
        let location = format!("https://codeload.ghe.example.com{archive}");
        let below = Some((archive.to_owned(), Place::Codeload));
        assert_eq!(base.below(&asked, &location), below);
        for other in [
            "http://codeload.ghe.example.com/a",
            "https://codeload.ghe.example.com:8443/a",
            "https://codeload.example.com/a",
            "https://x.codeload.ghe.example.com/a",
            "https://codeload.codeload.ghe.example.com/a",
            "https://u@codeload.ghe.example.com/a",
        ] {
            assert_eq!(base.below(&asked, other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_input_changes_the_authority(path in "\\PC{0,60}", query in "\\PC{0,30}", codeload: bool) {
                let place = if codeload { Place::Codeload } else { Place::Base };
            for at in ["https://git.example.com", "http://10.0.0.1:7990/base", "https://h"] {
                if let Ok(url) = base(at).join(&path, &query, place) {
                    let host = base(at).url.host_str().unwrap().to_owned();
                    let expected = if codeload { format!("codeload.{host}") } else { host };
                    prop_assert_eq!(url.host_str(), Some(expected.as_str()));
                    prop_assert_eq!(url.port(), base(at).url.port());
                    prop_assert!(url.username().is_empty() && url.password().is_none());
                }
            }
        }

        #[test]
        fn no_redirect_changes_the_authority(location in "(https?:)?[/\\\\@:.a-z0-9%]{0,40}") {
            let base = base("https://h:8443/b");
            let asked = base.join("/x", "", Place::Base).unwrap();
            if let Some((below, place)) = base.below(&asked, &location) {
                let (path, query) = below.split_once('?').unwrap_or((&below, ""));
                if let Ok(url) = base.join(path, query, place) {
                    let host = if place == Place::Base { "h" } else { "codeload.h" };
                    prop_assert_eq!(url.host_str(), Some(host));
                }
            }
        }
    }
}
