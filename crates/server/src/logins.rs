//! Logins for repositories.
//!
//! Takes a clone URL and the space of a stack, gives the login of the integration that serves both. Never: a
//! login for a URL that is not below the prefix of its integration, or one in a log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use gantry_protocol::payload::GitCredentials;

use crate::domain::{CodeHost, IntegrationId};
use crate::store::integrations::{self, Integration, token_purpose};
use crate::store::{Conn, StoreError};
use crate::vault::{Vault, VaultError};

/// Why there is no login, although there should be one.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token does not open.
    #[error("the token of VCS integration `{integration}` can't be opened; set it again")]
    Token {
        /// The integration.
        integration: IntegrationId,
        /// Why.
        source: VaultError,
    },
}

impl LoginError {
    /// Whether the text may be shown to the person who asked.
    pub fn is_for_people(&self) -> bool {
        matches!(self, Self::Token { .. })
    }
}

/// The login of an integration, if it has a token.
pub fn of(vault: &Vault, integration: &Integration) -> Result<Option<GitCredentials>, LoginError> {
    let Some(sealed) = &integration.token else {
        return Ok(None);
    };
    let purpose = token_purpose(&integration.id);
    let failed = |source| LoginError::Token {
        integration: integration.id.clone(),
        source,
    };
    let password = vault.open_text(&purpose, sealed).map_err(failed)?;
    let usual = || integration.host.username().to_owned();
    Ok(Some(GitCredentials {
        username: integration.username.clone().unwrap_or_else(usual),
        password,
    }))
}

/// The login for a repository, for things of this space; none where nobody set one. Only `https` has logins, and
/// what agents reach.
pub async fn find(
    conn: &mut Conn,
    vault: &Vault,
    url: &str,
    space: &str,
) -> Result<Option<GitCredentials>, LoginError> {
    if !url.starts_with("https://") && !url.starts_with("private://") {
        return Ok(None);
    }
    match integrations::serving(conn, url, space).await? {
        Some(integration) => of(vault, &integration),
        None => Ok(None),
    }
}

/// The header by which a host knows the token.
pub fn proof(host: CodeHost, login: &GitCredentials) -> (&'static str, Secret) {
    let token = login.password.expose();
    match host {
        CodeHost::Gitlab => ("PRIVATE-TOKEN", Secret::new(token)),
        CodeHost::AzureDevops => (
            "Authorization",
            Secret::new(format!("Basic {}", STANDARD.encode(format!(":{token}")))),
        ),
        CodeHost::Github | CodeHost::BitbucketDatacenter | CodeHost::Git => {
            ("Authorization", Secret::new(format!("Bearer {token}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_knows_a_token_by_its_own_header() {
        let login = GitCredentials {
            username: "u".to_owned(),
            password: Secret::new("t"),
        };
        let basic = "Basic OnQ=".to_owned();
        for (host, expected) in [
            (CodeHost::Github, ("Authorization", "Bearer t".to_owned())),
            (CodeHost::Gitlab, ("PRIVATE-TOKEN", "t".to_owned())),
            (
                CodeHost::BitbucketDatacenter,
                ("Authorization", "Bearer t".to_owned()),
            ),
            (CodeHost::AzureDevops, ("Authorization", basic)),
        ] {
            let (name, value) = proof(host, &login);
            assert_eq!((name, value.expose().to_owned()), expected);
        }
    }
}
