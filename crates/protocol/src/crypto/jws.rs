//! Signed documents: JWS in compact form with a pinned algorithm and a pinned `typ`.
//!
//! The document's type decides `typ`, the key's type decides the algorithm; the header of what arrives
//! decides neither. An unknown field in a signed document is refused by the document's own type
//! (`deny_unknown_fields`): what was signed is understood whole or not used. Expiry is checked by the
//! caller, who has the clock.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{EdKey, EdPublic, PoolKey, PoolPublic};

/// A document that is only exchanged signed.
pub trait Signed: Serialize + DeserializeOwned {
    /// `typ` of the signature's header: one kind of document can't stand in for another.
    const TYP: &'static str;
}

/// Why a signed document is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// Not three base64url parts with a JSON header.
    #[error("not a signed document (JWS compact form)")]
    Malformed,
    /// Another algorithm or kind of document.
    #[error(
        "signed document has type `{typ}` and algorithm `{alg}`, expected `{want_typ}` and `{want_alg}`"
    )]
    Kind {
        /// Found type.
        typ: String,
        /// Found algorithm.
        alg: String,
        /// Expected type.
        want_typ: &'static str,
        /// Expected algorithm.
        want_alg: &'static str,
    },
    /// A key that is not among the trusted ones.
    #[error("signed by key `{0}`, which is not trusted here")]
    UnknownKey(String),
    /// The signature is wrong, or a field is unknown, missing or of another type.
    #[error("signature or content of the {typ} is not valid")]
    Invalid {
        /// The expected type.
        typ: &'static str,
        /// What the library found.
        source: jsonwebtoken::errors::Error,
    },
}

/// Signs with an Ed25519 key (EdDSA).
///
/// # Errors
/// [`JwsError::Invalid`] when the document does not serialise.
pub fn sign_ed<T: Signed>(document: &T, key: &EdKey) -> Result<String, JwsError> {
    let encoding = EncodingKey::from_ed_der(&key.der());
    sign(document, Algorithm::EdDSA, key.public().key_id(), &encoding)
}

/// Signs with the pool's private key (PS256, blinded).
///
/// # Errors
/// [`JwsError::Invalid`] when the document does not serialise.
pub fn sign_pool<T: Signed>(document: &T, key: &PoolKey) -> Result<String, JwsError> {
    let encoding = EncodingKey::from_rsa_der(&key.der());
    sign(document, Algorithm::PS256, "pool".to_owned(), &encoding)
}

/// Verifies an EdDSA signature by one of `keys`, chosen by the header's key id.
///
/// # Errors
/// See [`JwsError`].
pub fn verify_ed<T: Signed>(text: &str, keys: &[EdPublic]) -> Result<T, JwsError> {
    let header = header::<T>(text, Algorithm::EdDSA)?;
    let kid = header.kid.unwrap_or_default();
    let key = keys.iter().find(|key| key.key_id() == kid);
    let key = key.ok_or_else(|| JwsError::UnknownKey(kid.chars().take(64).collect()))?;
    decode(
        text,
        Algorithm::EdDSA,
        &DecodingKey::from_ed_der(key.bytes()),
    )
}

/// Verifies a PS256 signature by the pool's key.
///
/// # Errors
/// See [`JwsError`].
pub fn verify_pool<T: Signed>(text: &str, key: &PoolPublic) -> Result<T, JwsError> {
    header::<T>(text, Algorithm::PS256)?;
    decode(
        text,
        Algorithm::PS256,
        &DecodingKey::from_rsa_der(&key.pkcs1_der()),
    )
}

