//! Logins for registries, from a Docker client configuration directory.
//!
//! Takes the directory's `config.json`, gives [`Credentials`] for a registry. Never: one registry's login for
//! another, and never the file's content in an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use serde::Deserialize;

use super::reference::{DOCKER_HUB, Reference};
use crate::engine::RegistryAuth;

/// Largest configuration file that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// How a registry is asked. Further ways (credential helpers, identity tokens, ECR) become further cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Without a login.
    Anonymous,
    /// With a user name and password (or token) from a Docker configuration.
    Password {
        /// User name.
        username: String,
        /// Password or token.
        password: Secret,
    },
}

impl Credentials {
    pub(super) fn auth(&self, reference: &Reference) -> RegistryAuth {
        match self {
            Self::Anonymous => RegistryAuth::Anonymous,
            Self::Password { username, password } => RegistryAuth::Password {
                username: username.clone(),
                password: password.clone(),
                registry: reference.registry().to_owned(),
            },
        }
    }

    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Anonymous => "without a login",
            Self::Password { .. } => "with the login from the docker configuration",
        }
    }
}

/// Why logins can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("could not read registry logins from `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
}

#[derive(Deserialize, Default)]
struct AuthEntry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
}

/// The `auths` of a Docker client configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerAuths {
    logins: BTreeMap<String, Credentials>,
}

impl DockerAuths {
    /// Reads `config.json` in `directory`; a directory without one holds no logins.
    ///
    /// # Errors
    /// [`CredentialsError`] when the file can't be read or understood.
    pub fn load(directory: &Path) -> Result<Self, CredentialsError> {
        use std::io::Read;
        let path = directory.join("config.json");
        let read = |source| CredentialsError::Read {
            path: path.clone(),
            source,
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(read(error)),
        };
        let mut text = String::new();
        file.take(MAX_CONFIG)
            .read_to_string(&mut text)
            .map_err(read)?;
        let result = Self::parse(&text);
        zeroize::Zeroize::zeroize(&mut text);
        result.map_err(|rule| CredentialsError::Invalid { path, rule })
    }

    fn parse(text: &str) -> Result<Self, String> {
        // serde's message may quote the input, so only the position is passed on.
        let config: ConfigFile = serde_json::from_str(text)
            .map_err(|e| format!("no valid JSON at line {} column {}", e.line(), e.column()))?;
        let mut logins = BTreeMap::new();
        for (key, entry) in config.auths {
            if let Some(login) = login(&key, entry)? {
                logins.insert(registry_of_key(&key), login);
            }
        }
        Ok(Self { logins })
    }

    /// The login for a reference's registry.
    pub fn for_image(&self, reference: &Reference) -> Credentials {
        let login = self.logins.get(reference.registry());
        login.cloned().unwrap_or(Credentials::Anonymous)
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

fn login(key: &str, entry: AuthEntry) -> Result<Option<Credentials>, String> {
    let bad = || format!("the `auth` of `{key}` is not base64 of user:password");
    if let Some(auth) = entry.auth.filter(|auth| !auth.expose().is_empty()) {
        let bytes = STANDARD.decode(auth.expose()).map_err(|_| bad())?;
        let pair = Secret::new(String::from_utf8(bytes).map_err(|_| bad())?);
        let (username, password) = pair.expose().split_once(':').ok_or_else(bad)?;
        return Ok(Some(Credentials::Password {
            username: username.to_owned(),
            password: Secret::new(password.trim_end_matches('\0')),
        }));
    }
    Ok(match (entry.username, entry.password) {
        (Some(username), Some(password)) => Some(Credentials::Password { username, password }),
        // A credential store keeps it elsewhere; the entry only marks that there is one.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, image: &str) -> Option<(String, String)> {
        let auths = DockerAuths::parse(config).expect("valid");
        match auths.for_image(&Reference::parse(image).expect("valid")) {
            Credentials::Anonymous => None,
            Credentials::Password { username, password } => {
                Some((username, password.expose().to_owned()))
            }
        }
    }

    #[test]
    fn logins_belong_to_one_registry() {
        let auth = STANDARD.encode("user:pa:ss?>~");
        let login = Some(("user".to_owned(), "pa:ss?>~".to_owned()));
        let cases = [
            ("https://index.docker.io/v1/", "alpine", true),
            ("docker.io", "alpine", true),
            ("ghcr.io", "ghcr.io/a/b", true),
            ("https://ghcr.io/v2/", "ghcr.io/a/b", true),
            ("127.0.0.1:5000", "127.0.0.1:5000/x", true),
            ("127.0.0.1:5000", "127.0.0.1:5001/x", false),
            ("ghcr.io", "alpine", false),
            ("ghcr.io", "sub.ghcr.io/x", false),
        ];
        for (key, image, expected) in cases {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#);
            let expected = expected.then(|| login.clone()).flatten();
            assert_eq!(found(&config, image), expected, "{key} {image}");
        }
    }

    #[test]
    fn other_shapes() {
        let plain = r#"{"auths":{"ghcr.io":{"username":"u","password":"p"}}}"#;
        assert_eq!(
            found(plain, "ghcr.io/x"),
            Some(("u".to_owned(), "p".to_owned()))
        );
        assert_eq!(
            found(r#"{"auths":{"ghcr.io":{}},"credsStore":"x"}"#, "ghcr.io/x"),
            None
        );
        assert_eq!(found("{}", "ghcr.io/x"), None);
    }

    #[test]
    fn errors_do_not_quote_the_file() {
        for text in [
            r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#,
            r#"{"auths": secret"#,
        ] {
            let error = DockerAuths::parse(text).expect_err(text);
            assert!(
                !error.contains("secret") && !error.contains("c2Vj"),
                "{error}"
            );
        }
    }
}
