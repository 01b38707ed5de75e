//! The token that lets an agent into a pool.
//!
//! Takes and gives base64 of `{"host":…,"key":…,"pool_ulid":…}`, as the published agent reads it. Never: the key in an
//! error or in a debug print.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use serde::{Deserialize, Serialize};

/// Longest token that is looked at, in bytes.
const LIMIT: usize = 8 * 1024;

/// Where the gateway is, and what opens it.
#[derive(Clone, Debug)]
pub struct PoolToken {
    /// `host:port` of the gateway.
    pub host: String,
    /// The pool's key.
    pub key: Secret,
    /// The pool's id.
    pub pool: String,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not base64.
    #[error("the token is not base64; copy it whole, in one line")]
    NotBase64,
    /// Too long to be one.
    #[error("the token is longer than {LIMIT} bytes")]
    TooLong,
    /// Not the object that it should be.
    #[error(
        "the token is not the JSON object with `host`, `key` and `pool_ulid` that a pool gives out"
    )]
    NotAToken,
    /// A member is missing or empty.
    #[error("the token's `{0}` is empty")]
    Empty(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    host: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    pool_ulid: String,
}

impl PoolToken {
    /// Reads a token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        if text.len() > LIMIT {
            return Err(TokenError::TooLong);
        }
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| TokenError::NotBase64)?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|_| TokenError::NotAToken)?;
        let members = [
            ("host", &written.host),
            ("key", &written.key),
            ("pool_ulid", &written.pool_ulid),
        ];
        for (name, value) in members {
            if value.is_empty() {
                return Err(TokenError::Empty(name));
            }
        }
        Ok(Self {
            host: written.host,
            key: Secret::new(written.key),
            pool: written.pool_ulid,
        })
    }

    /// The token as its holder gets it.
    #[must_use]
    pub fn encode(&self) -> Secret {
        let written = Written {
            host: self.host.clone(),
            key: self.key.expose().to_owned(),
            pool_ulid: self.pool.clone(),
        };
        let text = serde_json::to_string(&written).expect("invariant: texts have a JSON form");
        Secret::new(STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> Result<PoolToken, TokenError> {
        PoolToken::decode(&STANDARD.encode(json))
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = PoolToken {
            host: "gateway.example.com:443".into(),
            key: Secret::new("k1"),
            pool: "01HZ".into(),
        };
        let read = PoolToken::decode(&format!(" {}\n", token.encode().expose())).unwrap();
        assert_eq!((read.host, read.pool), (token.host, token.pool));
        assert_eq!(read.key.expose(), "k1");
    }

    #[test]
    fn what_is_no_token_is_told_apart() {
        assert_eq!(PoolToken::decode("{}").unwrap_err(), TokenError::NotBase64);
        assert_eq!(
            PoolToken::decode(&"A".repeat(LIMIT + 1)).unwrap_err(),
            TokenError::TooLong
        );
        assert_eq!(written("[1]").unwrap_err(), TokenError::NotAToken);
        let no_host = r#"{"key":"k","pool_ulid":"p"}"#;
        assert_eq!(written(no_host).unwrap_err(), TokenError::Empty("host"));
        let no_key = r#"{"host":"h:1","key":"","pool_ulid":"p"}"#;
        assert_eq!(written(no_key).unwrap_err(), TokenError::Empty("key"));
    }

    #[test]
    fn the_key_is_not_printed() {
        let token = written(r#"{"host":"h:1","key":"hunter2","pool_ulid":"p"}"#).unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
    }
}
