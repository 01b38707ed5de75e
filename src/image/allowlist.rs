//! Which images the host lets in.
//!
//! Takes entries that the host's owner wrote, gives an [`Allowlist`] that compares parsed parts. Never: a
//! match on raw text, a pattern that matches half a word, or an empty list that means "everything".
//!
//! # What an entry means
//! - `ghcr.io` — every repository of that registry. The port belongs to the name: `ghcr.io` does not allow
//!   `ghcr.io:8443`.
//! - `ghcr.io/acme` — repository `acme` and everything below it (`acme/runner`), not `acme-evil/runner`.
//!   Official images of Docker Hub stand below `docker.io/library`.
//! - `*.dkr.ecr.*.amazonaws.com` — each `*` stands for exactly one whole label of the host name. This is the
//!   only wildcard; `*` as a part of a label or in a repository is an error.
//! - `dkr.ecr.<region>.amazonaws.com` — every private registry of Amazon ECR: a 12-digit account, any region,
//!   each region in its own partition's domain only (`amazonaws.com`, China's `amazonaws.com.cn`, the European
//!   sovereign cloud's `amazonaws.eu`), and the names of the same registries for FIPS (`dkr.ecr-fips`) and IPv6
//!   (`dkr-ecr.<region>.on.aws`). The ISO partitions, which the internet does not reach, have to be written out:
//!   `*.dkr.ecr.*.c2s.ic.gov`.
//! - `azurecr.io` — has no images of its own: it stands for `<one label>.azurecr.io`. `docker.pkg.dev` is
//!   written so by the vendor's documentation and stands for itself and `<region>-docker.pkg.dev`.
//! - `*` alone — everything.

use std::fmt;

use super::reference::{Reference, check_registry, printable};
use crate::registry::{EcrHost, LoginError, LoginSource, Logins};

/// How the documentation writes all registries of Amazon ECR.
const ECR: &str = "dkr.ecr.<region>.amazonaws.com";

/// The ten registries that are allowed unless the host says otherwise.
const DEFAULT: [&str; 10] = [
    "azurecr.io",
    ECR,
    "docker.io",
    "docker.pkg.dev",
    "gcr.io",
    "ghcr.io",
    "public.ecr.aws",
    "quay.io",
    "registry.gitlab.com",
    "registry.hub.docker.com",
];

/// A checked list of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowlist {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    text: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Everything,
    /// Private registries of Amazon ECR.
    Ecr,
    Hosts {
        labels: Vec<Label>,
        port: Option<String>,
        /// Repository prefix in whole segments; empty allows all.
        repository: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    Exactly(String),
    Any,
    /// Any label that ends so, with at least one character before.
    Ending(&'static str),
}

/// An entry that means nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{entry}` is not a valid image allowlist entry: {rule}")]
pub struct InvalidEntry {
    entry: String,
    rule: &'static str,
}

impl Allowlist {
    /// Checks `entries`; white space around each is dropped.
    ///
    /// # Errors
    /// The first [`InvalidEntry`]; an empty list is one too, because nothing could run.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidEntry> {
        let entries = entries
            .into_iter()
            .map(|entry| Entry::parse(entry.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err(InvalidEntry {
                entry: String::new(),
                rule: "the list is empty, so no image could run; `*` allows every image",
            });
        }
        Ok(Self {
            entries: entries.into_iter().flatten().collect(),
        })
    }

    /// The ten well-known registries.
    pub fn well_known() -> Self {
        Self::new(DEFAULT).expect("invariant: the built-in entries are valid (see the tests)")
    }

    /// This list and `more`.
    ///
    /// # Errors
    /// As [`Allowlist::new`].
    pub fn with<'a>(
        mut self,
        more: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidEntry> {
        self.entries.extend(Self::new(more)?.entries);
        Ok(self)
    }

    /// For each entry, the login source of its registry, asking nobody: what a person who checks a host wants to
    /// see. An entry that stands for many registries is answered as one of them without a login of its own.
    pub fn login_sources(&self, logins: &Logins) -> Vec<(&str, Result<LoginSource, LoginError>)> {
        let mut sources: Vec<(&str, _)> = Vec::new();
        for entry in &self.entries {
            if sources.iter().all(|(text, _)| *text != entry.text) {
                sources.push((&entry.text, logins.source_for(entry.registry())));
            }
        }
        sources
    }

    /// Names of the registries that images may come from, with ports where they have one; `*` stands for what is not
    /// fixed, and alone for every registry.
    pub fn registries(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for entry in &self.entries {
            let name = entry.rule.registry();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The entry that lets `reference` in, if one does.
    pub(super) fn entry_for(&self, reference: &Reference) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.rule.allows(reference))
            .map(|entry| entry.text.as_str())
    }
}

impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<&str> = self.entries.iter().map(|e| e.text.as_str()).collect();
        texts.dedup();
        f.write_str(&texts.join(", "))
    }
}

