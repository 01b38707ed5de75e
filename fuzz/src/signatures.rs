//! Run signatures and the sets of keys that may sign.
//!
//! Takes bytes of anybody's choosing, panics where a promise does not hold. Never: a signature accepted that nobody made.

use gantry_protocol::payload::RunPayload;
use gantry_protocol::signature::{
    Algorithm, Audience, Claims, Draft, Expected, MARK, PublicKey, Requirement, RunDocument,
    SignedPhase, SigningKey, TrustedKeys, check,
};

/// A moment in which the corpus' claims hold.
const NOW: i64 = 1_700_000_000;

/// Nothing passes without a signature; claims of any shape behind a good one state the whole run, or are refused.
pub fn signature(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(trust) = TrustedKeys::parse(&text) {
        for (kid, key) in trust.iter() {
            let jwk = key.to_jwk();
            let again = PublicKey::from_jwk(jwk.as_object().expect("an object"));
            assert_eq!(again.as_ref(), Ok(key), "{kid}");
        }
    }
    let key = SigningKey::generate(Algorithm::EdDsa).expect("entropy");
    let public = key.public();
    let set = serde_json::json!({ "keys": [public.to_jwk()] });
    let trust = TrustedKeys::parse(&set.to_string()).expect("a set");
    let run = run();
    let audience = Audience::Only("edge-1".into());
    let expected = Expected::new(&run, None, audience).expect("a start needs no plan");
    let verdict = |entries: &[String]| check(&trust, Requirement::All, &expected, entries, NOW);
    let lines: Vec<_> = text.lines().map(|line| format!("{MARK}{line}")).collect();
    assert!(verdict(&lines).is_err(), "nobody signed this");
    let Ok(claims) = serde_json::from_str::<Claims>(&text) else {
        return;
    };
    let kid = public.thumbprint();
    let draft = Draft::new(&claims, &public, &kid);
    let signature = key.sign(draft.input());
    let Ok(entry) = draft.finish(&signature) else {
        return;
    };
    if let Ok(Some(checked)) = verdict(&[entry]) {
        assert_eq!(checked.claims.aud.as_deref(), Some("edge-1"));
        assert_eq!(checked.claims.phase, SignedPhase::Plan);
        assert_eq!(checked.claims.fields, RunDocument::of(&run).fields());
        assert!(checked.claims.iat <= NOW + 120 && checked.claims.exp >= NOW - 120);
    }
}

/// Some run.
fn run() -> RunPayload {
    let text = include_str!("../corpus/signature/payload");
    serde_json::from_str(text).expect("a payload")
}
