//! Tokens and keys: the pair that fits, and one clear error for each that doesn't.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use gantry_protocol::control::token::{Broker, PoolToken};
use gantry_protocol::crypto::{EdKey, PoolKey};
use rcgen::{CertificateParams, KeyPair};
use time::{Duration, OffsetDateTime};

use super::{CredentialsError, PoolCredentials};
use crate::report::Chain;

static KEYS: LazyLock<[PoolKey; 2]> = LazyLock::new(|| {
    [
        PoolKey::generate(2048).unwrap(),
        PoolKey::generate(2048).unwrap(),
    ]
});

fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::days(20_000)
}

/// A certificate for the pool key, self-signed: the launcher takes its word from the token as a whole.
fn certificate(key: &PoolKey, end: OffsetDateTime) -> String {
    let der = rsa_pkcs8(key);
    let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::UNIX_EPOCH;
    params.not_after = end;
    params.self_signed(&pair).unwrap().pem()
}

fn rsa_pkcs8(key: &PoolKey) -> String {
    use rsa::pkcs1::DecodeRsaPrivateKey;
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(key.to_pem().expose()).unwrap();
    key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
}

fn token(end: OffsetDateTime, endpoint: &str) -> PoolToken {
    PoolToken {
        version: 1,
        broker: Broker {
            endpoint: endpoint.into(),
        },
        pool: "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap(),
        certificate: certificate(&KEYS[0], end),
        server_keys: vec![EdKey::generate().public()],
    }
}

fn good() -> PoolToken {
    token(now() + Duration::days(100), "https://gantry.example")
}

fn encoded(pem: &str) -> String {
    STANDARD.encode(pem)
}

fn read(token: &str, key: &str) -> Result<PoolCredentials, CredentialsError> {
    PoolCredentials::read(&Secret::new(token), &Secret::new(key), now())
}

#[test]
fn a_pair_fits_in_both_key_forms() {
    let pkcs1 = encoded(KEYS[0].to_pem().expose());
    let pkcs8 = encoded(&rsa_pkcs8(&KEYS[0]));
    let plain = KEYS[0].to_pem().expose().to_owned();
    for key in [pkcs1, pkcs8, plain] {
        let credentials = read(&good().encode(), &key).unwrap();
        assert_eq!(credentials.endpoint, "https://gantry.example");
        assert_eq!(credentials.days_left_if_few(now()), None);
        assert_eq!(
            credentials.days_left_if_few(now() + Duration::days(80)),
            Some(20)
        );
    }
}

#[test]
fn each_mistake_is_one_clear_error_without_the_secret() {
    let key = encoded(KEYS[0].to_pem().expose());
    let fine = good().encode();
    let old = token(now() - Duration::days(1), "https://gantry.example").encode();
    let clear = token(now() + Duration::days(100), "http://gantry.example").encode();
    let json = STANDARD.encode(r#"{"broker":{}}"#);
    let future = STANDARD.encode(r#"{"version":9}"#);
    let ec = encoded("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n");
    let locked = encoded(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let torn = encoded("-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----\n");
    let ed = encoded(EdKey::generate().to_pem().expose());
    let other = encoded(KEYS[1].to_pem().expose());
    let cases = [
        (
            "%%%",
            &*key,
            "SPACELIFT_TOKEN: the pool token is not base64",
        ),
        (
            &json,
            &key,
            "SPACELIFT_TOKEN: the pool token is base64, but not of a pool token's JSON",
        ),
        (
            &future,
            &key,
            "SPACELIFT_TOKEN: the pool token has format version 9",
        ),
        (&old, &key, "SPACELIFT_TOKEN: the pool certificate ended"),
        (
            &clear,
            &key,
            "SPACELIFT_TOKEN: its endpoint `http://gantry.example` is not an https URL",
        ),
        (&fine, "%%%", "SPACELIFT_POOL_PRIVATE_KEY is not base64"),
        (
            &fine,
            "aGVsbG8=",
            "SPACELIFT_POOL_PRIVATE_KEY: the text is not a PEM private key",
        ),
        (
            &fine,
            &ec,
            "SPACELIFT_POOL_PRIVATE_KEY: the private key is not RSA",
        ),
        (
            &fine,
            &ed,
            "SPACELIFT_POOL_PRIVATE_KEY: the private key is not RSA",
        ),
        (
            &fine,
            &locked,
            "SPACELIFT_POOL_PRIVATE_KEY: the private key is encrypted",
        ),
        (
            &fine,
            &torn,
            "SPACELIFT_POOL_PRIVATE_KEY: the private key is damaged",
        ),
        (
            &fine,
            &other,
            "SPACELIFT_POOL_PRIVATE_KEY is not the key of pool 01JB8M6Q7N4T0V2X5Y8Z9A1B2C",
        ),
    ];
    for (token, key, expected) in cases {
        let error = read(token, key).unwrap_err();
        let text = Chain(&error).to_string();
        assert!(
            text.starts_with(expected),
            "expected `{expected}…`, got `{text}`"
        );
        assert!(!text.contains(key), "the key stands in: {text}");
    }
}
