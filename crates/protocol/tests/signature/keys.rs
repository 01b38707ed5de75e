//! Keys: what is trusted, what is refused by name, what other tools write.

use std::error::Error as _;

use gantry_protocol::Secret;
use gantry_protocol::signature::{Algorithm, PublicKey, SigningKey, TrustedKeys};
use serde_json::{Value, json};

use crate::fixtures::KEYS;

fn refused(keys: Value) -> String {
    let error = TrustedKeys::parse(&json!({ "keys": keys }).to_string()).unwrap_err();
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn with(key: usize, name: &str, value: Value) -> Value {
    let mut jwk = KEYS[key].public().to_jwk();
    jwk["kid"] = json!("k");
    jwk[name] = value;
    jwk
}

#[test]
fn a_bad_set_is_refused_by_the_name_of_the_key() {
    let short = "A".repeat(342);
    let zero = "A".repeat(43);
    for (jwk, expected) in [
        (
            with(0, "d", json!("x")),
            "key `k` is not taken: it holds a private key (member `d`)",
        ),
        (
            json!({"kid": "k", "kty": "oct", "k": "c2VjcmV0"}),
            "private key (member `k`)",
        ),
        (
            json!({"kid": "k", "kty": "XYZ"}),
            "its kind `XYZ` is not taken",
        ),
        (json!({"kid": "k"}), "its member `kty` is missing"),
        (
            with(0, "crv", json!("Ed448")),
            "its curve `Ed448` is not taken",
        ),
        (
            with(1, "crv", json!("secp256k1")),
            "its curve `secp256k1` is not taken",
        ),
        (
            with(0, "alg", json!("ES256")),
            "its algorithm `ES256` is not taken: a key of this kind signs by `EdDSA`",
        ),
        (
            with(2, "alg", json!("RS256")),
            "its algorithm `RS256` is not taken: a key of this kind signs by `PS256`",
        ),
        (with(2, "alg", json!(7)), "its algorithm `?` is not taken"),
        (with(0, "use", json!("enc")), "its `use` says"),
        (with(0, "key_ops", json!(["sign"])), "its `key_ops` says"),
        (with(0, "x", json!("AAAA")), "not a valid Ed25519 key"),
        (
            with(0, "x", json!("not base64!")),
            "its member `x` is missing",
        ),
        // The neutral element: anybody can sign for it.
        (
            with(0, "x", json!(format!("AQ{}", "A".repeat(41)))),
            "weak key: a point of small order",
        ),
        (with(1, "x", json!(zero)), "not a valid P-256 key"),
        (
            with(2, "n", json!(format!("w{short}"))),
            "modulus has 2056 bits: at least 3072 are needed",
        ),
        (
            with(2, "e", json!("Aw")),
            "weak key: a public exponent below 65537",
        ),
        (with(2, "e", json!("AQAC")), "not a valid RSA key"),
    ] {
        let text = refused(json!([jwk]));
        assert!(text.contains(expected), "{jwk}: {text}");
        assert!(text.starts_with("key `k` is not taken: "), "{text}");
    }
    let good = with(0, "use", json!("sig"));
    assert_eq!(refused(json!([good, good])), "two keys have the `kid` `k`");
    assert_eq!(refused(json!([])), "it lists no key");
    let nameless = with(0, "kid", json!(""));
    let text = refused(json!([good, nameless]));
    assert!(
        text.starts_with("key 2 (counted from 1) has no `kid`"),
        "{text}"
    );
    for text in [
        "",
        "[]",
        "{}",
        "{\"keys\": 1}",
        "{\"keys\": [1]}",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        let error = TrustedKeys::parse(text).unwrap_err().to_string();
        assert!(error.starts_with("it is not a JWK set"), "{text}: {error}");
    }
}

#[test]
fn an_rsa_key_is_not_too_long_either() {
    let long = with(2, "n", json!(format!("w{}", "A".repeat(1365))));
    let text = refused(json!([long]));
    assert!(
        text.ends_with("modulus has 8192 bits: at most 4096 are taken"),
        "{text}"
    );
}

#[test]
fn a_key_survives_its_pem_and_its_jwk() {
    for key in KEYS.iter() {
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        let jwk = key.public().to_jwk();
        assert_eq!(
            PublicKey::from_jwk(jwk.as_object().unwrap()),
            Ok(key.public())
        );
        let signature = again.sign(b"text");
        assert!(key.public().verifies(b"text", &signature));
        assert!(!key.public().verifies(b"other", &signature));
        assert!(!key.public().verifies(b"text", &signature[1..]));
    }
    assert!(!format!("{:?}", KEYS[0]).contains("PRIVATE"));
}

#[test]
fn what_is_no_key_is_told_without_its_text() {
    for (pem, expected) in [
        ("hunter2", "not in PKCS#8 form"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----",
            "openssl pkey",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2",
            "encrypted",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
            "no valid",
        ),
    ] {
        let error = SigningKey::from_pem(&Secret::new(pem))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected) && !error.contains("hunter2"),
            "{error}"
        );
    }
}

/// The example of RFC 8037, appendix A.3.
#[test]
fn the_thumbprint_is_the_one_of_the_standard() {
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let key = PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap();
    assert_eq!(
        key.thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert_eq!(key.algorithm(), Algorithm::EdDsa);
}
