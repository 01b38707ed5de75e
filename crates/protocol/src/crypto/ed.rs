//! Ed25519 keys: the server's, each launcher's, and the release key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::secret::Secret;

/// A private Ed25519 key. Does not print.
#[derive(Clone)]
pub struct EdKey(ed25519_dalek::SigningKey);

/// A public Ed25519 key, written as 43 characters of unpadded base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EdPublic([u8; 32]);

/// Why a text is not an Ed25519 key.
#[derive(Debug, thiserror::Error)]
pub enum EdKeyError {
    /// Not an unencrypted PKCS#8 PEM of an Ed25519 key.
    #[error("expected an unencrypted Ed25519 private key in PKCS#8 PEM (`BEGIN PRIVATE KEY`)")]
    Private,
    /// Not a public key's text.
    #[error("`{0}` is not an Ed25519 public key: expected 43 characters of base64url")]
    Public(String),
}

impl EdKey {
    /// A new key from the system's entropy.
    pub fn generate() -> Self {
        Self(ed25519_dalek::SigningKey::generate(&mut rand_core::OsRng))
    }

    /// Reads an unencrypted PKCS#8 PEM.
    ///
    /// # Errors
    /// [`EdKeyError::Private`]; the text itself is never part of the error.
    pub fn from_pem(pem: &Secret) -> Result<Self, EdKeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem.expose());
        key.map(Self).map_err(|_| EdKeyError::Private)
    }

    /// The key as PKCS#8 PEM, for a file that only its owner reads.
    pub fn to_pem(&self) -> Secret {
        let pem = self
            .0
            .to_pkcs8_pem(LineEnding::LF)
            .expect("invariant: an Ed25519 key encodes");
        Secret::new(pem.as_str())
    }

    /// The public half.
    pub fn public(&self) -> EdPublic {
        EdPublic(self.0.verifying_key().to_bytes())
    }

    pub(super) fn der(&self) -> Vec<u8> {
        let der = self
            .0
            .to_pkcs8_der()
            .expect("invariant: an Ed25519 key encodes");
        der.as_bytes().to_vec()
    }
}

impl fmt::Debug for EdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdKey(public {})", self.public())
    }
}

impl EdPublic {
    /// Name of the key in a signature's header: the first 16 hex digits of its SHA-256.
    pub fn key_id(&self) -> String {
        Digest::of(&self.0).hex()[..16].to_owned()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for EdPublic {
    type Err = EdKeyError;

    fn from_str(text: &str) -> Result<Self, EdKeyError> {
        let invalid = || EdKeyError::Public(text.chars().take(64).collect());
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| invalid())?;
        // A text that is no point of the curve is refused here, not at the first signature.
        ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| invalid())?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for EdPublic {
    type Error = EdKeyError;

    fn try_from(text: String) -> Result<Self, EdKeyError> {
        text.parse()
    }
}

impl From<EdPublic> for String {
    fn from(key: EdPublic) -> String {
        key.to_string()
    }
}

impl fmt::Display for EdPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for EdPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
