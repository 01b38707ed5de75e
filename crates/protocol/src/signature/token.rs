//! The signature on the wire: JWS compact form behind a prefix, one entry of a run's metadata.
//!
//! Takes claims and a key, gives an entry; takes an entry and trusted keys, gives claims. Never: an algorithm,
//! a key or an extension of the token's own choice, or a token of which a part is not understood.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical;
use super::claims::Claims;
use super::public::{Algorithm, PublicKey};
use super::trust::{TrustedKeys, is_name};

/// How every signature begins, whatever its version.
pub const MARK: &str = "gantry-signature:";

/// How one of this version begins.
const PREFIX: &str = "gantry-signature:v1:";

/// The longest entry that is read, in bytes; a server takes longer metadata.
pub const LONGEST_ENTRY: usize = 8 * 1024;

/// `typ` of the header: no other signed document can stand in.
const TYP: &str = "gantry-run-signature+jws";

/// Version of the claims.
pub(super) const VERSION: u32 = 1;

/// Shortest nonce, in characters: 22 of base64url are 128 bits.
const SHORTEST_NONCE: usize = 22;

/// Longest nonce, and longest audience, in characters.
const LONGEST_NAME: usize = 128;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// Why an entry is not a signature by a trusted key.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Not of the form.
    #[error("the run signature is malformed: {0}")]
    Malformed(&'static str),
    /// A key that is not trusted.
    #[error("the run signature is by key `{0}`, which is not among the trusted keys")]
    UnknownKey(String),
    /// An algorithm that is not the trusted key's.
    #[error(
        "the run signature says algorithm `{found}`, and the trusted key `{kid}` signs by `{want}` only"
    )]
    Algorithm {
        /// The key's name.
        kid: String,
        /// As the token says.
        found: String,
        /// The key's own.
        want: Algorithm,
    },
    /// The signature is not the key's.
    #[error("the run signature is not valid: key `{0}` did not sign this")]
    Forged(String),
    /// What was to be signed is too long to be read again.
    #[error("the run signature would be {0} bytes long: at most {LONGEST_ENTRY} are read")]
    Long(usize),
}

/// Claims that are about to be signed.
#[derive(Debug)]
pub struct Draft<'a> {
    key: &'a PublicKey,
    kid: &'a str,
    input: String,
}

impl<'a> Draft<'a> {
    /// Claims for the holder of the private half of `key`, which launchers know as `kid`.
    pub fn new(claims: &Claims, key: &'a PublicKey, kid: &'a str) -> Self {
        let header = Header {
            alg: key.algorithm().as_str().to_owned(),
            kid: kid.to_owned(),
            typ: TYP.to_owned(),
        };
        let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let (header, claims) = (canonical::bytes_of(&header), canonical::bytes_of(claims));
        let input = format!("{}.{}", part(header), part(claims));
        Self { key, kid, input }
    }

    /// The bytes to sign.
    pub fn input(&self) -> &[u8] {
        self.input.as_bytes()
    }

    /// The metadata entry, once the key's holder has signed. An ECDSA signature may also come in DER form.
    ///
    /// # Errors
    /// [`TokenError::Forged`] when it is not this key's signature over the input, [`TokenError::Long`].
    pub fn finish(self, signature: &[u8]) -> Result<String, TokenError> {
        let raw = match self.key {
            PublicKey::Ec(_) => p256::ecdsa::Signature::from_der(signature)
                .map_or_else(|_| signature.to_vec(), |found| found.to_bytes().to_vec()),
            PublicKey::Ed(_) | PublicKey::Rsa(_) => signature.to_vec(),
        };
        if !self.key.verifies(self.input(), &raw) {
            return Err(TokenError::Forged(self.kid.to_owned()));
        }
        let entry = format!("{PREFIX}{}.{}", self.input, URL_SAFE_NO_PAD.encode(raw));
        match entry.len() {
            long if long > LONGEST_ENTRY => Err(TokenError::Long(long)),
            _ => Ok(entry),
        }
    }
}

/// An entry of the form of a signature. Nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    header: Header,
    claims: Claims,
    input: &'a str,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Reads an entry that begins with [`MARK`].
    pub(super) fn parse(entry: &'a str) -> Result<Self, TokenError> {
        use TokenError::Malformed;
        let token = entry.strip_prefix(PREFIX);
        let token = token.ok_or(Malformed("its version is not known here"))?;
        if entry.len() > LONGEST_ENTRY {
            return Err(Malformed("it is too long"));
        }
        let parts = Malformed("expected three parts of base64url");
        let (input, signature) = token.rsplit_once('.').ok_or_else(|| parts.clone())?;
        let (header, claims) = input.split_once('.').ok_or_else(|| parts.clone())?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| parts.clone());
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| Malformed("expected exactly `alg`, `kid` and `typ` in its header"))?;
        if header.typ != TYP || !is_name(&header.kid) {
            return Err(Malformed("its header is not that of a run signature"));
        }
        let claims = claims_of(&decode(claims)?)?;
        Ok(Self {
            header,
            claims,
            input,
            signature: decode(signature)?,
        })
    }

    /// What it says it is for.
    pub(super) fn unverified(&self) -> &Claims {
        &self.claims
    }

    /// The claims, once a trusted key is known to have signed them.
    pub(super) fn verify(self, trust: &TrustedKeys) -> Result<(Claims, String), TokenError> {
        let Header { alg, kid, typ: _ } = self.header;
        let Some(key) = trust.get(&kid) else {
            return Err(TokenError::UnknownKey(kid));
        };
        let want = key.algorithm();
        if alg != want.as_str() {
            let found = alg.chars().take(40).collect();
            return Err(TokenError::Algorithm { kid, found, want });
        }
        match key.verifies(self.input.as_bytes(), &self.signature) {
            true => Ok((self.claims, kid)),
            false => Err(TokenError::Forged(kid)),
        }
    }
}

/// Claims in their one spelling: no member twice, none that is unknown.
fn claims_of(bytes: &[u8]) -> Result<Claims, TokenError> {
    use TokenError::Malformed;
    let unknown = |_| Malformed("its claims have a missing, unknown or wrong member");
    let value: Value = serde_json::from_slice(bytes).map_err(unknown)?;
    if canonical::bytes(&value) != bytes {
        return Err(Malformed("its claims are not in canonical form"));
    }
    let claims: Claims = serde_json::from_value(value).map_err(unknown)?;
    if claims.v != VERSION {
        return Err(Malformed("the version of its claims is not known here"));
    }
    let nonce = (SHORTEST_NONCE..=LONGEST_NAME).contains(&claims.jti.len());
    let audience = claims
        .aud
        .as_deref()
        .is_none_or(|aud| aud.len() <= LONGEST_NAME);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if nonce && audience && plain(&claims.jti) && claims.aud.as_deref().is_none_or(plain) {
        Ok(claims)
    } else {
        Err(Malformed("its nonce or audience is not acceptable"))
    }
}
