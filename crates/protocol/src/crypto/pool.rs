//! The pool's RSA key pair: the private half stays on the pool's hosts, the server knows the public half
//! from the CSR.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey, LineEnding};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;

use crate::secret::Secret;

/// Smallest modulus that is accepted, in bits.
pub(crate) const MIN_BITS: usize = 2048;

/// The pool's private key. Does not print.
#[derive(Clone)]
pub struct PoolKey {
    key: rsa::RsaPrivateKey,
}

/// The pool's public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PoolPublic {
    key: rsa::RsaPublicKey,
}

/// Why a text is not a pool key. Never holds any of the key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PoolKeyError {
    /// Encrypted PEM.
    #[error(
        "the private key is encrypted; make one without a pass phrase (`openssl req -new -newkey rsa:4096 -nodes`)"
    )]
    Encrypted,
    /// No RSA key.
    #[error(
        "the private key is not RSA; a pool needs an RSA key (`openssl req -new -newkey rsa:4096 -nodes`)"
    )]
    NotRsa,
    /// Not a PEM private key at all.
    #[error("the text is not a PEM private key (`BEGIN PRIVATE KEY` or `BEGIN RSA PRIVATE KEY`)")]
    NotPem,
    /// Not a PEM certificate.
    #[error("the text is not a PEM certificate (`BEGIN CERTIFICATE`)")]
    NotCertificate,
    /// A PEM label that fits, with a content that doesn't.
    #[error("the private key is damaged: its PEM does not hold a valid RSA key")]
    Damaged,
    /// A modulus that is too short.
    #[error("the RSA key has {0} bits; at least {MIN_BITS} are needed")]
    TooShort(usize),
}

impl PoolKey {
    /// Reads an unencrypted PKCS#8 or PKCS#1 PEM.
    ///
    /// # Errors
    /// Says which of the usual mistakes it is; see [`PoolKeyError`].
    pub fn from_pem(pem: &Secret) -> Result<Self, PoolKeyError> {
        let text = pem.expose();
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(PoolKeyError::Encrypted);
        }
        let key = if text.contains("-----BEGIN RSA PRIVATE KEY-----") {
            rsa::RsaPrivateKey::from_pkcs1_pem(text.trim()).map_err(|_| PoolKeyError::Damaged)?
        } else if text.contains("-----BEGIN PRIVATE KEY-----") {
            rsa::RsaPrivateKey::from_pkcs8_pem(text.trim()).map_err(|error| match error {
                rsa::pkcs8::Error::PublicKey(rsa::pkcs8::spki::Error::OidUnknown { .. }) => {
                    PoolKeyError::NotRsa
                }
                _ => PoolKeyError::Damaged,
            })?
        } else if text.contains("PRIVATE KEY-----") {
            return Err(PoolKeyError::NotRsa);
        } else {
            return Err(PoolKeyError::NotPem);
        };
        let bits = key.n().bits();
        if bits < MIN_BITS {
            Err(PoolKeyError::TooShort(bits))
        } else {
            Ok(Self { key })
        }
    }

    /// A new key. Takes seconds; for tests and `gantry dev`.
    ///
    /// # Errors
    /// [`PoolKeyError::Damaged`] when the system gives no entropy.
    pub fn generate(bits: usize) -> Result<Self, PoolKeyError> {
        let key = rsa::RsaPrivateKey::new(&mut rand_core::OsRng, bits);
        key.map(|key| Self { key })
            .map_err(|_| PoolKeyError::Damaged)
    }

    /// The public half.
    pub fn public(&self) -> PoolPublic {
        PoolPublic {
            key: self.key.to_public_key(),
        }
    }

    /// The key as PKCS#1 PEM.
    pub fn to_pem(&self) -> Secret {
        let pem = self
            .key
            .to_pkcs1_pem(LineEnding::LF)
            .expect("invariant: an RSA key encodes");
        Secret::new(pem.as_str())
    }

    pub(super) fn der(&self) -> Vec<u8> {
        let der = self
            .key
            .to_pkcs1_der()
            .expect("invariant: an RSA key encodes");
        der.as_bytes().to_vec()
    }
}

impl fmt::Debug for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolKey(*****)")
    }
}

impl PoolPublic {
    /// Reads a DER SubjectPublicKeyInfo, as certificates and CSRs hold it.
    ///
    /// # Errors
    /// [`PoolKeyError::NotRsa`] or [`PoolKeyError::TooShort`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PoolKeyError> {
        let key = rsa::RsaPublicKey::from_public_key_der(der).map_err(|_| PoolKeyError::NotRsa)?;
        let bits = key.n().bits();
        if bits < MIN_BITS {
            Err(PoolKeyError::TooShort(bits))
        } else {
            Ok(Self { key })
        }
    }

    /// The key of a PEM certificate, as a pool's is.
    ///
    /// # Errors
    /// [`PoolKeyError::NotCertificate`] for anything but a certificate, else as [`PoolPublic::from_spki_der`].
    pub fn from_certificate_pem(pem: &str) -> Result<Self, PoolKeyError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .map_err(|_| PoolKeyError::NotCertificate)?;
        let certificate = pem.parse_x509().map_err(|_| PoolKeyError::NotCertificate)?;
        Self::from_spki_der(certificate.public_key().raw)
    }

    /// DER SubjectPublicKeyInfo.
    pub fn to_spki_der(&self) -> Vec<u8> {
        let der = self
            .key
            .to_public_key_der()
            .expect("invariant: an RSA key encodes");
        der.as_bytes().to_vec()
    }

    pub(super) fn pkcs1_der(&self) -> Vec<u8> {
        let der = self
            .key
            .to_pkcs1_der()
            .expect("invariant: an RSA key encodes");
        der.as_bytes().to_vec()
    }

    /// The key in the form in which age takes an RSA recipient (an OpenSSH public key line).
    pub(super) fn openssh_line(&self) -> String {
        let key = ssh_key::public::RsaPublicKey::try_from(&self.key)
            .expect("invariant: an RSA public key has an OpenSSH form");
        let bytes = ssh_key::public::KeyData::Rsa(key);
        let public = ssh_key::PublicKey::from(bytes);
        let blob = public
            .to_bytes()
            .expect("invariant: an OpenSSH key encodes");
        format!("ssh-rsa {}", STANDARD.encode(blob))
    }
}

impl fmt::Debug for PoolPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolPublic({} bits)", self.key.n().bits())
    }
}
