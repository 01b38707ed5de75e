//! Flags and variables → [`Config`], all mistakes at once.
//!
//! Takes a source of values, gives settings that are known to be sound. Never: a value of a secret in a mistake.

mod cli;
mod parse;
mod settings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gantry_net::Outside;
use gantry_protocol::Secret;
use gantry_vcs_wire::PoolToken;
use url::Url;

use crate::blocklist::Blocklist;
use crate::project::AllowedProjects;
use crate::rules::Rules;
use crate::vendor::Vendor;

pub use cli::{Cli, Command, Over, Question};
pub use gantry_service::{Environment, Source};
pub use parse::Mistake;
pub use settings::{Kind, SETTINGS, Setting, page};

use parse::Reader;
use settings as set;

/// The variable that names the Git host.
pub const BASE_ENDPOINT: &str = set::BASE.name;
/// The variable that holds the pool's token.
pub const POOL_TOKEN: &str = set::TOKEN.name;

/// Most streams.
const PARALLELISM: usize = 256;
/// Longest tags, in bytes of their JSON: they travel in one header.
const TAGS_LIMIT: usize = 8 * 1024;

/// A credential that the agent holds.
#[derive(Clone, Debug)]
pub enum CredentialFrom {
    /// Itself.
    Text(Secret),
    /// A file with it.
    File(PathBuf),
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// An exchange that is no archive and no clone.
    pub short: Duration,
    /// One that is.
    pub bulk: Duration,
    /// Silence within one that is.
    pub idle: Duration,
    /// Stopping.
    pub drain: Duration,
}

/// What an agent is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Git host; its path does not end with a slash, unless it is nothing else.
    pub base: Url,
    /// The gateway, and what opens it.
    pub token: PoolToken,
    /// What may pass.
    pub rules: Rules,
    /// Number of streams.
    pub parallelism: usize,
    /// Proxies, and CAs that are trusted besides the host's own.
    pub outside: Outside,
    /// Clear text to the gateway.
    pub dial_insecure: bool,
    /// Whether the host is told not to compress.
    pub identity: bool,
    /// Requests and responses are printed.
    pub dump: bool,
    /// Tags by name.
    pub tags: BTreeMap<String, String>,
    /// What the host is shown instead of what the gateway sends.
    pub credential: Option<CredentialFrom>,
    /// How long things may take.
    pub times: Times,
    /// Largest answer for a gateway that takes no parts, in bytes.
    pub body_limit: usize,
    /// Where health and metrics are served.
    pub health: Option<SocketAddr>,
    /// What is odd about the settings and does not keep the agent from running; to be logged.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// Every mistake, each with the name of its variable.
    pub fn read(source: &dyn Source) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader::new(source);
        let base = reader.base();
        let token = reader.token();
        let rules = rules(&mut reader);
        let config = base
            .zip(token)
            .zip(rules)
            .map(|((base, token), rules)| Self {
                base,
                token,
                rules,
                parallelism: reader.number(set::PARALLELISM, 4, 1..=PARALLELISM),
                outside: reader.outside(),
                dial_insecure: reader.switch(set::DIAL_INSECURE),
                identity: reader.switch(set::IDENTITY),
                dump: reader.switch(set::DUMP),
                tags: reader.tags(TAGS_LIMIT),
                credential: reader.credential(),
                times: times(&mut reader),
                body_limit: reader.number(set::BODY_LIMIT, 4_000_000, 65_536..=1 << 30),
                health: health_address(&mut reader),
                warnings: Vec::new(),
            });
        match config {
            Some(mut config) => {
                config.warnings = warnings(&config, &mut reader);
                reader.finish(config)
            }
            None => Err(reader.rest()),
        }
    }
}

/// What has to be known to judge requests, without a gateway or a host.
///
/// # Errors
/// Every mistake, each with the name of its variable.
pub fn read_rules(source: &dyn Source) -> Result<Rules, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    match rules(&mut reader) {
        Some(rules) => reader.finish(rules),
        None => Err(reader.mistakes()),
    }
}

/// Where health is served, without the rest.
///
/// # Errors
/// It is not an address.
pub fn read_health(source: &dyn Source) -> Result<Option<SocketAddr>, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    let address = health_address(&mut reader);
    reader.finish(address)
}

fn health_address(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    reader.parsed(
        set::HEALTH,
        "an address with a port such as `127.0.0.1:9090`",
    )
}

/// The vendor, where one is named.
///
/// # Errors
/// A word that names none.
pub fn read_vendor(source: &dyn Source) -> Result<Option<Vendor>, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    let vendor = reader.vendor();
    reader.finish(vendor)
}

/// Which log lines are written: `info` unless something else is said.
pub fn read_log(source: &dyn Source) -> String {
    source
        .get(set::LOG.name)
        .unwrap_or_else(|| set::LOG.default.to_owned())
}

fn rules(reader: &mut Reader<'_>) -> Option<Rules> {
    let vendor = reader.vendor();
    if vendor.is_none() {
        reader.required(set::VENDOR);
    }
    let allowed: Option<AllowedProjects> = reader.allowed();
    let blocklist: Option<Blocklist> = reader.blocklist();
    let rules = Rules::new(vendor?, allowed?, blocklist?);
    let held = [set::CREDENTIAL, set::CREDENTIAL_FILE];
    Some(if held.iter().any(|setting| reader.given(*setting)) {
        rules.holding_credential()
    } else {
        rules
    })
}

fn times(reader: &mut Reader<'_>) -> Times {
    Times {
        short: reader.duration(set::SHORT, Duration::from_secs(25)),
        bulk: reader.duration(set::BULK, Duration::from_secs(3600)),
        idle: reader.duration(set::IDLE, Duration::from_secs(60)),
        drain: reader.duration(set::DRAIN, Duration::from_secs(60)),
    }
}

fn warnings(config: &Config, reader: &mut Reader<'_>) -> Vec<String> {
    let vendor = config.rules.vendor();
    let mut warnings = Vec::new();
    let mut warn =
        |setting: Setting, text: &str| warnings.push(format!("{}: {text}", setting.name));
    if config.base.scheme() == "http" && vendor == Vendor::Gitlab {
        warn(
            set::BASE,
            "GitLab is asked over http; where it redirects to https, requests other than GET fail",
        );
    } else if config.base.scheme() == "http" && !gantry_net::is_loopback(&config.base) {
        warn(
            set::BASE,
            "the Git host is asked over http: credentials go in clear text",
        );
    }
    let allowed = config.rules.allowed_projects();
    if allowed.is_restricted() && !allowed.as_str().contains(['/', '*', '+']) {
        let form = vendor.project_form();
        warn(
            set::ALLOWED,
            &format!(
                "the expression has to match whole names such as `{form}`, and this one hardly can"
            ),
        );
    }
    if reader.given(set::BUGSNAG_KEY) {
        warn(
            set::BUGSNAG_KEY,
            "accepted and unused: this agent reports nothing to third parties",
        );
    }
    let _ = reader.switch(set::BUGSNAG_DISABLE);
    if reader.given(set::USE_ALLOWLIST) && !reader.switch(set::USE_ALLOWLIST) {
        warn(set::USE_ALLOWLIST, "the routes can't be switched off");
    }
    warnings
}

#[cfg(test)]
mod tests;
