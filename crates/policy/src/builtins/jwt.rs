//! `io.jwt.*`: JSON Web Tokens in the compact form.
//!
//! Takes tokens that anybody may have written. Never: a token without a signature taken for a good one, an algorithm
//! that the token chose over the key's, a part of a token in an error.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use regorus::Value;
use serde_json::{Map, Value as Json};

use super::hash::hex;
use super::key::Key;
use super::{Row, text};

pub(super) const ALL: [Row; 14] = [
    ("io.jwt.decode", 1, decode),
    ("io.jwt.decode_verify", 2, decode_verify),
    ("io.jwt.verify_hs256", 2, |v| shared(v, Algorithm::HS256)),
    ("io.jwt.verify_hs384", 2, |v| shared(v, Algorithm::HS384)),
    ("io.jwt.verify_hs512", 2, |v| shared(v, Algorithm::HS512)),
    ("io.jwt.verify_rs256", 2, |v| public(v, Algorithm::RS256)),
    ("io.jwt.verify_rs384", 2, |v| public(v, Algorithm::RS384)),
    ("io.jwt.verify_rs512", 2, |v| public(v, Algorithm::RS512)),
    ("io.jwt.verify_ps256", 2, |v| public(v, Algorithm::PS256)),
    ("io.jwt.verify_ps384", 2, |v| public(v, Algorithm::PS384)),
    ("io.jwt.verify_ps512", 2, |v| public(v, Algorithm::PS512)),
    ("io.jwt.verify_es256", 2, |v| public(v, Algorithm::ES256)),
    ("io.jwt.verify_es384", 2, |v| public(v, Algorithm::ES384)),
    ("io.jwt.verify_eddsa", 2, |v| public(v, Algorithm::EdDSA)),
];

/// Longest token.
const MAX_TOKEN: usize = 64 << 10;

struct Token<'a> {
    /// What is signed: header and payload as they came.
    signed: &'a str,
    header: Map<String, Json>,
    payload: Map<String, Json>,
    signature: &'a str,
}

impl<'a> Token<'a> {
    fn read(value: &'a Value) -> Result<Self> {
        let token = text(value)?;
        if token.len() > MAX_TOKEN {
            bail!("the token is longer than {MAX_TOKEN} bytes");
        }
        let (Some((signed, signature)), 2) = (token.rsplit_once('.'), token.matches('.').count())
        else {
            bail!("a token has three parts with dots between them");
        };
        let (header, payload) = signed.split_once('.').unwrap_or_default();
        if URL_SAFE_NO_PAD.decode(signature).is_err() {
            bail!("the token's signature is no base64url");
        }
        Ok(Self {
            signed,
            header: object(header, "header")?,
            payload: object(payload, "payload")?,
            signature,
        })
    }

    /// What the token says that it is signed with.
    fn algorithm(&self) -> Option<&str> {
        self.header.get("alg").and_then(Json::as_str)
    }

    fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Json::as_str)
    }

    fn is_signed_by(&self, keys: &[Key], algorithm: Algorithm) -> bool {
        // Extensions that have to be understood are not (RFC 7515, 4.1.11).
        if self.header.contains_key("crit") || self.algorithm() != Some(name(algorithm)) {
            return false;
        }
        let keys = keys.iter().filter(|key| !key.is_another(self.key_id()));
        let mut signed = keys.map(|key| key.verifies(algorithm, self.signed, self.signature));
        signed.any(|signed| signed)
    }
}

fn object(part: &str, what: &str) -> Result<Map<String, Json>> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(part) else {
        bail!("the token's {what} is no base64url");
    };
    match serde_json::from_slice::<Json>(&bytes) {
        Ok(Json::Object(object)) => Ok(object),
        _ => bail!("the token's {what} is no JSON object"),
    }
}

fn value(json: Json) -> Value {
    Value::from(json)
}

fn decode(values: &[Value]) -> Result<Value> {
    let token = Token::read(&values[0])?;
    let signature = URL_SAFE_NO_PAD.decode(token.signature).unwrap_or_default();
    let parts = [
        value(Json::Object(token.header)),
        value(Json::Object(token.payload)),
        Value::from(hex(&signature)),
    ];
    Ok(parts.to_vec().into())
}

fn shared(values: &[Value], algorithm: Algorithm) -> Result<Value> {
    let token = Token::read(&values[0])?;
    let key = Key::shared(text(&values[1])?)?;
    Ok(token.is_signed_by(&[key], algorithm).into())
}

fn public(values: &[Value], algorithm: Algorithm) -> Result<Value> {
    let token = Token::read(&values[0])?;
    let keys = Key::public(text(&values[1])?)?;
    Ok(token.is_signed_by(&keys, algorithm).into())
}

