//! Parsers of single settings; each collects its mistake instead of stopping.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_net::{NamedPem, Outside, check_roots};
use gantry_protocol::Secret;
use gantry_service::Source;
use gantry_vcs_wire::PoolToken;
use url::Url;

use super::CredentialFrom;
use super::settings::{self as set, Setting};
use crate::blocklist::Blocklist;
use crate::project::AllowedProjects;
use crate::vendor::Vendor;

/// One setting's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct Mistake {
    name: String,
    what: String,
}

/// Reads settings and collects what is wrong with them.
pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            mistakes: Vec::new(),
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.mistakes.is_empty() {
            Ok(value)
        } else {
            Err(self.mistakes)
        }
    }

    pub(super) fn mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// All mistakes where something that is required is missing: the other settings are looked at too.
    pub(super) fn rest(mut self) -> Vec<Mistake> {
        self.number(set::PARALLELISM, 4, 1..=super::PARALLELISM);
        self.outside();
        for switch in [
            set::DIAL_INSECURE,
            set::IDENTITY,
            set::DUMP,
            set::BUGSNAG_DISABLE,
            set::USE_ALLOWLIST,
        ] {
            self.switch(switch);
        }
        self.tags(super::TAGS_LIMIT);
        self.credential();
        super::times(&mut self);
        self.number(set::BODY_LIMIT, 65_536, 65_536..=1 << 30);
        let _: Option<std::net::SocketAddr> = self.parsed(set::HEALTH, "an address with a port");
        self.mistakes
    }

    pub(super) fn given(&self, setting: Setting) -> bool {
        self.source.get(setting.name).is_some()
    }

    pub(super) fn wrong(&mut self, setting: Setting, what: impl Display) {
        self.mistakes.push(Mistake {
            name: setting.name.to_owned(),
            what: what.to_string(),
        });
    }

    pub(super) fn required(&mut self, setting: Setting) -> Option<String> {
        let value = self.source.get(setting.name);
        let said = self
            .mistakes
            .iter()
            .any(|mistake| mistake.name == setting.name);
        if value.is_none() && !said {
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
        let text = self.source.get(set::VENDOR.name)?;
        text.trim()
            .parse()
            .map_err(|error| self.wrong(set::VENDOR, format_args!("`{text}` {error}")))
            .ok()
    }

    pub(super) fn allowed(&mut self) -> Option<AllowedProjects> {
        let text = self.source.get(set::ALLOWED.name).unwrap_or_default();
        AllowedProjects::parse(&text)
            .map_err(|error| self.wrong(set::ALLOWED, chain(&error)))
            .ok()
    }

    pub(super) fn blocklist(&mut self) -> Option<Blocklist> {
        let Some(path) = self.source.get(set::BLOCKLIST.name) else {
            return Some(Blocklist::default());
        };
        Blocklist::load(Path::new(&path))
            .map_err(|error| self.wrong(set::BLOCKLIST, chain(&error)))
            .ok()
    }

    /// Proxies and CAs; those of `SPACELIFT_VCS_AGENT_CA_CERT` are added to what every component reads.
    pub(super) fn outside(&mut self) -> Outside {
        let source = self.source;
        let mut outside = Outside::read(&|name| source.get(name)).unwrap_or_else(|mistakes| {
            let mistakes = mistakes.into_iter().map(|mistake| Mistake {
                name: mistake.variable,
                what: mistake.what,
            });
            self.mistakes.extend(mistakes);
            Outside::default()
        });
        if let Some(text) = self.source.get(set::CA_CERT.name) {
            match bundle(&text) {
                Ok(pem) => outside.roots.push(pem),
                Err(what) => self.wrong(set::CA_CERT, what),
            }
        }
        outside
    }

    pub(super) fn credential(&mut self) -> Option<CredentialFrom> {
        let text = self.source.get(set::CREDENTIAL.name);
        let file = self.source.get(set::CREDENTIAL_FILE.name);
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
        let prefix = set::METADATA.name;
        let pair = |name: String| {
            let tag = name.strip_prefix(prefix)?.to_owned();
            Some((tag, self.source.get(&name)?)).filter(|(tag, _)| !tag.is_empty())
        };
        let names = self.source.names_with(prefix).into_iter();
        let tags: BTreeMap<_, _> = names.filter_map(pair).collect();
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
        let Some(text) = self.source.get(setting.name) else {
            return default;
        };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.wrong(
                    setting,
                    format_args!("`{text}` is not a number from {low} to {high}"),
                );
                default
            }
        }
    }

    pub(super) fn switch(&mut self, setting: Setting) -> bool {
        let text = self.source.get(setting.name).unwrap_or_default();
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "false" | "0" | "f" => false,
            "true" | "1" | "t" => true,
            _ => {
                self.wrong(
                    setting,
                    format_args!("`{text}` is neither `true` nor `false`"),
                );
                false
            }
        }
    }

    pub(super) fn parsed<T: FromStr>(&mut self, setting: Setting, shape: &str) -> Option<T> {
        let text = self.source.get(setting.name)?;
        text.trim()
            .parse()
            .map_err(|_| self.wrong(setting, format_args!("`{text}` is not {shape}")))
            .ok()
    }

    /// A whole number with `s`, `m` or `h` behind it, or several such.
    pub(super) fn duration(&mut self, setting: Setting, default: Duration) -> Duration {
        let Some(text) = self.source.get(setting.name) else {
            return default;
        };
        duration(text.trim()).unwrap_or_else(|| {
            self.wrong(
                setting,
                format_args!(
                    "`{text}` is not a duration such as `90s`, `15m` or `1h30m`, up to a week"
                ),
            );
            default
        })
    }
}

/// Longest duration: nobody waits longer, and sums of such ones stay in range.
const WEEK: u64 = 7 * 24 * 3600;

fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let (unit, after) = after.split_at_checked(1)?;
        let scale = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(scale)?;
        seconds = seconds.checked_add(part)?;
        rest = after;
    }
    (1..=WEEK)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

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
