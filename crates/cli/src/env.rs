//! The variables that are read here and not by the argument parser: the list and the one place that reads it.
//!
//! Takes names, gives values. Never: writes one.

use std::ffi::OsString;
use std::path::PathBuf;

use gantry_net::{Mistake, Outside};
use gantry_protocol::Secret;

/// Base URL of the server; used with the two below instead of a stored login.
pub const ENDPOINT: &str = "SPACELIFT_API_KEY_ENDPOINT";
/// The API key's id.
pub const KEY_ID: &str = "SPACELIFT_API_KEY_ID";
/// The API key's secret.
pub const KEY_SECRET: &str = "SPACELIFT_API_KEY_SECRET";
/// A private key that signs runs (PKCS#8 PEM), where no file is named.
pub const SIGN_KEY: &str = "GANTRY_SIGN_KEY";
/// Any value switches colours off (<https://no-color.org>).
const NO_COLOR: &str = "NO_COLOR";
/// Where per-user settings are kept instead of `~/.config`.
const CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where per-user data is kept instead of `~/.local/share`.
const DATA_HOME: &str = "XDG_DATA_HOME";

/// What the environment says.
pub struct Env {
    pub endpoint: Option<String>,
    pub key_id: Option<String>,
    pub key_secret: Option<Secret>,
    pub sign_key: Option<Secret>,
    /// Proxies and added CAs; what is wrong with them matters where a server is talked to.
    pub outside: Result<Outside, Vec<Mistake>>,
    pub no_color: bool,
    config_home: Option<PathBuf>,
    data_home: Option<PathBuf>,
}

impl Env {
    /// Reads the process's environment; an empty value counts as none.
    pub fn read() -> Self {
        Self {
            endpoint: text(ENDPOINT),
            key_id: text(KEY_ID),
            key_secret: text(KEY_SECRET).map(Secret::new),
            sign_key: text(SIGN_KEY).map(Secret::new),
            outside: Outside::read(&text),
            no_color: value(NO_COLOR).is_some(),
            config_home: directory(CONFIG_HOME),
            data_home: directory(DATA_HOME),
        }
    }

    /// `~/.config/gantry`, unless the environment moves it.
    pub fn config_dir(&self) -> Option<PathBuf> {
        self.config_home
            .clone()
            .or_else(|| home(".config"))
            .map(|dir| dir.join("gantry"))
    }

    /// `~/.local/share/gantry`, unless the environment moves it.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.data_home
            .clone()
            .or_else(|| home(".local/share"))
            .map(|dir| dir.join("gantry"))
    }
}

#[cfg(test)]
impl Env {
    /// Endpoint, key id and key secret as given, nothing else.
    pub fn of([endpoint, key_id, key_secret]: [Option<&str>; 3]) -> Self {
        Self {
            endpoint: endpoint.map(str::to_owned),
            key_id: key_id.map(str::to_owned),
            key_secret: key_secret.map(Secret::new),
            sign_key: None,
            outside: Ok(Outside::default()),
            no_color: true,
            config_home: None,
            data_home: None,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this program that reads its environment"
)]
fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    value(name).map(|value| value.to_string_lossy().trim().to_owned())
}

fn directory(name: &str) -> Option<PathBuf> {
    value(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn home(below: &str) -> Option<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .map(|home| home.join(below))
}
