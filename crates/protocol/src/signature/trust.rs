//! The keys whose signatures a launcher believes: a JWK set (RFC 7517) that its owner wrote.
//!
//! Takes the file's text, gives keys by name. Never: a set of which a part was not understood.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::public::{JwkError, PublicKey};

/// Most keys in one set.
const MOST: usize = 100;

/// Longest name of a key.
pub(super) const LONGEST_KID: usize = 128;

/// Trusted keys by their names; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys(BTreeMap<String, PublicKey>);

/// Why a text is not a set of trusted keys.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TrustError {
    /// Not the JSON of a set.
    #[error("it is not a JWK set: expected `{{\"keys\": [ … ]}}`")]
    NotASet,
    /// No key, which would trust nobody.
    #[error("it lists no key")]
    Empty,
    /// More keys than anybody looks through.
    #[error("it lists {0} keys: at most {MOST} are taken")]
    Many(usize),
    /// A key without a name.
    #[error("key {0} (counted from 1) has no `kid` of 1 to {LONGEST_KID} printable characters")]
    NoName(usize),
    /// Two keys of one name.
    #[error("two keys have the `kid` `{0}`")]
    Twice(String),
    /// A key that is not taken.
    #[error("key `{kid}` is not taken")]
    Key {
        /// Its name.
        kid: String,
        /// Why.
        source: JwkError,
    },
}

impl TrustedKeys {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let set: Value = serde_json::from_str(text).map_err(|_| TrustError::NotASet)?;
        let listed = set.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or(TrustError::NotASet)?;
        if listed.is_empty() {
            return Err(TrustError::Empty);
        }
        if listed.len() > MOST {
            return Err(TrustError::Many(listed.len()));
        }
        let mut keys = BTreeMap::new();
        for (index, jwk) in listed.iter().enumerate() {
            let jwk = jwk.as_object().ok_or(TrustError::NotASet)?;
            let kid = kid(jwk).ok_or(TrustError::NoName(index + 1))?;
            let key = PublicKey::from_jwk(jwk);
            let key = key.map_err(|source| TrustError::Key {
                kid: kid.clone(),
                source,
            })?;
            if keys.insert(kid.clone(), key).is_some() {
                return Err(TrustError::Twice(kid));
            }
        }
        Ok(Self(keys))
    }

    /// The key of this name.
    pub fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.0.get(kid)
    }

    /// Names and keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        self.0.iter().map(|(kid, key)| (kid.as_str(), key))
    }
}

/// The name of a JSON Web Key, if it is one that can be shown.
pub fn kid(jwk: &Map<String, Value>) -> Option<String> {
    let kid = jwk.get("kid")?.as_str()?;
    is_name(kid).then(|| kid.to_owned())
}

pub(super) fn is_name(kid: &str) -> bool {
    (1..=LONGEST_KID).contains(&kid.len()) && kid.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}
