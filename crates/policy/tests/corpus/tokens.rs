//! Tokens of the corpus, made anew for each run because they end.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a secret of the corpus, 32 bytes.";

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("keys/", $name))
    };
}

const STACK: &str = "bridges";
const COMMIT: &str = "2b1f6a9c0d3e4f5a6b7c8d9e0f1a2b3c4d5e6f70";

/// What `@KEY:name` stands for.
pub(crate) fn key(name: &str) -> String {
    match name {
        "rsa" => key!("rsa.pub.pem").to_owned(),
        "p256" => key!("p256.pub.pem").to_owned(),
        "p384" => key!("p384.pub.pem").to_owned(),
        "ed" => key!("ed.pub.pem").to_owned(),
        "crt" => key!("rsa.crt.pem").to_owned(),
        "weak" => key!("weak.pub.pem").to_owned(),
        "private" => key!("ed.pem").to_owned(),
        "jwks" => jwks(),
        other => panic!("there is no key {other}"),
    }
}

/// Of the Ed25519 key, behind one that is not meant.
fn jwks() -> String {
    let der = pem::parse(key!("ed.pub.pem")).unwrap().into_contents();
    let x = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = |id: &str, x: String| json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x});
    let keys = [
        key("old", x(&[7; 32])),
        key("new", x(&der[der.len() - 32..])),
    ];
    json!({ "keys": keys }).to_string()
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_secs();
    json!({"iss": "ci", "iat": now, "exp": now + 3600, "sub": COMMIT, "spacelift_stack": STACK})
}

/// The usual claims with `change` over them; null takes one out.
fn with(change: Value) -> Value {
    let mut claims = claims();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn signed(algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hmac(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    signed(Algorithm::HS256, claims, &key)
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = json!({"alg": algorithm, "typ": "JWT"});
    format!("{}.{}.", part(&header), part(claims))
}

/// What `> token name` stands for.
pub(crate) fn token(name: &str) -> String {
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let rsa = || EncodingKey::from_rsa_pem(key!("rsa.pem").as_bytes()).unwrap();
    let ed = || EncodingKey::from_ed_pem(key!("ed.pem").as_bytes()).unwrap();
    let ec = |pem: &str| EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    let other = EncodingKey::from_secret(b"another secret of the corpus");
    match name {
        "good" => hmac(&claims()),
        "empty" => String::new(),
        "x" => "x".to_owned(),
        "abc" => "a.b.c".to_owned(),
        "four" => format!("{}.x", hmac(&claims())),
        "none" => unsigned("none", &claims()),
        "None" => unsigned("None", &claims()),
        "no-exp" => hmac(&with(json!({"exp": null}))),
        "no-stack" => hmac(&with(json!({"spacelift_stack": null}))),
        "no-sub" => hmac(&with(json!({"sub": null}))),
        "text-exp" => hmac(&with(json!({"exp": "tomorrow"}))),
        "expired" => hmac(&with(json!({"exp": 1_700_000_000}))),
        "early" => hmac(&with(json!({"nbf": 9_000_000_000_u64}))),
        "other-stack" => hmac(&with(json!({"spacelift_stack": "roads"}))),
        "other-commit" => hmac(&with(json!({"sub": "0000"}))),
        "aud" => hmac(&with(json!({"aud": ["gantry", "others"]}))),
        "array" => hmac(&json!(["no", "object"])),
        "wrong-secret" => signed(Algorithm::HS256, &claims(), &other),
        "replaced" => {
            let good = hmac(&with(json!({"spacelift_stack": "roads"})));
            let claims = URL_SAFE_NO_PAD.encode(claims().to_string());
            let (header, signature) = (good.split('.').next(), good.rsplit('.').next());
            format!("{}.{claims}.{}", header.unwrap(), signature.unwrap())
        }
        "crit" => critical(),
        "hs384" => signed(Algorithm::HS384, &claims(), &secret),
        "hs512" => signed(Algorithm::HS512, &claims(), &secret),
        "rs256" => signed(Algorithm::RS256, &claims(), &rsa()),
        "rs384" => signed(Algorithm::RS384, &claims(), &rsa()),
        "rs512" => signed(Algorithm::RS512, &claims(), &rsa()),
        "ps256" => signed(Algorithm::PS256, &claims(), &rsa()),
        "ps384" => signed(Algorithm::PS384, &claims(), &rsa()),
        "ps512" => signed(Algorithm::PS512, &claims(), &rsa()),
        "es256" => signed(Algorithm::ES256, &claims(), &ec(key!("p256.pem"))),
        "es384" => signed(Algorithm::ES384, &claims(), &ec(key!("p384.pem"))),
        "ed" => signed(Algorithm::EdDSA, &claims(), &ed()),
        "ed-other-issuer" => signed(Algorithm::EdDSA, &with(json!({"iss": "me"})), &ed()),
        "ed-no-exp" => signed(Algorithm::EdDSA, &with(json!({"exp": null})), &ed()),
        "ed-wrong-key" => {
            let (head, _) = signed(Algorithm::EdDSA, &claims(), &ed())
                .rsplit_once('.')
                .map(|(h, s)| (h.to_owned(), s.to_owned()))
                .unwrap();
            format!("{head}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
        }
        "confused" => {
            let key = EncodingKey::from_secret(key!("ed.pub.pem").as_bytes());
            signed(Algorithm::HS256, &claims(), &key)
        }
        other => panic!("there is no token {other}"),
    }
}

/// Well signed, with an extension that has to be understood.
fn critical() -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(json!({"alg": "HS256", "crit": ["exp"], "exp": 1}));
    let message = format!("{header}.{}", part(claims()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}
