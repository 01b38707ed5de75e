//! Token and key → [`PoolCredentials`]: do they belong together, and for how long?
//!
//! Takes the two texts from the configuration. Gives credentials that are known to fit. Never: a secret in
//! an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use gantry_protocol::control::token::{PoolToken, TokenError};
use gantry_protocol::crypto::{EdPublic, PoolKey, PoolKeyError, PoolPublic};
use gantry_protocol::ids::PoolId;
use time::OffsetDateTime;

/// Days before the certificate's end from which on it is warned of.
pub const WARN_DAYS: i64 = 30;

/// A token and the private key that belongs to it.
#[derive(Debug)]
pub struct PoolCredentials {
    /// Base URL of the server, without a trailing slash, as proofs name it.
    pub endpoint: String,
    /// The same, parsed: `https`, or `http` on loopback.
    pub url: reqwest::Url,
    /// The pool.
    pub pool: PoolId,
    /// The pool's private key.
    pub key: PoolKey,
    /// Keys that may sign run envelopes.
    pub server_keys: Vec<EdPublic>,
    /// End of the pool certificate.
    pub expires: OffsetDateTime,
}

/// Why token and key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The token is unreadable.
    #[error("SPACELIFT_TOKEN")]
    Token(#[source] TokenError),
    /// The token names no usable server.
    #[error("SPACELIFT_TOKEN: its endpoint `{0}` is not an https URL (http only on loopback)")]
    Endpoint(String),
    /// The certificate in the token is unreadable.
    #[error("SPACELIFT_TOKEN: its certificate is damaged; copy the token whole")]
    Certificate,
    /// The certificate has ended.
    #[error(
        "SPACELIFT_TOKEN: the pool certificate ended at {0}; reset the pool to get a new token"
    )]
    Expired(OffsetDateTime),
    /// The key isn't base64.
    #[error(
        "SPACELIFT_POOL_PRIVATE_KEY is not base64 of a PEM file; encode it with `base64 -w0 key.pem`"
    )]
    KeyNotBase64,
    /// The key is unusable.
    #[error("SPACELIFT_POOL_PRIVATE_KEY")]
    Key(#[source] PoolKeyError),
    /// Two good things that are not a pair.
    #[error(
        "SPACELIFT_POOL_PRIVATE_KEY is not the key of pool {pool} in SPACELIFT_TOKEN; use the key whose CSR made that pool"
    )]
    Mismatch {
        /// The token's pool.
        pool: PoolId,
    },
}

impl PoolCredentials {
    /// Reads both and checks that they are a pair at `now`.
    ///
    /// # Errors
    /// See [`CredentialsError`].
    pub fn read(
        token: &Secret,
        key: &Secret,
        now: OffsetDateTime,
    ) -> Result<Self, CredentialsError> {
        let token = PoolToken::decode(token.expose()).map_err(CredentialsError::Token)?;
        let (endpoint, url) = endpoint(&token)?;
        let (certified, expires) = certificate(&token)?;
        if expires <= now {
            return Err(CredentialsError::Expired(expires));
        }
        let key = private_key(key)?;
        if key.public() != certified {
            return Err(CredentialsError::Mismatch { pool: token.pool });
        }
        Ok(Self {
            endpoint,
            url,
            pool: token.pool,
            key,
            server_keys: token.server_keys,
            expires,
        })
    }

    /// Whole days until the certificate ends, when that is near.
    pub fn days_left_if_few(&self, now: OffsetDateTime) -> Option<i64> {
        Some((self.expires - now).whole_days()).filter(|days| *days <= WARN_DAYS)
    }
}

fn endpoint(token: &PoolToken) -> Result<(String, reqwest::Url), CredentialsError> {
    let text = token.broker.endpoint.trim_end_matches('/').to_owned();
    let wrong = || CredentialsError::Endpoint(text.chars().take(200).collect());
    let url = reqwest::Url::parse(&text).map_err(|_| wrong())?;
    gantry_net::require_https_unless_loopback(&url).map_err(|_| wrong())?;
    Ok((text, url))
}

fn certificate(token: &PoolToken) -> Result<(PoolPublic, OffsetDateTime), CredentialsError> {
    let damaged = |_| CredentialsError::Certificate;
    let pem = x509_parser::pem::parse_x509_pem(token.certificate.as_bytes());
    let (_, pem) = pem.map_err(|_| CredentialsError::Certificate)?;
    let certificate = pem
        .parse_x509()
        .map_err(|_| CredentialsError::Certificate)?;
    let key = PoolPublic::from_spki_der(certificate.public_key().raw).map_err(damaged)?;
    Ok((key, certificate.validity().not_after.to_datetime()))
}

/// A file that a credential names may be the key as it is.
fn private_key(text: &Secret) -> Result<PoolKey, CredentialsError> {
    if text.expose().trim_start().starts_with("-----BEGIN") {
        return PoolKey::from_pem(text).map_err(CredentialsError::Key);
    }
    let compact: String = text
        .expose()
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    let bytes = STANDARD
        .decode(compact)
        .map_err(|_| CredentialsError::KeyNotBase64)?;
    let pem = String::from_utf8(bytes).map_err(|_| CredentialsError::KeyNotBase64)?;
    PoolKey::from_pem(&Secret::new(pem)).map_err(CredentialsError::Key)
}

#[cfg(test)]
mod tests;
