//! Public keys that may sign runs, as JSON Web Keys (RFC 7517): Ed25519, P-256, RSA of 3072 bits and more.
//!
//! Takes members of a key, gives a key that is known to be on its curve and strong enough. Never: an algorithm
//! from anywhere but the key's own kind.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::DecodePublicKey as _;
use rsa::BigUint;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::canonical;

/// Smallest RSA modulus, in bits.
const MIN_RSA: usize = 3072;

/// Largest RSA modulus, in bits: checking costs time that grows with its square.
const MAX_RSA: usize = 4096;

/// Smallest public exponent of an RSA key: smaller ones have been the way into bad implementations.
const MIN_EXPONENT: u32 = 65537;

/// How a signature is made, one way for each kind of key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519.
    Ed(ed25519_dalek::VerifyingKey),
    /// P-256.
    Ec(p256::ecdsa::VerifyingKey),
    /// RSA.
    Rsa(rsa::RsaPublicKey),
}

/// Why a JSON Web Key is not taken. Never holds any of the key.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum JwkError {
    /// A member is missing or no text.
    #[error("its member `{0}` is missing or not a text")]
    Member(&'static str),
    /// A private key where only public ones belong.
    #[error("it holds a private key (member `{0}`): list public keys only, and replace this key")]
    Private(&'static str),
    /// A kind of key that is not taken.
    #[error("its kind `{0}` is not taken: `OKP`, `EC` and `RSA` are")]
    Kind(String),
    /// A curve that is not taken.
    #[error("its curve `{0}` is not taken: `Ed25519` and `P-256` are")]
    Curve(String),
    /// An algorithm that is not the one of the key's kind.
    #[error("its algorithm `{found}` is not taken: a key of this kind signs by `{want}`")]
    Algorithm {
        /// As written.
        found: String,
        /// The only one.
        want: &'static str,
    },
    /// Made for something else than signatures.
    #[error("its `{0}` says that it is not for signatures")]
    Use(&'static str),
    /// The numbers are not a key.
    #[error("its numbers are not a valid {0} key")]
    Damaged(&'static str),
    /// An RSA key that is too short.
    #[error("its RSA modulus has {0} bits: at least {MIN_RSA} are needed")]
    Short(usize),
    /// An RSA key that is too long.
    #[error("its RSA modulus has {0} bits: at most {MAX_RSA} are taken")]
    Long(usize),
    /// A PEM that holds no key of a kind that is taken.
    #[error(
        "it holds no public key that is taken: Ed25519, P-256, or RSA of {MIN_RSA} to {MAX_RSA} bits"
    )]
    NoKey,
    /// A key for which forging is easy.
    #[error("it is a weak key: {0}")]
    Weak(&'static str),
}

impl Algorithm {
    /// The name in headers and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PublicKey {
    /// Reads a JSON Web Key. Members that say nothing about the key's use are left alone.
    ///
    /// # Errors
    /// See [`JwkError`].
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, JwkError> {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            if jwk.contains_key(private) {
                return Err(JwkError::Private(private));
            }
        }
        check_use(jwk)?;
        let key = match text(jwk, "kty")? {
            "OKP" => curve(jwk, "Ed25519").and_then(|()| ed(jwk))?,
            "EC" => curve(jwk, "P-256").and_then(|()| ec(jwk))?,
            "RSA" => rsa(jwk)?,
            other => return Err(JwkError::Kind(cut(other))),
        };
        let want = key.algorithm().as_str();
        match jwk.get("alg") {
            None => Ok(key),
            Some(Value::String(found)) if found == want => Ok(key),
            Some(other) => Err(JwkError::Algorithm {
                found: cut(other.as_str().unwrap_or("?")),
                want,
            }),
        }
    }

    /// Reads a PEM SubjectPublicKeyInfo (`BEGIN PUBLIC KEY`), as key services and `openssl pkey -pubout` write it.
    ///
    /// # Errors
    /// [`JwkError::NoKey`], or what is weak about it.
    pub fn from_pem(pem: &str) -> Result<Self, JwkError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return strong(key);
        }
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            return Ok(Self::Ec(key));
        }
        let key = rsa::RsaPublicKey::from_public_key_pem(pem);
        let key = key.map_err(|_| JwkError::NoKey)?;
        rsa_of(key.n().clone(), key.e().clone())
    }

    /// How this key signs.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed(_) => Algorithm::EdDsa,
            Self::Ec(_) => Algorithm::Es256,
            Self::Rsa(_) => Algorithm::Ps256,
        }
    }

    /// Whether `signature` (in the form that JWS has) is this key's over `input`.
    pub fn verifies(&self, input: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(input, &signature).is_ok()),
            Self::Ec(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(input, &signature).is_ok()),
            Self::Rsa(key) => {
                let key = rsa::pss::VerifyingKey::<Sha256>::new(key.clone());
                rsa::pss::Signature::try_from(signature)
                    .is_ok_and(|signature| key.verify(input, &signature).is_ok())
            }
        }
    }

    /// The thumbprint of RFC 7638, base64url of SHA-256: a name that two different keys can't have.
    pub fn thumbprint(&self) -> String {
        let members = canonical::bytes(&self.members());
        URL_SAFE_NO_PAD.encode(Sha256::digest(members))
    }

    /// The JSON Web Key, named by its thumbprint.
    pub fn to_jwk(&self) -> Value {
        let mut jwk = self.members();
        jwk["kid"] = json!(self.thumbprint());
        jwk["alg"] = json!(self.algorithm().as_str());
        jwk["use"] = json!("sig");
        jwk
    }

    /// The members that the thumbprint is made of.
    fn members(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key.as_bytes()) }),
            Self::Ec(key) => {
                let point = key.to_encoded_point(false);
                let (x, y) = (point.x(), point.y());
                let half = |half: Option<&p256::FieldBytes>| text(half.map_or(&[], |half| half));
                json!({ "kty": "EC", "crv": "P-256", "x": half(x), "y": half(y) })
            }
            Self::Rsa(key) => {
                let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.algorithm(), self.thumbprint())
    }
}

