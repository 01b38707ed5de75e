//! Image references in one normal form.
//!
//! Takes text that a stranger wrote, gives a [`Reference`] whose parts can be compared. Never: a second
//! opinion on where the registry ends; the engine and the allowlist both see the parts made here.

use std::fmt;
use std::sync::LazyLock;

use gantry_protocol::Digest;
use regex_lite::Regex;

use crate::registry::DOCKER_HUB;

/// Longest reference that is looked at, in bytes (repository 255, tag 128, digest 71, and a host name).
const MAX_LENGTH: usize = 1024;

/// Its name of old.
const OLD_DOCKER_HUB: &str = "index.docker.io";

const GRAMMAR: &str = "it does not follow [registry/]repository[:tag][@sha256:digest]";

/// Part of a repository's name between slashes, as the OCI distribution specification has it.
static COMPONENT: LazyLock<Regex> =
    LazyLock::new(|| grammar(r"^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$"));

/// A tag, as it has it, but for the length.
static TAG: LazyLock<Regex> = LazyLock::new(|| grammar(r"^[a-zA-Z0-9_][a-zA-Z0-9._-]*$"));

fn grammar(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: a valid expression")
}

/// A parsed reference. Displays in full: `docker.io/library/alpine:3.20`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not an image reference: {rule}")]
pub struct InvalidReference {
    text: String,
    rule: &'static str,
}

impl Reference {
    /// Parses `text` on the grammar of the OCI distribution specification; a missing registry is Docker Hub,
    /// a missing tag (without digest) is `latest`.
    ///
    /// # Errors
    /// [`InvalidReference`] for everything else, also for spellings that other programs read differently
    /// (user information, upper case in the host, IPv6 literals, digests other than SHA-256).
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |rule| InvalidReference {
            text: printable(text),
            rule,
        };
        check_text(text).map_err(invalid)?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = registry_and_repository(name);
        check_registry(registry).map_err(invalid)?;
        check_repository(&repository).map_err(invalid)?;
        tag.map_or(Ok(()), check_tag).map_err(invalid)?;
        let digest = digest.map(str::parse).transpose();
        let digest = digest
            .map_err(|_| invalid("its digest is not sha256: and 64 lower-case hex digits"))?;
        let implied = digest.is_none().then_some("latest");
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.or(implied).map(str::to_owned),
            digest,
        })
    }

    /// Host of the registry with its port, if one was given: `ghcr.io`, `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Repository: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Tag, if one was given or implied.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Digest, if one was given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// `registry/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `registry/repository@digest`.
    pub fn with_digest(&self, digest: Digest) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }

    /// What the registry is asked for: by the digest where there is one, because a tag beside it is only a
    /// remark.
    pub(super) fn query(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => self.with_digest(*digest),
            (None, Some(tag)) => format!("{}:{tag}", self.name()),
            (None, None) => self.name(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

pub(super) fn check_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 1024 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has white space, control or non-ASCII characters");
    }
    if text.contains("..") || text.contains("//") {
        return Err("it has an empty or `..` path segment");
    }
    // An @ before the last / is user information of a URL.
    match (text.find('@'), text.rfind('/')) {
        (Some(at), Some(slash)) if at < slash => Err("it has user information before the registry"),
        _ => Ok(()),
    }
}

/// What stands before the first slash is a registry when it has a dot, a port, or is `localhost`; everything else
/// is on Docker Hub, whose own images are below `library`.
fn registry_and_repository(name: &str) -> (&str, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (DOCKER_HUB, name),
    };
    let registry = match registry {
        OLD_DOCKER_HUB => DOCKER_HUB,
        other => other,
    };
    match registry == DOCKER_HUB && !repository.contains('/') {
        true => (registry, format!("library/{repository}")),
        false => (registry, repository.to_owned()),
    }
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        // `Host/name` is a Docker Hub user to one parser and a registry to another.
        return Err("its repository has upper-case letters");
    }
    match repository.len() <= 255 && repository.split('/').all(|part| COMPONENT.is_match(part)) {
        true => Ok(()),
        false => Err(GRAMMAR),
    }
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    match tag.len() <= 128 && TAG.is_match(tag) {
        true => Ok(()),
        false => Err(GRAMMAR),
    }
}

/// `host[:port]` in the one spelling that we accept; also used for allowlist entries.
pub(super) fn check_registry(registry: &str) -> Result<(), &'static str> {
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    if host.is_empty() || host.len() > 253 {
        return Err("its registry has no valid host name");
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its registry has upper-case letters");
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !host.split('.').all(label) {
        return Err("its registry has no valid host name");
    }
    match port {
        None => Ok(()),
        Some(port) if is_port(port) => Ok(()),
        Some(_) => Err("its registry has no valid port"),
    }
}

fn is_port(text: &str) -> bool {
    !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The text as it may stand in a log: bounded, without anything that moves a cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
