//! What lies outside the launcher: CAs, proxies, VCS mappings, listeners.
//!
//! Takes variables, gives checked values. Never: a listener that other hosts could reach, a proxy's password
//! in a text.

use std::net::SocketAddr;
use std::path::PathBuf;

use gantry_net::Outside;
use reqwest::Url;

use super::parse::Reader;
use super::variables as var;
use crate::tool::Mirror;

/// Where EC2 tells an instance about itself.
const EC2_METADATA: &str = "http://169.254.169.254";

/// A VCS agent pool whose repositories this host reaches directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcsMapping {
    /// The pool's name.
    pub name: String,
    /// What stands for `private://<name>`.
    pub base: Url,
}

/// Where health and metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A loopback address.
    Tcp(SocketAddr),
    /// A socket's path.
    Unix(PathBuf),
}

impl Reader<'_> {
    /// Proxies and added CAs, as every component reads them.
    pub(super) fn outside(&mut self) -> Outside {
        const LISTED: [&str; 6] = [
            var::ROOT_CAS,
            var::CA_FILES,
            var::PROXY_HTTPS,
            var::PROXY_HTTP,
            var::PROXY_ALL,
            var::PROXY_NONE,
        ];
        // What is read is what the documentation lists.
        (**self).outside(|name| LISTED.iter().any(|one| one.eq_ignore_ascii_case(name)))
    }

    /// Counted from 0 without gaps; a number beyond a gap would be ignored in silence otherwise.
    pub(super) fn vcs_mappings(&mut self) -> Vec<VcsMapping> {
        let mut mappings = Vec::new();
        let names = self.names_with(var::VCS_NAME).len();
        let endpoints = self.names_with(var::VCS_ENDPOINT).len();
        for number in 0..names.max(endpoints) {
            let (name, endpoint) = (
                format!("{}{number}", var::VCS_NAME),
                format!("{}{number}", var::VCS_ENDPOINT),
            );
            match (self.value(&name), self.value(&endpoint)) {
                (Some(pool), Some(text)) => match base_url(&text) {
                    Some(base) => mappings.push(VcsMapping { name: pool, base }),
                    None => self.wrong(&endpoint, "is not a base URL such as `https://git.example:8443`"),
                },
                (None, _) => self.wrong(&name, "is not set; mappings are counted from 0 without gaps, each with a name and a base endpoint"),
                (_, None) => self.wrong(&endpoint, "is not set; each mapping needs a name and a base endpoint"),
            }
        }
        mappings
    }

    pub(super) fn listen(&mut self, name: &str) -> Option<Listen> {
        let text = self.value(name)?;
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                return Some(Listen::Unix(path));
            }
            self.wrong(
                name,
                format_args!("`{}` is not an absolute path", path.display()),
            );
            return None;
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Some(Listen::Tcp(address)),
            Ok(address) => {
                self.wrong(name, format_args!("`{address}` is reachable from other hosts; use a loopback address or a unix socket"));
                None
            }
            Err(_) => {
                self.wrong(
                    name,
                    format_args!("`{text}` is neither `address:port` nor `unix:/path`"),
                );
                None
            }
        }
    }

    pub(super) fn spot(&mut self) -> Option<Url> {
        let service = self.url(var::IMDS);
        let default = || Url::parse(EC2_METADATA).expect("invariant: a URL");
        self.flag(var::SPOT)
            .then(|| service.unwrap_or_else(default))
    }

    pub(super) fn tool_mirror(&mut self) -> Mirror {
        let Some(text) = self.value(var::TOOL_MIRROR) else {
            return Mirror::Publishers;
        };
        Mirror::parse(&text).unwrap_or_else(|rule| {
            self.wrong(var::TOOL_MIRROR, rule);
            Mirror::Publishers
        })
    }

    pub(super) fn url(&mut self, name: &str) -> Option<Url> {
        let text = self.value(name)?;
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
            _ => {
                self.wrong(name, "is not an http or https URL");
                None
            }
        }
    }
}

fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    // Clear text would show credentials to the way there.
    (url.scheme() == "https" && url.has_host() && plain).then_some(url)
}
