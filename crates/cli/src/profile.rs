//! Stored logins: `config.json` in the configuration directory, in the shape that people of this field know.
//!
//! Takes a directory, gives logins. Never: a file or directory that others may read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gantry_protocol::Secret;
use serde::{Deserialize, Serialize};

use crate::env::{ENDPOINT, Env, KEY_ID, KEY_SECRET};
use crate::files;

/// Where to log in, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Base URL of the server.
    pub endpoint: String,
    /// The API key's id.
    pub key_id: String,
    /// The API key's secret.
    pub key_secret: Secret,
}

/// Why there is nothing to log in with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoLogin {
    /// Nothing stored, nothing in the environment.
    #[error("not logged in: run `gantry login`, or set {ENDPOINT}, {KEY_ID} and {KEY_SECRET}")]
    Nothing,
    /// Some of the three variables.
    #[error(
        "{0} is not set, while others of {ENDPOINT}, {KEY_ID} and {KEY_SECRET} are: set all three or none"
    )]
    Partly(&'static str),
    /// A name that nobody stored.
    #[error("there is no login named `{0}`: run `gantry login {0}`")]
    Unknown(String),
}

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    current_profile_alias: String,
    profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Profile {
    alias: String,
    credentials: Credentials,
}

#[derive(Debug, Serialize, Deserialize)]
struct Credentials {
    /// 1: an API key. Other programs of this format know more kinds.
    #[serde(rename = "type")]
    kind: u8,
    endpoint: String,
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    key_secret: Secret,
}

const API_KEY: u8 = 1;

/// The stored logins of one directory.
pub struct Profiles {
    path: PathBuf,
}

impl Profiles {
    /// In `dir`, which need not exist.
    pub fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("config.json"),
        }
    }

    /// The login to use: `wanted` by name, else the environment's, else the one stored last.
    pub fn pick(&self, wanted: Option<&str>, env: &Env) -> anyhow::Result<Login> {
        if wanted.is_none()
            && let Some(login) = from_env(env)?
        {
            return Ok(login);
        }
        let mut config = self.load()?;
        let name = wanted.unwrap_or(&config.current_profile_alias).to_owned();
        if name.is_empty() {
            return Err(NoLogin::Nothing.into());
        }
        let profile = config
            .profiles
            .remove(&name)
            .filter(|found| found.credentials.kind == API_KEY);
        let found = profile.ok_or(NoLogin::Unknown(name))?.credentials;
        Ok(Login {
            endpoint: found.endpoint,
            key_id: found.key_id,
            key_secret: found.key_secret,
        })
    }

    /// Stores a login under `name` and makes it the current one.
    pub fn store(&self, name: &str, login: &Login) -> anyhow::Result<()> {
        let dir = self
            .path
            .parent()
            .context("the configuration directory has no parent")?;
        files::private_dir(dir)?;
        let mut config = self.load()?;
        let credentials = Credentials {
            kind: API_KEY,
            endpoint: login.endpoint.clone(),
            key_id: login.key_id.clone(),
            key_secret: login.key_secret.clone(),
        };
        name.clone_into(&mut config.current_profile_alias);
        config.profiles.insert(
            name.to_owned(),
            Profile {
                alias: name.to_owned(),
                credentials,
            },
        );
        let text = serde_json::to_vec_pretty(&config).context("cannot write the logins as JSON")?;
        files::replace(&self.path, &text)
    }

    fn load(&self) -> anyhow::Result<Config> {
        match fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("`{}` is not a file of logins", self.path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read `{}`", self.path.display()))
            }
        }
    }
}

fn from_env(env: &Env) -> Result<Option<Login>, NoLogin> {
    match (&env.endpoint, &env.key_id, &env.key_secret) {
        (None, None, None) => Ok(None),
        (None, ..) => Err(NoLogin::Partly(ENDPOINT)),
        (_, None, _) => Err(NoLogin::Partly(KEY_ID)),
        (_, _, None) => Err(NoLogin::Partly(KEY_SECRET)),
        (Some(endpoint), Some(key_id), Some(key_secret)) => Ok(Some(Login {
            endpoint: endpoint.clone(),
            key_id: key_id.clone(),
            key_secret: key_secret.clone(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(endpoint: &str) -> Login {
        Login {
            endpoint: endpoint.to_owned(),
            key_id: "id".to_owned(),
            key_secret: Secret::new("hunter2"),
        }
    }

    #[test]
    fn the_environment_comes_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(dir.path());
        let all = [Some("https://env"), Some("id"), Some("hunter2")];
        for missing in 0..3 {
            let mut set = all;
            set[missing] = None;
            let error = profiles.pick(None, &Env::of(set)).unwrap_err();
            let name = [ENDPOINT, KEY_ID, KEY_SECRET][missing];
            assert_eq!(error.downcast::<NoLogin>().unwrap(), NoLogin::Partly(name));
        }
        assert_eq!(
            profiles.pick(None, &Env::of(all)).unwrap(),
            login("https://env")
        );
        let nothing = profiles.pick(None, &Env::of([None; 3])).unwrap_err();
        assert_eq!(nothing.downcast::<NoLogin>().unwrap(), NoLogin::Nothing);
    }

    #[test]
    fn a_named_login_beats_the_environment_beats_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(&dir.path().join("new"));
        profiles.store("one", &login("https://one")).unwrap();
        profiles.store("two", &login("https://two")).unwrap();
        let (env, none) = (
            Env::of([Some("https://env"), Some("id"), Some("hunter2")]),
            Env::of([None; 3]),
        );
        assert_eq!(
            profiles.pick(Some("one"), &env).unwrap().endpoint,
            "https://one"
        );
        assert_eq!(profiles.pick(None, &env).unwrap().endpoint, "https://env");
        assert_eq!(profiles.pick(None, &none).unwrap().endpoint, "https://two");
        let unknown = profiles.pick(Some("three"), &none).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "there is no login named `three`: run `gantry login three`"
        );
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, "{").unwrap();
        let error = Profiles::new(dir.path())
            .store("one", &login("https://one"))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}` is not a file of logins", path.display())
        );
        assert_eq!(fs::read(&path).unwrap(), b"{");
    }
}
