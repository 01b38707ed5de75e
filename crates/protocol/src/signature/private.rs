//! Private keys that sign runs: read, made, used. The launcher and the server have none.
//!
//! Takes PEM, gives signatures in the form that JWS has. Never: a part of a key in an error or a text.

use std::fmt;

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::SignatureEncoding as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rsa::signature::RandomizedSigner as _;
use sha2::Sha256;

use super::public::{Algorithm, JwkError, PublicKey, rsa_of};
use crate::secret::Secret;
use rsa::traits::PublicKeyParts as _;

/// Size of RSA keys that are made here, in bits.
const RSA_BITS: usize = 3072;

/// A private key. Does not print.
pub enum SigningKey {
    /// Ed25519.
    Ed(ed25519_dalek::SigningKey),
    /// P-256.
    Ec(p256::ecdsa::SigningKey),
    /// RSA.
    Rsa(Box<rsa::RsaPrivateKey>),
}

/// Why a text is not a key that signs.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SigningKeyError {
    /// Protected by a pass phrase.
    #[error(
        "the key is encrypted: take the pass phrase off (`openssl pkey -in OLD -out NEW`), or sign with a command (`--sign-command`)"
    )]
    Encrypted,
    /// Another form of a private key.
    #[error(
        "the key is not in PKCS#8 form (`BEGIN PRIVATE KEY`): `openssl pkey -in OLD -out NEW` writes it so"
    )]
    Form,
    /// Not a key of a kind that signs runs.
    #[error("it holds no valid Ed25519, P-256 or RSA private key")]
    Kind,
    /// Too weak.
    #[error("the key can't be used")]
    Weak(#[source] JwkError),
    /// The system gave no entropy.
    #[error("no key could be made")]
    Generate,
}

impl SigningKey {
    /// A new key from the system's entropy; RSA takes seconds.
    ///
    /// # Errors
    /// [`SigningKeyError::Generate`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        let entropy = &mut rand_core::OsRng;
        Ok(match algorithm {
            Algorithm::EdDsa => Self::Ed(ed25519_dalek::SigningKey::generate(entropy)),
            Algorithm::Es256 => Self::Ec(p256::ecdsa::SigningKey::random(entropy)),
            Algorithm::Ps256 => {
                let key = rsa::RsaPrivateKey::new(entropy, RSA_BITS);
                Self::Rsa(Box::new(key.map_err(|_| SigningKeyError::Generate)?))
            }
        })
    }

    /// Reads an unencrypted PKCS#8 PEM, whatever kind of key it holds.
    ///
    /// # Errors
    /// See [`SigningKeyError`].
    pub fn from_pem(pem: &Secret) -> Result<Self, SigningKeyError> {
        let text = pem.expose().trim();
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(SigningKeyError::Encrypted);
        }
        if !text.contains("-----BEGIN PRIVATE KEY-----") {
            return Err(SigningKeyError::Form);
        }
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(text) {
            return Ok(Self::Ed(key));
        }
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_pem(text) {
            return Ok(Self::Ec(key));
        }
        let key = rsa::RsaPrivateKey::from_pkcs8_pem(text).map_err(|_| SigningKeyError::Kind)?;
        rsa_of(key.n().clone(), key.e().clone()).map_err(SigningKeyError::Weak)?;
        Ok(Self::Rsa(Box::new(key)))
    }

    /// The key as PKCS#8 PEM, for a file that only its owner reads.
    pub fn to_pem(&self) -> Secret {
        let pem = match self {
            // Without the public half, which is optional: OpenSSL 3 does not read a key that has it beside.
            Self::Ed(key) => ed25519_dalek::pkcs8::KeypairBytes {
                secret_key: key.to_bytes(),
                public_key: None,
            }
            .to_pkcs8_pem(LineEnding::LF),
            Self::Ec(key) => key.to_pkcs8_pem(LineEnding::LF),
            Self::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
        };
        let pem = pem.expect("invariant: a private key encodes");
        Secret::new(pem.as_str())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed(key) => PublicKey::Ed(key.verifying_key()),
            Self::Ec(key) => PublicKey::Ec(*key.verifying_key()),
            Self::Rsa(key) => PublicKey::Rsa(key.to_public_key()),
        }
    }

    /// Signs in the form that JWS has.
    pub fn sign(&self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed(key) => key.sign(input).to_vec(),
            Self::Ec(key) => {
                let signature: p256::ecdsa::Signature = key.sign(input);
                signature.to_vec()
            }
            Self::Rsa(key) => {
                let key = rsa::pss::BlindedSigningKey::<Sha256>::new(key.as_ref().clone());
                key.sign_with_rng(&mut rand_core::OsRng, input).to_vec()
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {:?})", self.public())
    }
}
