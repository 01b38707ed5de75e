//! Keys that tokens are verified with.
//!
//! Takes a shared secret, PEM (certificate or public key), a JWK or a JWKS; gives keys that know what they may verify.
//! Never: a key used with an algorithm of another family, an RSA key below 2048 bits, a part of a key in an error.

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Shorter RSA keys can be factored, or soon will be.
const MIN_RSA_BITS: usize = 2048;

/// One key.
pub(super) struct Key {
    family: Family,
    key: DecodingKey,
    id: Option<String>,
    /// The only algorithm that it is for, where it says so.
    only: Option<Algorithm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Shared,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Family {
    fn fits(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => self == Self::Shared,
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => self == Self::Rsa,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => self == Self::Rsa,
            Algorithm::ES256 => self == Self::P256,
            Algorithm::ES384 => self == Self::P384,
            Algorithm::EdDSA => self == Self::Ed25519,
            _ => false,
        }
    }
}

impl Key {
    pub(super) fn shared(secret: &str) -> Result<Self> {
        if secret.is_empty() {
            bail!("the secret is empty");
        }
        Ok(Self::new(
            Family::Shared,
            DecodingKey::from_secret(secret.as_bytes()),
        ))
    }

    /// PEM, a JWK or a JWKS.
    pub(super) fn public(text: &str) -> Result<Vec<Self>> {
        if text.trim_start().starts_with('{') {
            return from_json(text);
        }
        let Ok(blocks) = pem::parse_many(text) else {
            bail!("the key is neither PEM nor JSON");
        };
        if blocks.is_empty() {
            bail!("the key is neither PEM nor JSON");
        }
        blocks.iter().map(from_pem).collect()
    }

    fn new(family: Family, key: DecodingKey) -> Self {
        Self {
            family,
            key,
            id: None,
            only: None,
        }
    }

    pub(super) fn may_verify(&self, algorithm: Algorithm) -> bool {
        self.family.fits(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether the key and the token name different keys.
    pub(super) fn is_another(&self, id: Option<&str>) -> bool {
        matches!((self.id.as_deref(), id), (Some(own), Some(named)) if own != named)
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        if !self.may_verify(algorithm) {
            return false;
        }
        let checked =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm);
        checked.unwrap_or(false)
    }
}

fn from_pem(block: &pem::Pem) -> Result<Key> {
    match block.tag() {
        "CERTIFICATE" => match x509_parser::parse_x509_certificate(block.contents()) {
            Ok((_, certificate)) => from_info(certificate.public_key()),
            Err(_) => bail!("the certificate can't be read"),
        },
        "PUBLIC KEY" => match SubjectPublicKeyInfo::from_der(block.contents()) {
            Ok((_, info)) => from_info(&info),
            Err(_) => bail!("the public key can't be read"),
        },
        tag => bail!("PEM `{tag}` is neither a certificate nor a public key"),
    }
}

fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Key> {
    let bytes = info.subject_public_key.data.as_ref();
    match info.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            strong(rsa.key_size())?;
            Ok(Key::new(Family::Rsa, DecodingKey::from_rsa_der(bytes)))
        }
        Ok(PublicKey::EC(point)) => {
            let family = match point.key_size() {
                256 => Family::P256,
                384 => Family::P384,
                bits => bail!("a key on a curve of {bits} bits can't be used"),
            };
            Ok(Key::new(family, DecodingKey::from_ec_der(bytes)))
        }
        // 1.3.101.112, RFC 8410.
        _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            whole(bytes)?;
            Ok(Key::new(Family::Ed25519, DecodingKey::from_ed_der(bytes)))
        }
        _ => bail!("a key of this kind can't be used"),
    }
}

/// The verifying crate takes a shorter key and panics when it is used.
fn whole(ed25519: &[u8]) -> Result<()> {
    if ed25519.len() != 32 {
        bail!("an Ed25519 key has 32 bytes, not {}", ed25519.len());
    }
    Ok(())
}

fn strong(bits: usize) -> Result<()> {
    if bits < MIN_RSA_BITS {
        bail!("an RSA key of {bits} bits is too weak; {MIN_RSA_BITS} are needed");
    }
    Ok(())
}

fn from_json(text: &str) -> Result<Vec<Key>> {
    let keys = match serde_json::from_str::<JwkSet>(text) {
        Ok(set) => set.keys,
        Err(_) => match serde_json::from_str::<Jwk>(text) {
            Ok(key) => vec![key],
            Err(_) => bail!("the JSON is neither a JWK nor a JWKS"),
        },
    };
    if keys.is_empty() {
        bail!("the JWKS has no key");
    }
    keys.iter().map(from_jwk).collect()
}

fn from_jwk(jwk: &Jwk) -> Result<Key> {
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).unwrap_or_default();
            let leading = modulus.iter().take_while(|byte| **byte == 0).count();
            strong((modulus.len() - leading) * 8)?;
            Family::Rsa
        }
        AlgorithmParameters::EllipticCurve(point) => match point.curve {
            EllipticCurve::P256 => Family::P256,
            EllipticCurve::P384 => Family::P384,
            _ => bail!("a JWK on this curve can't be used"),
        },
        AlgorithmParameters::OctetKeyPair(pair) => match pair.curve {
            EllipticCurve::Ed25519 => {
                whole(&URL_SAFE_NO_PAD.decode(&pair.x).unwrap_or_default())?;
                Family::Ed25519
            }
            _ => bail!("a JWK on this curve can't be used"),
        },
        // A shared secret is given as `secret`, never where a public key is expected.
        _ => {
            bail!("a JWK of this kind can't be used")
        }
    };
    let Ok(key) = DecodingKey::from_jwk(jwk) else {
        bail!("a JWK can't be read");
    };
    let only = match &jwk.common.key_algorithm {
        None => None,
        Some(algorithm) => match algorithm.to_string().parse() {
            Ok(algorithm) => Some(algorithm),
            Err(_) => bail!("a JWK is for an algorithm that can't be used"),
        },
    };
    Ok(Key {
        family,
        key,
        id: jwk.common.key_id.clone(),
        only,
    })
}
