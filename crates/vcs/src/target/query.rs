//! The query of a target.
//!
//! Takes what stands behind `?`, gives decoded pairs, as forms write them (a plus sign is a space), and writes them
//! again. Never: a pair that replaces the method, the user or the credential of a request.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{TargetError, decode, is_dots};

/// Most pairs of a query.
pub(super) const PAIRS: usize = 64;

/// What a query is written with as it is.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Parameters that the vendors' servers take instead of a method, a user or a credential. A gateway sends its
/// credential in a header, where it is not logged.
const POWERS: [&str; 6] = [
    "_method",
    "sudo",
    "private_token",
    "access_token",
    "job_token",
    "oauth_token",
];

/// A parameter and its value, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The parameter.
    pub key: String,
    /// Its value; `None` where not even `=` stands behind the parameter.
    pub value: Option<String>,
}

/// Reads a query; empty pieces between `&` say nothing and are dropped.
pub(super) fn read(query: &str) -> Result<Vec<Pair>, TargetError> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    let pairs: Vec<_> = pieces.take(PAIRS + 1).map(pair).collect::<Result<_, _>>()?;
    if pairs.len() > PAIRS {
        return Err(TargetError::ManyPairs);
    }
    Ok(pairs)
}

fn pair(piece: &str) -> Result<Pair, TargetError> {
    let (key, value) = match piece.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (piece, None),
    };
    let key = form(key)?;
    // Rails and PHP read `a[b]` and `a[]` as members of `a`, and spaces in front of a name as nothing.
    let name = key.trim().split('[').next().unwrap_or_default();
    if POWERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(TargetError::QueryPower);
    }
    let value = value.map(form).transpose()?;
    if value.as_deref().is_some_and(climbs) || climbs(&key) {
        return Err(TargetError::QueryClimbs);
    }
    Ok(Pair { key, value })
}

fn form(text: &str) -> Result<String, TargetError> {
    decode(&text.replace('+', "%20"))
}

/// Whether a text is a path that climbs, as it is or decoded once more.
fn climbs(text: &str) -> bool {
    let parent = |text: &str| {
        text.split(['/', '\\'])
            .any(|piece| is_dots(piece) && piece.contains(".."))
    };
    parent(text) || decode(text).is_ok_and(|again| parent(&again))
}

/// Writes pairs, without `?`.
pub(super) fn write(pairs: &[Pair]) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, IN_QUERY).to_string();
    let pair = |pair: &Pair| match &pair.value {
        Some(value) => format!("{}={}", escaped(&pair.key), escaped(value)),
        None => escaped(&pair.key),
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}