/// What a document says, whoever signed it: for those who show it, or had it verified before. Nothing follows from it.
pub fn unproven<T: Signed>(text: &str) -> Option<T> {
    let claims = text.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn sign<T: Signed>(
    document: &T,
    algorithm: Algorithm,
    kid: String,
    key: &EncodingKey,
) -> Result<String, JwsError> {
    let mut header = Header::new(algorithm);
    header.typ = Some(T::TYP.to_owned());
    header.kid = Some(kid);
    jsonwebtoken::encode(&header, document, key).map_err(|source| JwsError::Invalid {
        typ: T::TYP,
        source,
    })
}

fn header<T: Signed>(text: &str, algorithm: Algorithm) -> Result<Header, JwsError> {
    let header = jsonwebtoken::decode_header(text).map_err(|_| JwsError::Malformed)?;
    let typ = header.typ.clone().unwrap_or_default();
    // `crit` names extensions that must be understood; we understand none.
    if typ != T::TYP || header.alg != algorithm || header.crit.is_some() {
        return Err(JwsError::Kind {
            typ: typ.chars().take(64).collect(),
            alg: format!("{:?}", header.alg),
            want_typ: T::TYP,
            want_alg: if algorithm == Algorithm::EdDSA {
                "EdDSA"
            } else {
                "PS256"
            },
        });
    }
    Ok(header)
}

fn decode<T: Signed>(text: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<T, JwsError> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<T>(text, key, &validation)
        .map(|data| data.claims)
        .map_err(|source| JwsError::Invalid {
            typ: T::TYP,
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        exp: u64,
        text: String,
    }

    impl Signed for Note {
        const TYP: &'static str = "note";
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Longer {
        exp: u64,
        text: String,
        more: bool,
    }

    impl Signed for Longer {
        const TYP: &'static str = "note";
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        exp: u64,
        text: String,
    }

    impl Signed for Other {
        const TYP: &'static str = "other";
    }

    fn note() -> Note {
        Note {
            exp: 1,
            text: "x".into(),
        }
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let key = EdKey::generate();
        let text = sign_ed(&note(), &key).unwrap();
        assert_eq!(verify_ed::<Note>(&text, &[key.public()]).unwrap(), note());
    }

    #[test]
    fn another_key_kind_or_field_is_refused() {
        let key = EdKey::generate();
        let keys = [key.public()];
        let stranger = sign_ed(&note(), &EdKey::generate()).unwrap();
        assert!(matches!(
            verify_ed::<Note>(&stranger, &keys),
            Err(JwsError::UnknownKey(_))
        ));
        let other = sign_ed(
            &Other {
                exp: 1,
                text: "x".into(),
            },
            &key,
        )
        .unwrap();
        assert!(matches!(
            verify_ed::<Note>(&other, &keys),
            Err(JwsError::Kind { .. })
        ));
        let longer = sign_ed(
            &Longer {
                exp: 1,
                text: "x".into(),
                more: true,
            },
            &key,
        )
        .unwrap();
        assert!(matches!(
            verify_ed::<Note>(&longer, &keys),
            Err(JwsError::Invalid { .. })
        ));
        for text in ["", "a", "a.b.c", "e30.e30.", "\u{1F600}.."] {
            assert!(verify_ed::<Note>(text, &keys).is_err(), "{text}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let key = EdKey::generate();
        let text = sign_ed(&note(), &key).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            if let Ok(read) = verify_ed::<Note>(&changed, &[key.public()]) {
                panic!("position {at} accepted: {read:?}");
            }
        }
    }

    #[test]
    fn the_algorithm_is_pinned() {
        // The classic confusion: an HMAC keyed with the public key's bytes.
        let key = EdKey::generate();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("note".into());
        header.kid = Some(key.public().key_id());
        let secret = EncodingKey::from_secret(key.public().bytes());
        let forged = jsonwebtoken::encode(&header, &note(), &secret).unwrap();
        assert!(matches!(
            verify_ed::<Note>(&forged, &[key.public()]),
            Err(JwsError::Kind { .. })
        ));
    }

    #[test]
    fn the_pool_key_signs_too() {
        let key = PoolKey::generate(2048).unwrap();
        let text = sign_pool(&note(), &key).unwrap();
        assert_eq!(verify_pool::<Note>(&text, &key.public()).unwrap(), note());
        let other = PoolKey::generate(2048).unwrap();
        assert!(verify_pool::<Note>(&text, &other.public()).is_err());
    }
}
