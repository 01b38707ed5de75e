//! Which endpoints may be spoken to.
//!
//! Takes a URL, gives yes or a named refusal. Never: a name that merely looks local (`localhost.example.org`).

use std::net::IpAddr;

use reqwest::Url;

/// Why an endpoint is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InsecureUrl {
    /// Clear text to another host.
    #[error(
        "`{url}` is not encrypted: use https, http is accepted for this host only (127.0.0.1, ::1, localhost)"
    )]
    ClearText {
        /// The URL without credentials, path and query.
        url: String,
    },
    /// Another scheme.
    #[error("`{url}` has the scheme `{scheme}`: use https")]
    Scheme {
        /// The URL without credentials, path and query.
        url: String,
        /// The scheme.
        scheme: String,
    },
    /// No host to dial.
    #[error("`{url}` names no host")]
    NoHost {
        /// The URL as given.
        url: String,
    },
}

/// Refuses every URL that is neither `https` nor `http` on a loopback host.
pub fn require_https_unless_loopback(url: &Url) -> Result<(), InsecureUrl> {
    let shown = || match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{}://{host}:{port}", url.scheme()),
        (host, _) => format!("{}://{}", url.scheme(), host.unwrap_or_default()),
    };
    if url.host_str().is_none_or(str::is_empty) {
        return Err(InsecureUrl::NoHost { url: shown() });
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(InsecureUrl::ClearText { url: shown() }),
        scheme => Err(InsecureUrl::Scheme {
            url: shown(),
            scheme: scheme.to_owned(),
        }),
    }
}

/// Whether the URL's host is a loopback address or exactly `localhost`.
///
/// `localhost` counts because the resolver of this crate answers it without asking any server (RFC 6761).
pub fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_http_pass() {
        let passes = [
            "https://gantry.example.org",
            "https://10.0.0.1:8443/base",
            "http://127.0.0.1:1983",
            "http://127.8.9.10",
            "http://[::1]:1983",
            "http://localhost:1983/x",
            "http://LOCALHOST",
        ];
        for text in passes {
            let url = Url::parse(text).unwrap();
            assert_eq!(require_https_unless_loopback(&url), Ok(()), "{text}");
        }
        let refused = [
            "http://gantry.example.org",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://0.0.0.0:1983",
            "http://[::ffff:10.0.0.1]",
            "http://192.168.0.1",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "unix:/run/x.sock",
        ];
        for text in refused {
            let url = Url::parse(text).unwrap();
            assert!(require_https_unless_loopback(&url).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_shows_no_credentials() {
        let url = Url::parse("http://me:hunter2@example.org:81/p?q=hunter2").unwrap();
        let refusal = require_https_unless_loopback(&url).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "`http://example.org:81` is not encrypted: use https, http is accepted for this host only \
             (127.0.0.1, ::1, localhost)"
        );
    }
}
