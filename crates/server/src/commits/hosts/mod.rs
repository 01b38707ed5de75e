//! Webhooks of the four vendors: whether they are proven, and what they say.
//!
//! Takes headers and a body of anybody's, gives pushes or a refusal. Pure. Never: a body read before its proof,
//! or a comparison of secrets that takes longer the closer it gets.

mod azure;
mod bitbucket;
mod github;
mod gitlab;
#[cfg(test)]
mod tests;

use axum::http::HeaderMap;
use gantry_protocol::{Digest, Secret};
use hmac::{Hmac, Mac};
use serde::de::DeserializeOwned;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::{CodeHost, Push};

/// A proven message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The host's id of this delivery; the same when it is sent again.
    pub delivery: String,
    /// The branches that moved; none for a message about something else.
    pub pushes: Vec<Push>,
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its proof is missing or wrong.
    #[error("{0} is missing or wrong: set the integration's webhook secret at the code host")]
    Unproven(&'static str),
    /// It can't be read.
    #[error("this is no webhook of {host}: {reason}")]
    Malformed {
        /// What was expected.
        host: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A host that sends none.
    #[error("repositories of this integration are asked in turns: it takes no webhooks")]
    NoWebhooks,
}

/// Branches of one message; more are cut off, and polling or the next push finds them.
const BRANCHES_LIMIT: usize = 100;

/// Paths of one push; more is as if the host had not told.
const PATHS_LIMIT: usize = 5_000;

/// Reads a message of a host.
///
/// # Errors
/// It is not proven by `secret`, or can't be read.
pub fn read(
    host: CodeHost,
    secret: &Secret,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Message, Refusal> {
    let mut message = match host {
        CodeHost::Github => github::read(secret, headers, body),
        CodeHost::Gitlab => gitlab::read(secret, headers, body),
        CodeHost::BitbucketDatacenter => bitbucket::read(secret, headers, body),
        CodeHost::AzureDevops => azure::read(secret, headers, body),
        CodeHost::Git => Err(Refusal::NoWebhooks),
    }?;
    message.pushes.truncate(BRANCHES_LIMIT);
    Ok(message)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The delivery's id from a header; from the body where the host sent none.
fn delivery(headers: &HeaderMap, names: &[&str], body: &[u8]) -> String {
    let given = names.iter().find_map(|name| header(headers, name));
    let usable = given.filter(|id| !id.is_empty() && id.len() <= 128);
    usable.map_or_else(|| Digest::of(body).hex(), ToOwned::to_owned)
}

/// Checks `sha256=<hex>` of the body.
fn signed(
    secret: &Secret,
    headers: &HeaderMap,
    name: &'static str,
    body: &[u8],
) -> Result<(), Refusal> {
    let unproven = Refusal::Unproven(name);
    let given = header(headers, name).and_then(|text| text.strip_prefix("sha256="));
    let given = given.and_then(unhex).ok_or(unproven.clone())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("invariant: HMAC takes keys of any length");
    mac.update(body);
    mac.verify_slice(&given).map_err(|_| unproven)
}

/// Whether two secrets are the same, in a time that tells nothing but their lengths.
fn same(given: &str, secret: &Secret) -> bool {
    given.as_bytes().ct_eq(secret.expose().as_bytes()).into()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let pair = |pair: &[u8]| {
        let (high, low) = (digit(pair[0])?, digit(pair[1])?);
        u8::try_from(high * 16 + low).ok()
    };
    let bytes = text.as_bytes();
    match bytes.len() {
        64 => bytes.chunks_exact(2).map(pair).collect(),
        _ => None,
    }
}

fn json<T: DeserializeOwned>(host: &'static str, body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed {
        host,
        reason: error.to_string().chars().take(200).collect(),
    })
}

/// The branch of `refs/heads/…`; none for tags and other references.
fn branch(reference: &str) -> Option<String> {
    let name = reference.strip_prefix("refs/heads/")?;
    crate::vcs_probe::check_branch(name).ok()?;
    Some(name.to_owned())
}

/// A hash, unless it is the one of zeros that stands for none.
fn hash(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let real = crate::vcs_probe::is_full_hash(&text) && text.bytes().any(|b| b != b'0');
    real.then_some(text)
}

/// All paths of a push, unless there are too many to tell.
fn bounded(paths: Vec<String>) -> Option<Vec<String>> {
    (paths.len() <= PATHS_LIMIT).then_some(paths)
}
