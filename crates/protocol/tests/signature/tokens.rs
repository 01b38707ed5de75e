//! Tokens that somebody forged, by every way that is known for JWTs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use gantry_protocol::signature::{Draft, SigningKey, TokenError};
use serde_json::{Value, json};

use crate::fixtures::{KEYS, claims, payload, refusal, sign, signed, verdict};

const PREFIX: &str = "gantry-signature:v1:";

/// Signs any header and any payload by the holder of a trusted key.
fn forge(header: &Value, payload: &[u8], key: &SigningKey) -> String {
    let input = format!("{}.{}", B64.encode(header.to_string()), B64.encode(payload));
    let signature = key.sign(input.as_bytes());
    format!("{PREFIX}{input}.{}", B64.encode(signature))
}

fn header(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "kid": kid, "typ": "gantry-run-signature+jws" })
}

fn good_claims() -> Value {
    serde_json::to_value(claims(&payload())).unwrap()
}

#[test]
fn w3_the_algorithm_is_the_trusted_key_s_own() {
    for (index, own) in ["EdDSA", "ES256", "PS256"].into_iter().enumerate() {
        let key = &KEYS[index];
        let kid = key.public().thumbprint();
        for alg in [
            "none", "None", "HS256", "RS256", "ES384", "EdDSA", "ES256", "PS256", "",
        ] {
            let entry = forge(
                &header(alg, &kid),
                good_claims().to_string().as_bytes(),
                key,
            );
            let found = verdict(&payload(), std::slice::from_ref(&entry));
            assert_eq!(found.is_ok(), alg == own, "{alg} by {own}: {found:?}");
        }
        // No signature at all.
        let input = format!(
            "{}.{}",
            B64.encode(header("none", &kid).to_string()),
            B64.encode(good_claims().to_string())
        );
        let refused = refusal(&payload(), &[format!("{PREFIX}{input}.")]);
        assert!(refused.contains("says algorithm `none`"), "{refused}");
    }
}

#[test]
fn the_header_has_three_members_and_no_extension() {
    let key = &KEYS[0];
    let kid = key.public().thumbprint();
    let plain = header("EdDSA", &kid);
    let claims = good_claims().to_string();
    assert!(verdict(&payload(), &[forge(&plain, claims.as_bytes(), key)]).is_ok());
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("jku", json!("https://evil.example/jwks")),
        ("jwk", key.public().to_jwk()),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!([])),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
    ] {
        let mut more = plain.clone();
        more[name] = value;
        let refused = refusal(&payload(), &[forge(&more, claims.as_bytes(), key)]);
        assert!(
            refused.contains("expected exactly `alg`, `kid` and `typ`"),
            "{name}: {refused}"
        );
    }
    for typ in ["JWT", "gantry-run+jws", "gantry-workspace+jws", ""] {
        let mut other = plain.clone();
        other["typ"] = json!(typ);
        assert!(
            verdict(&payload(), &[forge(&other, claims.as_bytes(), key)]).is_err(),
            "{typ}"
        );
    }
    for kid in ["", "stranger", "\u{7}", &"k".repeat(129)] {
        let entry = forge(&header("EdDSA", kid), claims.as_bytes(), key);
        assert!(verdict(&payload(), &[entry]).is_err(), "{kid}");
    }
}

#[test]
fn w4_claims_are_complete_and_known() {
    let key = &KEYS[0];
    let head = header("EdDSA", &key.public().thumbprint());
    for name in ["v", "iat", "exp", "jti", "phase", "fields"] {
        let mut fewer = good_claims();
        fewer.as_object_mut().unwrap().remove(name);
        let refused = refusal(
            &payload(),
            &[forge(&head, fewer.to_string().as_bytes(), key)],
        );
        assert!(
            refused.contains("missing, unknown or wrong member"),
            "{name}: {refused}"
        );
    }
    for (name, value) in [
        ("v", json!(2)),
        ("v", json!("1")),
        ("exp", json!("soon")),
        ("exp", json!(1.5e9)),
        ("exp", json!(u64::MAX)),
        ("jti", json!("short")),
        ("jti", json!("x".repeat(200))),
        ("jti", json!("a nonce with spaces in it")),
        ("aud", json!("two words")),
        ("aud", json!(["a"])),
        ("phase", json!("everything")),
        ("fields", json!([])),
        ("nbf", json!(0)),
    ] {
        let mut other = good_claims();
        other[name] = value;
        let refused = refusal(
            &payload(),
            &[forge(&head, other.to_string().as_bytes(), key)],
        );
        assert!(refused.contains("malformed"), "{name}: {refused}");
    }
    // The same member twice, or another spelling of the same claims.
    let claims = good_claims().to_string();
    for other in [
        claims.replacen('{', "{\"aud\":\"a\",\"aud\":\"b\",", 1),
        claims.replacen('{', "{ ", 1),
        claims.replacen("\"v\":1", "\"v\":1e0", 1),
    ] {
        let refused = refusal(&payload(), &[forge(&head, other.as_bytes(), key)]);
        assert!(refused.contains("malformed"), "{other}: {refused}");
    }
}

#[test]
fn w8_only_the_holder_of_a_trusted_private_key_signs() {
    let stranger = SigningKey::generate(gantry_protocol::signature::Algorithm::EdDsa).unwrap();
    let refused = refusal(&payload(), &[sign(&claims(&payload()), &stranger)]);
    assert!(refused.contains("not among the trusted keys"), "{refused}");
    // The stranger's signature under a trusted name.
    let kid = KEYS[0].public().thumbprint();
    let entry = forge(
        &header("EdDSA", &kid),
        good_claims().to_string().as_bytes(),
        &stranger,
    );
    let refused = refusal(&payload(), &[entry]);
    assert!(refused.ends_with("did not sign this"), "{refused}");
}

#[test]
fn any_changed_byte_is_noticed() {
    for key in KEYS.iter() {
        let entry = sign(&claims(&payload()), key);
        for at in PREFIX.len()..entry.len() {
            let mut bytes = entry.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let found = verdict(&payload(), std::slice::from_ref(&changed));
            assert!(found.is_err(), "position {at}: {found:?}");
        }
        for cut in [1, 10, 100] {
            let found = verdict(&payload(), &[entry[..entry.len() - cut].to_owned()]);
            assert!(found.is_err());
        }
    }
}

#[test]
fn the_newest_signature_for_the_phase_counts() {
    let good = signed(&payload());
    let mut other = payload();
    other.source.branch = "other".into();
    let bad = signed(&other);
    assert!(verdict(&payload(), &[bad.clone(), good.clone()]).is_ok());
    assert!(verdict(&payload(), &[good, bad]).is_err());
}

/// A signer elsewhere may answer in the form that its own tools have.
#[test]
fn an_ecdsa_signature_may_come_as_der() {
    let key = &KEYS[1];
    let SigningKey::Ec(ec) = key else { panic!() };
    let (public, claims) = (key.public(), claims(&payload()));
    let kid = public.thumbprint();
    let draft = Draft::new(&claims, &public, &kid);
    let signature: p256::ecdsa::Signature = p256::ecdsa::signature::Signer::sign(ec, draft.input());
    let entry = draft.finish(signature.to_der().as_bytes()).unwrap();
    assert!(verdict(&payload(), &[entry]).is_ok());
    let refused = Draft::new(&claims, &public, &kid)
        .finish(b"nonsense")
        .unwrap_err();
    assert_eq!(refused, TokenError::Forged(kid.clone()));
}
