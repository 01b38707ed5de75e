//! A login and where it came from.
//!
//! Takes what a source gave, gives the engine what it needs. Never: the secret part in a text.

use std::fmt;

use gantry_protocol::Secret;

use super::ecr::AwsSource;
use super::helper::HelperName;
use crate::engine::RegistryAuth;

/// Where a login comes from. Displays as the end of "asked …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginSource {
    /// Nowhere: the registry is asked as anybody would.
    Anonymous,
    /// `auths` of the Docker client configuration.
    DockerConfig,
    /// A credential helper that the Docker client configuration names.
    Helper(HelperName),
    /// Amazon ECR, by AWS credentials of this host.
    Ecr {
        /// Region that issues the token.
        region: String,
        /// Whose credentials; `None` when that was not looked at.
        from: Option<AwsSource>,
    },
    /// Amazon ECR Public, by AWS credentials of this host where it has some.
    PublicEcr {
        /// Whose credentials; `None` when that was not looked at.
        from: Option<AwsSource>,
    },
}

impl fmt::Display for LoginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("without a login"),
            Self::DockerConfig => f.write_str("with the login of the docker configuration"),
            Self::Helper(name) => write!(f, "with the login of {name}"),
            Self::Ecr { region, from } => {
                write!(f, "with an ECR token of {region} for {}", whose(*from))
            }
            Self::PublicEcr { from } => {
                write!(f, "with an ECR Public token for {}", whose(*from))
            }
        }
    }
}

fn whose(from: Option<AwsSource>) -> String {
    from.map_or_else(
        || "the AWS credentials of this host".to_owned(),
        |from| from.to_string(),
    )
}

/// What a registry is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    auth: RegistryAuth,
    source: LoginSource,
}

impl Login {
    /// None.
    pub fn anonymous() -> Self {
        Self {
            auth: RegistryAuth::Anonymous,
            source: LoginSource::Anonymous,
        }
    }

    pub(super) fn new(registry: &str, given: Given, source: LoginSource) -> Self {
        let registry = registry.to_owned();
        let auth = match given {
            Given::Password { username, password } => RegistryAuth::Password {
                username,
                password,
                registry,
            },
            Given::IdentityToken(token) => RegistryAuth::IdentityToken { token, registry },
        };
        Self { auth, source }
    }

    /// For the engine.
    pub fn auth(&self) -> &RegistryAuth {
        &self.auth
    }

    /// Where it comes from.
    pub fn source(&self) -> &LoginSource {
        &self.source
    }
}

/// The two kinds of secrets that Docker clients know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// User name and password (or access token).
    Password { username: String, password: Secret },
    /// A refresh token, exchanged by the engine for access tokens.
    IdentityToken(Secret),
}
