//! Logins for repositories.
//!
//! Takes a clone URL and the space of a stack, gives the login of the integration that serves both. Never: a
//! login for a URL that is not below the prefix of its integration, or one in a log.

use gantry_protocol::payload::GitCredentials;

use crate::domain::IntegrationId;
use crate::store::integrations::{self, Integration, token_purpose};
use crate::store::{Conn, Store, StoreError};
use crate::vault::{Vault, VaultError};
use crate::vcs_probe::{ProbeError, SourceUrl, Sources};

/// Why there is no login, although there should be one.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The URL is none that may be used.
    #[error(transparent)]
    Url(#[from] ProbeError),
    /// The token does not open.
    #[error("the token of VCS integration `{integration}` can't be opened; set it again")]
    Token {
        /// The integration.
        integration: IntegrationId,
        /// Why.
        source: VaultError,
    },
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

/// The login for a repository, for things of this space; none where nobody set one. Only `https` has logins.
pub async fn find(
    conn: &mut Conn,
    vault: &Vault,
    url: &str,
    space: &str,
) -> Result<Option<GitCredentials>, LoginError> {
    if !url.starts_with("https://") {
        return Ok(None);
    }
    match integrations::serving(conn, url, space).await? {
        Some(integration) => of(vault, &integration),
        None => Ok(None),
    }
}

/// A repository as git reaches it.
pub async fn source(
    store: &Store,
    vault: &Vault,
    sources: &Sources,
    (url, space): (&str, &str),
) -> Result<SourceUrl, LoginError> {
    let checked = sources.check(url)?;
    let login = find(&mut *store.read().await?, vault, url, space).await?;
    Ok(checked.with_login(login))
}