impl Entry {
    /// One written entry can stand for several rules (see the vendors' names above).
    fn parse(text: &str) -> Result<Vec<Self>, InvalidEntry> {
        let rules = match text {
            "*" => vec![Rule::Everything],
            "azurecr.io" => vec![hosts(vec![Label::Any, exactly("azurecr"), exactly("io")])],
            "docker.pkg.dev" => vec![
                hosts(vec![exactly("docker"), exactly("pkg"), exactly("dev")]),
                hosts(vec![
                    Label::Ending("-docker"),
                    exactly("pkg"),
                    exactly("dev"),
                ]),
            ],
            ECR => vec![Rule::Ecr],
            other => vec![written(other).map_err(|rule| InvalidEntry {
                entry: printable(other),
                rule,
            })?],
        };
        let text = text.to_owned();
        let entry = |rule| Self {
            text: text.clone(),
            rule,
        };
        Ok(rules.into_iter().map(entry).collect())
    }
}

impl Rule {
    fn registry(&self) -> String {
        match self {
            Self::Everything => "*".to_owned(),
            Self::Ecr => "*.dkr.ecr.*.amazonaws.com".to_owned(),
            Self::Hosts { labels, port, .. } => {
                let host: Vec<String> = labels.iter().map(Label::pattern).collect();
                let host = host.join(".");
                port.as_ref()
                    .map_or(host.clone(), |port| format!("{host}:{port}"))
            }
        }
    }
}

impl Label {
    fn pattern(&self) -> String {
        match self {
            Self::Exactly(label) => label.clone(),
            Self::Any => "*".to_owned(),
            Self::Ending(end) => format!("*{end}"),
        }
    }
}

impl Entry {
    /// The registry that it names, or one of those that it stands for.
    fn registry(&self) -> &str {
        match self.rule {
            Rule::Ecr => "000000000000.dkr.ecr.us-east-1.amazonaws.com",
            Rule::Everything | Rule::Hosts { .. } => {
                self.text.split('/').next().unwrap_or_default()
            }
        }
    }
}

fn exactly(label: &str) -> Label {
    Label::Exactly(label.to_owned())
}

fn hosts(labels: Vec<Label>) -> Rule {
    Rule::Hosts {
        labels,
        port: None,
        repository: Vec::new(),
    }
}

fn written(text: &str) -> Result<Rule, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.contains("://") {
        return Err("a scheme does not belong to it");
    }
    if text.contains(['@', '!']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("expected host[:port][/repository]");
    }
    let (registry, repository) = match text.split_once('/') {
        Some((registry, repository)) => (registry, Some(repository)),
        None => (text, None),
    };
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port.to_owned())),
        None => (registry, None),
    };
    let labels: Vec<Label> = host.split('.').map(label).collect();
    // The rest of the checks are those of a reference, with a plain word in each wildcard's place.
    let stand_in = registry.replace('*', "x");
    if host.split('.').any(|l| l.contains('*') && l != "*") {
        return Err("`*` stands for one whole label of the host name");
    }
    check_registry(&stand_in)?;
    if !host.contains('.') && port.is_none() && host != "localhost" {
        return Err(
            "its host has neither dot nor port: write docker.io/name for a Docker Hub user",
        );
    }
    Ok(Rule::Hosts {
        labels,
        port,
        repository: repository.map_or(Ok(Vec::new()), segments)?,
    })
}

fn label(text: &str) -> Label {
    match text {
        "*" => Label::Any,
        other => exactly(other),
    }
}

fn segments(repository: &str) -> Result<Vec<String>, &'static str> {
    // A parser for references is the judge of what can be a repository.
    let probe = format!("registry.invalid/{repository}");
    match Reference::parse(&probe) {
        Ok(parsed) if parsed.repository() == repository => {
            Ok(repository.split('/').map(str::to_owned).collect())
        }
        _ => {
            Err("its repository is not valid (no tag, no digest, no wildcard, no slash at the end)")
        }
    }
}

impl Rule {
    fn allows(&self, reference: &Reference) -> bool {
        let (labels, port, prefix) = match self {
            Self::Everything => return true,
            Self::Ecr => {
                let host = EcrHost::parse(reference.registry());
                return host.is_some_and(|host| host.in_public_partition());
            }
            Self::Hosts {
                labels,
                port,
                repository,
            } => (labels, port, repository),
        };
        let registry = reference.registry();
        let (host, found_port) = match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        };
        let found: Vec<&str> = host.split('.').collect();
        let mut segments = reference.repository().split('/');
        port.as_deref() == found_port
            && found.len() == labels.len()
            && labels
                .iter()
                .zip(&found)
                .all(|(rule, label)| rule.is(label))
            && prefix.iter().all(|wanted| segments.next() == Some(wanted))
    }
}

impl Label {
    fn is(&self, label: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == label,
            Self::Any => true,
            Self::Ending(end) => label.len() > end.len() && label.ends_with(end),
        }
    }
}