/// What a token has to be.
#[derive(Default)]
struct Wanted {
    keys: Vec<Key>,
    algorithm: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    /// Nanoseconds since 1970.
    time: Option<f64>,
}

impl Wanted {
    fn read(value: &Value) -> Result<Self> {
        let Value::Object(constraints) = value else {
            bail!("the constraints are no object");
        };
        let mut wanted = Self::default();
        for (name, value) in constraints.iter_sorted() {
            let said = |error: anyhow::Error, name: &str| anyhow!("constraint {name}: {error}");
            match text(name)? {
                "secret" | "cert" if !wanted.keys.is_empty() => {
                    bail!("constraints secret and cert exclude each other");
                }
                "secret" => {
                    let key = text(value).and_then(Key::shared);
                    wanted.keys = vec![key.map_err(|error| said(error, "secret"))?];
                }
                "cert" => {
                    let keys = text(value).and_then(Key::public);
                    wanted.keys = keys.map_err(|error| said(error, "cert"))?;
                }
                "alg" => wanted.algorithm = Some(text(value)?.to_owned()),
                "iss" => wanted.issuer = Some(text(value)?.to_owned()),
                "aud" => wanted.audience = Some(text(value)?.to_owned()),
                "time" => match value {
                    Value::Number(_) => wanted.time = Some(value.to_json_str()?.parse()?),
                    _ => bail!("constraint time is no number"),
                },
                other => bail!("there is no constraint {other}"),
            }
        }
        match wanted.keys.is_empty() {
            true => bail!("the constraints name neither secret nor cert"),
            false => Ok(wanted),
        }
    }

    /// The algorithm to verify with; nothing when the token's is another than the one that is pinned.
    fn algorithm(&self, token: &Token<'_>) -> Result<Option<Algorithm>> {
        let said = token.algorithm();
        if self.algorithm.is_some() && self.algorithm.as_deref() != said {
            return Ok(None);
        }
        let algorithm =
            said.and_then(|said| said.parse().ok().filter(|found| name(*found) == said));
        let Some(algorithm) = algorithm else {
            bail!("the token's algorithm is none that signs; pin one with the constraint alg");
        };
        if !self.keys.iter().any(|key| key.may_verify(algorithm)) {
            bail!("the token's algorithm does not fit the key; pin one with the constraint alg");
        }
        Ok(Some(algorithm))
    }

    fn holds(&self, token: &Token<'_>) -> Result<bool> {
        let Some(algorithm) = self.algorithm(token)? else {
            return Ok(false);
        };
        Ok(token.is_signed_by(&self.keys, algorithm)
            && self.is_in_time(&token.payload)?
            && self.is_issued(&token.payload)
            && self.is_addressed(&token.payload))
    }

    fn is_in_time(&self, payload: &Map<String, Json>) -> Result<bool> {
        let now = match self.time {
            Some(nanos) => nanos / 1e9,
            None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64(),
        };
        let moment = |name: &str| match payload.get(name) {
            None => Ok(None),
            Some(moment) => match moment.as_f64() {
                Some(moment) => Ok(Some(moment)),
                None => Err(anyhow!("claim {name} is no number")),
            },
        };
        let ended = moment("exp")?.is_some_and(|end| now >= end);
        let early = moment("nbf")?.is_some_and(|begin| now < begin);
        Ok(!ended && !early)
    }

    fn is_issued(&self, payload: &Map<String, Json>) -> bool {
        let said = payload.get("iss").and_then(Json::as_str);
        self.issuer
            .as_deref()
            .is_none_or(|wanted| said == Some(wanted))
    }

    /// A token for somebody is not for a policy that names nobody.
    fn is_addressed(&self, payload: &Map<String, Json>) -> bool {
        match (&self.audience, payload.get("aud")) {
            (None, None) => true,
            (Some(wanted), Some(Json::String(said))) => said == wanted,
            (Some(wanted), Some(Json::Array(said))) => {
                said.iter().any(|said| said.as_str() == Some(wanted))
            }
            _ => false,
        }
    }
}

fn decode_verify(values: &[Value]) -> Result<Value> {
    let wanted = Wanted::read(&values[1])?;
    let token = Token::read(&values[0])?;
    let parts = match wanted.holds(&token)? {
        true => [
            Value::from(true),
            value(Json::Object(token.header)),
            value(Json::Object(token.payload)),
        ],
        false => [Value::from(false), Value::new_object(), Value::new_object()],
    };
    Ok(parts.to_vec().into())
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::HS384 => "HS384",
        Algorithm::HS512 => "HS512",
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        Algorithm::PS256 => "PS256",
        Algorithm::PS384 => "PS384",
        Algorithm::PS512 => "PS512",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        _ => "",
    }
}
