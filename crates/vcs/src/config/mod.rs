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
pub use gantry_service::{Environment, Mistake, Source};
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
        // All of them are looked at, whatever is missing: every mistake is told at once.
        let (base, token, rules) = (reader.base(), reader.token(), rules(&mut reader));
        let (outside, credential) = (reader.outside(), reader.credential());
        let (times, tags) = (times(&mut reader), reader.tags(TAGS_LIMIT));
        let parallelism = reader.number(set::PARALLELISM, 4, 1..=PARALLELISM);
        let body_limit = reader.number(set::BODY_LIMIT, 4_000_000, 65_536..=1 << 30);
        let [dial_insecure, identity, dump] =
            [set::DIAL_INSECURE, set::IDENTITY, set::DUMP].map(|switch| reader.switch(switch));
        let health = reader.health();
        let unused = unused(&mut reader);
        let given = base.zip(token).zip(rules);
        let config = given.map(|((base, token), rules)| Self {
            warnings: [warnings(&base, &rules), unused].concat(),
            base,
            token,
            rules,
            parallelism,
            outside,
            dial_insecure,
            identity,
            dump,
            tags,
            credential,
            times,
            body_limit,
            health,
        });
        reader.finish(config)
    }
}

/// What has to be known to judge requests, without a gateway or a host.
///
/// # Errors
/// Every mistake, each with the name of its variable.
pub fn read_rules(source: &dyn Source) -> Result<Rules, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    let rules = rules(&mut reader);
    reader.finish(rules)
}

/// Where health is served, without the rest.
///
/// # Errors
/// It is not an address.
pub fn read_health(source: &dyn Source) -> Result<Option<SocketAddr>, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    let address = reader.health();
    reader.finish(Some(address))
}

/// The vendor, where one is named.
///
/// # Errors
/// A word that names none.
pub fn read_vendor(source: &dyn Source) -> Result<Option<Vendor>, Vec<Mistake>> {
    let mut reader = Reader::new(source);
    let vendor = reader.vendor();
    reader.finish(Some(vendor))
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

/// What is allowed, and hardly meant.
fn warnings(base: &Url, rules: &Rules) -> Vec<String> {
    let vendor = rules.vendor();
    let mut warnings = Vec::new();
    let mut warn =
        |setting: Setting, text: &str| warnings.push(format!("{}: {text}", setting.name));
    if base.scheme() == "http" && vendor == Vendor::Gitlab {
        warn(
            set::BASE,
            "GitLab is asked over http; where it redirects to https, requests other than GET fail",
        );
    } else if base.scheme() == "http" && !gantry_net::is_loopback(base) {
        warn(
            set::BASE,
            "the Git host is asked over http: credentials go in clear text",
        );
    }
    let allowed = rules.allowed_projects();
    if allowed.is_restricted() && !allowed.as_str().contains(['/', '*', '+']) {
        let form = vendor.project_form();
        warn(
            set::ALLOWED,
            &format!(
                "the expression has to match whole names such as `{form}`, and this one hardly can"
            ),
        );
    }
    warnings
}

/// Settings of the published agent that do nothing here.
fn unused(reader: &mut Reader<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn =
        |setting: Setting, text: &str| warnings.push(format!("{}: {text}", setting.name));
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
