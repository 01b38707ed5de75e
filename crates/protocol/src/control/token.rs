//! The pool token: base64 of JSON, made when the pool is created and shown once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::crypto::EdPublic;
use crate::ids::PoolId;

/// Version of the token's format.
pub const VERSION: u32 = 1;

/// What `SPACELIFT_TOKEN` holds. It enrols launchers only together with the pool's private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolToken {
    /// [`VERSION`]; another one is refused.
    pub version: u32,
    /// Where the server is.
    pub broker: Broker,
    /// The pool.
    pub pool: PoolId,
    /// PEM certificate that the server issued for the pool's CSR.
    pub certificate: String,
    /// Keys that sign run envelopes; more than one while they rotate.
    pub server_keys: Vec<EdPublic>,
}

/// The server's address, under the member name that existing boot scripts read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Base URL.
    pub endpoint: String,
}

/// Why a text is not a pool token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not base64.
    #[error("the pool token is not base64; copy it whole, on one line")]
    NotBase64,
    /// Not the expected JSON.
    #[error("the pool token is base64, but not of a pool token's JSON; copy it whole")]
    NotToken(#[source] serde_json::Error),
    /// Another format version.
    #[error(
        "the pool token has format version {0}, this launcher reads version {VERSION}; use a launcher of the server's release"
    )]
    Version(u32),
}

impl PoolToken {
    /// The text that people copy.
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("invariant: a token serialises");
        STANDARD.encode(json)
    }

    /// Reads the text. White space around and inside it (wrapped lines) is ignored.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let json = STANDARD.decode(text).map_err(|_| TokenError::NotBase64)?;
        // The version first: another version may have other members.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let found: Versioned = serde_json::from_slice(&json).map_err(TokenError::NotToken)?;
        if found.version != VERSION {
            return Err(TokenError::Version(found.version));
        }
        serde_json::from_slice(&json).map_err(TokenError::NotToken)
    }
}
