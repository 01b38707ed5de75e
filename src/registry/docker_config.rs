//! Logins of a Docker client configuration directory.
//!
//! Takes the directory, gives what its `config.json` says now about one registry: a change counts from the
//! next question on. Never: the file's content in an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use serde::Deserialize;

use super::DOCKER_HUB;
use super::helper::HelperName;
use super::login::Given;

/// Largest configuration file that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// Why logins can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file can't be read.
    #[error("could not read registry logins from `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what a Docker client writes.
    #[error("`{}` is not a docker client configuration: {rule}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, without quoting the content.
        rule: String,
    },
}

/// What a configuration says about one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing.
    Absent,
    /// This program knows, and nobody else is asked, as Docker does it.
    Helper(HelperName),
    /// This.
    Login(Given),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Deserialize, Default)]
struct AuthEntry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<Secret>,
}

/// A parsed file.
#[derive(Debug, Default)]
struct Parsed {
    logins: BTreeMap<String, Given>,
    /// `None` where the file says that this registry has no helper.
    helpers: BTreeMap<String, Option<HelperName>>,
    store: Option<HelperName>,
}

/// What changes when a file is replaced or rewritten: device, inode, size, modification time.
type Stamp = (u64, u64, u64, i64, i64);

/// A Docker client configuration directory, read again when its file changes.
#[derive(Debug)]
pub struct DockerConfig {
    path: PathBuf,
    read: Mutex<Option<(Option<Stamp>, Arc<Parsed>)>>,
}

impl DockerConfig {
    /// Reads `config.json` in `directory`; a directory without one holds no logins.
    ///
    /// # Errors
    /// [`ConfigFileError`] when the file can't be read or understood.
    pub fn open(directory: &Path) -> Result<Self, ConfigFileError> {
        let config = Self {
            path: directory.join("config.json"),
            read: Mutex::default(),
        };
        config.now()?;
        Ok(config)
    }

    /// What is to be used for `registry`: its helper, else the store, else its own entry.
    pub(super) fn entry(&self, registry: &str) -> Result<Entry, ConfigFileError> {
        let parsed = self.now()?;
        let helper = match parsed.helpers.get(registry) {
            Some(helper) => helper.as_ref(),
            None => parsed.store.as_ref(),
        };
        Ok(match (helper, parsed.logins.get(registry)) {
            (Some(helper), _) => Entry::Helper(helper.clone()),
            (None, Some(login)) => Entry::Login(login.clone()),
            (None, None) => Entry::Absent,
        })
    }

    fn now(&self) -> Result<Arc<Parsed>, ConfigFileError> {
        let read = |source| ConfigFileError::Read {
            path: self.path.clone(),
            source,
        };
        let mut slot = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stamp = stamp(&self.path).map_err(read)?;
        if let Some((known, parsed)) = &*slot
            && *known == stamp
        {
            return Ok(parsed.clone());
        }
        for _ in 0..ATTEMPTS {
            let text = text(&self.path).map_err(read)?;
            let after = self::stamp(&self.path).map_err(read)?;
            if after != stamp {
                stamp = after;
                continue;
            }
            let parsed = text.map_or_else(|| Ok(Parsed::default()), |text| parse(&text));
            let parsed = Arc::new(parsed.map_err(|rule| ConfigFileError::Invalid {
                path: self.path.clone(),
                rule,
            })?);
            *slot = Some((stamp, parsed.clone()));
            return Ok(parsed);
        }
        Err(read(io::Error::other("it changes all the time")))
    }
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some((
            meta.dev(),
            meta.ino(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(path: &Path) -> io::Result<Option<zeroize::Zeroizing<String>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(MAX_CONFIG).read_to_string(&mut text)?;
    Ok(Some(text))
}

fn parse(text: &str) -> Result<Parsed, String> {
    // serde's message may quote the input, so only the position is passed on.
    let file: File = serde_json::from_str(text)
        .map_err(|e| format!("no valid JSON at line {} column {}", e.line(), e.column()))?;
    let mut parsed = Parsed::default();
    for (key, entry) in file.auths {
        if let Some(given) = given(&key, entry)? {
            parsed.logins.insert(registry_of_key(&key), given);
        }
    }
    for (key, name) in file.helpers {
        let helper = helper(&name, &format!("`credHelpers` of `{key}`"))?;
        parsed.helpers.insert(registry_of_key(&key), helper);
    }
    parsed.store = helper(&file.store, "`credsStore`")?;
    Ok(parsed)
}

fn helper(name: &str, place: &str) -> Result<Option<HelperName>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse() {
        Ok(name) => Ok(Some(name)),
        Err(rule) => Err(format!("{place} {rule}")),
    }
}

/// Docker Hub's key is a URL with a path; other clients write `https://host` or `host/v1/`.
fn registry_of_key(key: &str) -> String {
    let bare = key
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    match bare.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        host => host.to_ascii_lowercase(),
    }
}

fn given(key: &str, entry: AuthEntry) -> Result<Option<Given>, String> {
    let bad = || format!("the `auth` of `{key}` is not base64 of user:password");
    let set = |secret: &Secret| !secret.expose().is_empty();
    if let Some(token) = entry.identity_token.filter(set) {
        return Ok(Some(Given::IdentityToken(token)));
    }
    if let Some(auth) = entry.auth.filter(set) {
        let bytes = STANDARD.decode(auth.expose()).map_err(|_| bad())?;
        let pair = Secret::new(String::from_utf8(bytes).map_err(|_| bad())?);
        let (username, password) = pair.expose().split_once(':').ok_or_else(bad)?;
        return Ok(Some(Given::Password {
            username: username.to_owned(),
            password: Secret::new(password.trim_end_matches('\0')),
        }));
    }
    Ok(match (entry.username, entry.password) {
        (Some(username), Some(password)) => Some(Given::Password { username, password }),
        // A credential store keeps it elsewhere; the entry only marks that there is one.
        _ => None,
    })
}

#[cfg(test)]
mod tests;