fn check_use(jwk: &Map<String, Value>) -> Result<(), JwkError> {
    if jwk.get("use").is_some_and(|value| value != "sig") {
        return Err(JwkError::Use("use"));
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
        Some(_) => Err(JwkError::Use("key_ops")),
    }
}

fn curve(jwk: &Map<String, Value>, want: &str) -> Result<(), JwkError> {
    match text(jwk, "crv")? {
        found if found == want => Ok(()),
        other => Err(JwkError::Curve(cut(other))),
    }
}

fn ed(jwk: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let damaged = JwkError::Damaged("Ed25519");
    let bytes: [u8; 32] = bytes(jwk, "x")?.try_into().map_err(|_| damaged.clone())?;
    strong(ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| damaged)?)
}

fn strong(key: ed25519_dalek::VerifyingKey) -> Result<PublicKey, JwkError> {
    match key.is_weak() {
        true => Err(JwkError::Weak("a point of small order")),
        false => Ok(PublicKey::Ed(key)),
    }
}

fn ec(jwk: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let damaged = || JwkError::Damaged("P-256");
    let half = |name| -> Result<p256::FieldBytes, JwkError> {
        let half: [u8; 32] = bytes(jwk, name)?.try_into().map_err(|_| damaged())?;
        Ok(half.into())
    };
    let point = p256::EncodedPoint::from_affine_coordinates(&half("x")?, &half("y")?, false);
    let key = p256::ecdsa::VerifyingKey::from_encoded_point(&point);
    key.map(PublicKey::Ec).map_err(|_| damaged())
}

fn rsa(jwk: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let number = |name| Ok(BigUint::from_bytes_be(&bytes(jwk, name)?));
    rsa_of(number("n")?, number("e")?)
}

/// An RSA key that is strong enough.
pub(super) fn rsa_of(n: BigUint, e: BigUint) -> Result<PublicKey, JwkError> {
    let bits = n.bits();
    if bits < MIN_RSA {
        return Err(JwkError::Short(bits));
    }
    if bits > MAX_RSA {
        return Err(JwkError::Long(bits));
    }
    if e < BigUint::from(MIN_EXPONENT) {
        return Err(JwkError::Weak("a public exponent below 65537"));
    }
    let key = rsa::RsaPublicKey::new(n, e).map_err(|_| JwkError::Damaged("RSA"))?;
    Ok(PublicKey::Rsa(key))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JwkError> {
    let text = jwk.get(name).and_then(Value::as_str);
    text.ok_or(JwkError::Member(name))
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    let bytes = URL_SAFE_NO_PAD.decode(text(jwk, name)?);
    bytes.map_err(|_| JwkError::Member(name))
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
