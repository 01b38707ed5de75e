//! The choice of a login for a registry.
//!
//! Takes the operator's settings once, then names of registries; gives logins. Never: a guess. What the Docker
//! configuration says comes first; then Amazon's registries get tokens; all others are asked without a login.

use std::path::PathBuf;

use gantry_net::egress::LauncherPurpose;
use gantry_net::{ClientError, ClientOptions, Outside};

use super::DOCKER_HUB;
use super::docker_config::{ConfigFileError, DockerConfig, Entry};
use super::ecr::{EcrError, EcrHost, Issued, Tokens};
use super::helper::{self, HelperEnvironment, HelperError, HelperName};
use super::login::{Given, Login, LoginSource};
use crate::engine::RegistryAuth;

/// What Docker's clients call Docker Hub when they talk to helpers.
const HUB_SERVER: &str = "https://index.docker.io/v1/";

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct LoginSettings {
    /// Docker client configuration directory.
    pub docker_config: Option<PathBuf>,
    /// What credential helpers inherit.
    pub helpers: HelperEnvironment,
    /// Proxies and added CAs, for AWS.
    pub outside: Outside,
}

/// Why a login that was configured can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The Docker client configuration.
    #[error("SPACELIFT_DOCKER_CONFIG_DIR")]
    Config(#[from] ConfigFileError),
    /// A credential helper.
    #[error("`{helper}` gave no login for `{registry}`")]
    Helper {
        /// Its name.
        helper: HelperName,
        /// The registry.
        registry: String,
        /// Why.
        source: HelperError,
    },
    /// Amazon ECR.
    #[error("could not get an ECR token for {host}")]
    Ecr {
        /// The registry.
        host: EcrHost,
        /// Why.
        source: Box<EcrError>,
    },
    /// The HTTP client for AWS.
    #[error("the client for AWS can't be set up")]
    Client(#[from] ClientError),
}

/// Finds logins. Share one: it keeps tokens.
#[derive(Debug)]
pub struct Logins {
    config: Option<DockerConfig>,
    helpers: HelperEnvironment,
    tokens: Tokens,
}

impl Logins {
    /// Reads the Docker configuration once, so that a mistake in it is found at start.
    ///
    /// # Errors
    /// [`LoginError::Config`], [`LoginError::Client`].
    pub fn new(settings: LoginSettings) -> Result<Self, LoginError> {
        let config = settings.docker_config.as_deref().map(DockerConfig::open);
        let agent = concat!("gantry-launcher/", env!("CARGO_PKG_VERSION"));
        let options = ClientOptions::new(LauncherPurpose::Ecr, agent, &settings.outside);
        Ok(Self {
            config: config.transpose()?,
            helpers: settings.helpers,
            tokens: Tokens::new(&options)?,
        })
    }

    /// Which source would be used for `registry` (`ghcr.io`, `127.0.0.1:5000`), asking nobody.
    ///
    /// # Errors
    /// [`LoginError::Config`].
    pub fn source_for(&self, registry: &str) -> Result<LoginSource, LoginError> {
        Ok(match self.entry(registry)? {
            Entry::Helper(helper) => LoginSource::Helper(helper),
            Entry::Login(_) => LoginSource::DockerConfig,
            Entry::Absent => ambient(registry),
        })
    }

    /// The login for `registry`.
    ///
    /// # Errors
    /// [`LoginError`] when a configured source fails; having none is [`Login::anonymous`].
    pub async fn login(&self, registry: &str) -> Result<Login, LoginError> {
        if let Some(login) = self.configured(registry).await? {
            return Ok(login);
        }
        if let Some(host) = EcrHost::parse(registry) {
            return self.ecr(registry, host, None).await;
        }
        if registry == EcrHost::PUBLIC
            && let Some(issued) = self.tokens.public().await
        {
            let source = LoginSource::PublicEcr {
                from: Some(issued.from),
            };
            return Ok(Login::new(registry, given(issued), source));
        }
        Ok(Login::anonymous())
    }

    /// Another login than `refused`, which `registry` did not take; `None` where its source has no other. Meant
    /// to be asked once: what a fresh token can't do is a matter of rights.
    ///
    /// # Errors
    /// As [`Logins::login`].
    pub async fn renewed(
        &self,
        registry: &str,
        refused: &Login,
    ) -> Result<Option<Login>, LoginError> {
        match (refused.source(), refused.auth(), EcrHost::parse(registry)) {
            (LoginSource::Ecr { .. }, RegistryAuth::Password { password, .. }, Some(host)) => {
                Ok(Some(self.ecr(registry, host, Some(password)).await?))
            }
            (LoginSource::PublicEcr { .. }, ..) => {
                self.tokens.forget_public().await;
                Ok(Some(Login::anonymous()))
            }
            _ => Ok(None),
        }
    }

    fn entry(&self, registry: &str) -> Result<Entry, LoginError> {
        match &self.config {
            Some(config) => Ok(config.entry(registry)?),
            None => Ok(Entry::Absent),
        }
    }

    async fn configured(&self, registry: &str) -> Result<Option<Login>, LoginError> {
        let helper = match self.entry(registry)? {
            Entry::Absent => return Ok(None),
            Entry::Login(given) => {
                return Ok(Some(Login::new(registry, given, LoginSource::DockerConfig)));
            }
            Entry::Helper(helper) => helper,
        };
        let server = match registry {
            DOCKER_HUB => HUB_SERVER,
            other => other,
        };
        match helper::ask(&helper, server, &self.helpers).await {
            Ok(given) => {
                let source = LoginSource::Helper(helper);
                Ok(given.map(|given| Login::new(registry, given, source)))
            }
            Err(source) => Err(LoginError::Helper {
                helper,
                registry: registry.to_owned(),
                source,
            }),
        }
    }

    async fn ecr(
        &self,
        registry: &str,
        host: EcrHost,
        refused: Option<&gantry_protocol::Secret>,
    ) -> Result<Login, LoginError> {
        match self.tokens.private(&host, refused).await {
            Ok(issued) => {
                let source = LoginSource::Ecr {
                    region: host.region().to_owned(),
                    from: Some(issued.from),
                };
                Ok(Login::new(registry, given(issued), source))
            }
            Err(source) => {
                let source = Box::new(source);
                Err(LoginError::Ecr { host, source })
            }
        }
    }
}

fn given(issued: Issued) -> Given {
    Given::Password {
        username: issued.username,
        password: issued.password,
    }
}

fn ambient(registry: &str) -> LoginSource {
    match EcrHost::parse(registry) {
        Some(host) => LoginSource::Ecr {
            region: host.region().to_owned(),
            from: None,
        },
        None if registry == EcrHost::PUBLIC => LoginSource::PublicEcr { from: None },
        None => LoginSource::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(config: &str) -> (tempfile::TempDir, Logins) {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::write(dir.path().join("config.json"), config).expect("written");
        let settings = LoginSettings {
            docker_config: Some(dir.path().to_owned()),
            ..LoginSettings::default()
        };
        (dir, Logins::new(settings).expect("usable"))
    }

    #[test]
    fn the_source_of_a_login_is_known_without_asking_anybody() {
        let (_dir, logins) = logins(
            r#"{"auths":{"ghcr.io":{"auth":"dTpw"},"123456789012.dkr.ecr.eu-west-1.amazonaws.com":{"auth":"dTpw"}},
                "credHelpers":{"quay.io":"pass"}}"#,
        );
        let ecr = "111111111111.dkr.ecr.us-gov-west-1.amazonaws.com";
        let cases = [
            ("ghcr.io", "with the login of the docker configuration"),
            ("quay.io", "with the login of docker-credential-pass"),
            ("docker.io", "without a login"),
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "with the login of the docker configuration",
            ),
            (
                ecr,
                "with an ECR token of us-gov-west-1 for the AWS credentials of this host",
            ),
            (
                "public.ecr.aws",
                "with an ECR Public token for the AWS credentials of this host",
            ),
        ];
        for (registry, expected) in cases {
            let source = logins.source_for(registry).expect("readable");
            assert_eq!(source.to_string(), expected, "{registry}");
        }
    }

    #[tokio::test]
    async fn a_login_that_nobody_can_renew_is_not_renewed() {
        let (_dir, logins) = logins(r#"{"auths":{"ghcr.io":{"auth":"dTpw"}}}"#);
        for registry in ["ghcr.io", "quay.io"] {
            let login = logins.login(registry).await.expect("a login or none");
            let renewed = logins.renewed(registry, &login).await;
            assert_eq!(renewed.expect("no failure"), None, "{registry}");
        }
    }
}
