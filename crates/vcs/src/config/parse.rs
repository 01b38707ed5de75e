//! Parsers of single settings; each collects its mistake instead of stopping.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_net::{NamedPem, Outside, check_roots};
use gantry_protocol::Secret;
use gantry_service::{Mistake, Source};
use gantry_vcs_wire::PoolToken;
use url::Url;

use super::CredentialFrom;
use super::settings::{self as set, Setting};
use crate::blocklist::Blocklist;
use crate::project::AllowedProjects;
use crate::vendor::Vendor;

/// Reads settings and collects what is wrong with them: what every daemon has, and the agent's own types.
pub(super) struct Reader<'a>(gantry_service::Reader<'a>);

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self(gantry_service::Reader::new(source))
    }

    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Mistake>> {
        self.0.finish_some(value)
    }

    pub(super) fn given(&self, setting: Setting) -> bool {
        self.0.value(setting.name).is_some()
    }

    pub(super) fn wrong(&mut self, setting: Setting, what: impl Display) {
        self.0.wrong(setting.name, what);
    }

    pub(super) fn required(&mut self, setting: Setting) -> Option<String> {
        let value = self.0.value(setting.name);
        if value.is_none() && !self.0.is_wrong(setting.name) {
            self.wrong(
                setting,
                format_args!(
                    "is not set, nor is --{}, and there is no default",
                    setting.flag
                ),
            );
        }
        value
    }

    pub(super) fn base(&mut self) -> Option<Url> {
        let text = self.required(set::BASE)?;
        match base(text.trim()) {
            Ok(url) => Some(url),
            Err(what) => {
                self.wrong(set::BASE, what);
                None
            }
        }
    }

    pub(super) fn token(&mut self) -> Option<PoolToken> {
        let text = self.required(set::TOKEN)?;
        PoolToken::decode(&text)
            .map_err(|error| self.wrong(set::TOKEN, error))
            .ok()
    }

    pub(super) fn vendor(&mut self) -> Option<Vendor> {
        let text = self.0.value(set::VENDOR.name)?;
        text.trim()
            .parse()
            .map_err(|error| self.wrong(set::VENDOR, format_args!("`{text}` {error}")))
            .ok()
    }

    pub(super) fn allowed(&mut self) -> Option<AllowedProjects> {
        let text = self.0.value(set::ALLOWED.name).unwrap_or_default();
        AllowedProjects::parse(&text)
            .map_err(|error| self.wrong(set::ALLOWED, chain(&error)))
            .ok()
    }

    pub(super) fn blocklist(&mut self) -> Option<Blocklist> {
        let Some(path) = self.0.value(set::BLOCKLIST.name) else {
            return Some(Blocklist::default());
        };
        Blocklist::load(Path::new(&path))
            .map_err(|error| self.wrong(set::BLOCKLIST, chain(&error)))
            .ok()
    }

    /// Proxies and CAs; those of `SPACELIFT_VCS_AGENT_CA_CERT` are added to what every component reads.
    pub(super) fn outside(&mut self) -> Outside {
        let mut outside = self.0.outside(|_| true);
        if let Some(text) = self.0.value(set::CA_CERT.name) {
            match bundle(&text) {
                Ok(pem) => outside.roots.push(pem),
                Err(what) => self.wrong(set::CA_CERT, what),
            }
        }
        outside
    }

    pub(super) fn credential(&mut self) -> Option<CredentialFrom> {
        let text = self.0.value(set::CREDENTIAL.name);
        let file = self.0.value(set::CREDENTIAL_FILE.name);
        match (text, file) {
            (Some(_), Some(_)) => {
                self.wrong(
                    set::CREDENTIAL,
                    format_args!(
                        "is set beside {}; give one of them",
                        set::CREDENTIAL_FILE.name
                    ),
                );
                None
            }
            (Some(text), None) => Some(CredentialFrom::Text(Secret::new(text))),
            (None, Some(file)) => Some(CredentialFrom::File(PathBuf::from(file))),
            (None, None) => None,
        }
    }

    pub(super) fn tags(&mut self, limit: usize) -> BTreeMap<String, String> {
        let tags = self.0.tags(set::METADATA.name);
        let bytes: usize = tags
            .iter()
            .map(|(name, value)| name.len() + value.len() + 6)
            .sum();
        if bytes > limit {
            self.wrong(
                set::METADATA,
                format_args!("names and values have {bytes} bytes together, the limit is {limit}"),
            );
        }
        tags
    }

    pub(super) fn number(
        &mut self,
        setting: Setting,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        self.0.number(setting.name, default, range)
    }

    pub(super) fn switch(&mut self, setting: Setting) -> bool {
        self.0.flag(setting.name)
    }

    /// Where health is served.
    pub(super) fn health(&mut self) -> Option<SocketAddr> {
        let text = self.0.value(set::HEALTH.name)?;
        let what = || format!("`{text}` is not an address with a port such as `127.0.0.1:9090`");
        text.trim()
            .parse()
            .map_err(|_| self.wrong(set::HEALTH, what()))
            .ok()
    }

    /// A time of the agent's, which has an end that people live to see.
    pub(super) fn duration(&mut self, setting: Setting, default: Duration) -> Duration {
        let read = self.0.duration(setting.name, default);
        if read > WEEK {
            self.wrong(setting, "is longer than a week (168h)");
        }
        read
    }
}

/// Longest duration: nobody waits longer, and sums of such ones stay in range.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// An endpoint of which nothing but the path below it will change.
fn base(text: &str) -> Result<Url, String> {
    let example =
        "write scheme, host, and port and path if there are any, such as `https://git.example.com`";
    let mut url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("is no http or https URL; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "has a user or a password; {} holds credentials",
            set::CREDENTIAL.name
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("has a query or a fragment; {example}"));
    }
    // The URL's own reader resolves dot segments silently: what was written is not what would be asked.
    let path = url.path();
    let written = text.splitn(4, '/').nth(3).unwrap_or_default();
    if format!("/{written}") != path || path.contains("//") || path.contains('%') {
        return Err("has a path with dot segments, doubled slashes or escapes".to_owned());
    }
    let path = path.trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A PEM bundle in base64.
fn bundle(text: &str) -> Result<NamedPem, String> {
    let compact: String = text.split_ascii_whitespace().collect();
    let pem = STANDARD
        .decode(compact)
        .map_err(|_| "is not base64 of a PEM bundle".to_owned())?;
    let pem = NamedPem {
        origin: set::CA_CERT.name.to_owned(),
        pem,
    };
    check_roots(&pem).map_err(|error| chain(&error))?;
    Ok(pem)
}

/// An error with its causes, in one line: of what draws pictures, the line with the words is kept.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        let words = cause_text.lines().last().unwrap_or_default().trim();
        text += &format!(": {}", words.trim_start_matches("error: "));
        next = cause.source();
    }
    text
}
