//! The run envelope against everything that a network, another tenant or a curious administrator could do to
//! it: each field changed, replayed signatures, other pools, other times, swapped payloads.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gantry_protocol::Secret;
use gantry_protocol::control::envelope::{
    CLOCK_ALLOWANCE, EnvelopeClaims, EnvelopeError, Expected, VERSION, issue, verify,
};
use gantry_protocol::control::inbox::SealedRun;
use gantry_protocol::crypto::jws::{JwsError, Signed, sign_ed};
use gantry_protocol::crypto::{EdKey, EdPublic, PoolKey, seal};
use gantry_protocol::ids::{Attempt, Digest, LauncherId, PoolId, RunId};
use gantry_protocol::payload::{
    CommitFacts, Hooks, RunPayload, Source, StackFacts, Stage, Tool, ToolKind,
};
use gantry_protocol::run::RunType;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Issued and expired at.
const TIMES: (i64, i64) = (1_000_000, 1_000_600);

/// A time in between.
const NOW: i64 = 1_000_100;

struct Setting {
    server: EdKey,
    pool: PoolKey,
    other_pool: PoolKey,
    keys: Vec<EdPublic>,
}

/// RSA keys are slow to make: one set for all tests.
fn setting() -> &'static Setting {
    static SETTING: OnceLock<Setting> = OnceLock::new();
    SETTING.get_or_init(|| {
        let server = EdKey::generate();
        // While keys rotate, two are trusted.
        let keys = vec![EdKey::generate().public(), server.public()];
        let key = || PoolKey::generate(2048).unwrap();
        Setting {
            server,
            pool: key(),
            other_pool: key(),
            keys,
        }
    })
}

fn run_id() -> RunId {
    "01JB8M6Q7N4T0V2X5Y8Z9A1B2A".parse().unwrap()
}

fn pool_id() -> PoolId {
    "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap()
}

fn launcher_id() -> LauncherId {
    "01JB8M6Q7N4T0V2X5Y8Z9A1B2D".parse().unwrap()
}

fn payload() -> RunPayload {
    RunPayload {
        run: run_id(),
        attempt: Attempt(3),
        pool: pool_id(),
        stack: "stack".parse().unwrap(),
        stack_facts: StackFacts::default(),
        account_name: "gantry".to_owned(),
        space: "root".to_owned(),
        run_type: RunType::Tracked,
        stage: Stage::Start,
        triggered_by: String::new(),
        created_at: 1,
        updated_at: 2,
        metadata: Vec::new(),
        flags: Vec::new(),
        labels: Vec::new(),
        source: Source {
            url: "https://git.example.org/code".to_owned(),
            repository: "code".to_owned(),
            branch: "main".to_owned(),
            commit: "0123456789012345678901234567890123456789".to_owned(),
            project_root: String::new(),
            credentials: None,
            archive: None,
        },
        commit: CommitFacts::default(),
        image: None,
        tool: Tool {
            kind: ToolKind::Terraform,
            version: None,
        },
        autodeploy: false,
        targets: Vec::new(),
        skip_init: false,
        command: None,
        managed_state: true,
        environment: Vec::new(),
        files: Vec::new(),
        hooks: Hooks::default(),
        workspace: None,
        salt: Secret::new("c2FsdC1zYWx0LXNhbHQ"),
    }
}

fn issued() -> SealedRun {
    let Setting { server, pool, .. } = setting();
    issue(&payload(), launcher_id(), TIMES, &pool.public(), server).unwrap()
}

fn expected() -> Expected<'static> {
    let server_keys = &setting().keys;
    Expected {
        server_keys,
        pool: pool_id(),
        launcher: launcher_id(),
        now: Some(NOW),
    }
}

fn refused(arrived: &SealedRun) -> EnvelopeError {
    verify(arrived, &expected()).unwrap_err()
}

/// What was signed, as JSON.
fn claims_of(envelope: &str) -> Value {
    let middle = envelope.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap()
}

/// The envelope with other claims under the old signature.
fn with_claims(envelope: &str, claims: &Value) -> String {
    let parts: Vec<_> = envelope.split('.').collect();
    let middle = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{}.{middle}.{}", parts[0], parts[2])
}

/// Any JSON under the envelope's `typ`, validly signed.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Anything(Value);

impl Signed for Anything {
    const TYP: &'static str = EnvelopeClaims::TYP;
}

/// The issued run with `change` made to its claims, validly signed by the server.
fn resigned(change: impl FnOnce(&mut Value)) -> SealedRun {
    let mut run = issued();
    let mut claims = claims_of(&run.envelope);
    change(&mut claims);
    run.envelope = sign_ed(&Anything(claims), &setting().server).unwrap();
    run
}

#[test]
fn what_the_server_issues_is_opened_by_its_addressee() {
    let run = issued();
    let envelope = verify(&run, &expected()).unwrap();
    assert_eq!(
        (envelope.claims().v, envelope.claims().run),
        (VERSION, run_id())
    );
    assert_eq!(envelope.open(&setting().pool).unwrap(), payload());
    // Adopted after a restart: it was accepted in time once.
    let adopted = Expected {
        now: None,
        ..expected()
    };
    let late = issue(
        &payload(),
        launcher_id(),
        (0, 1),
        &setting().pool.public(),
        &setting().server,
    );
    assert!(verify(&late.unwrap(), &adopted).is_ok());
}

#[test]
fn a_change_of_any_field_breaks_the_signature() {
    let run = issued();
    let claims = claims_of(&run.envelope);
    let other_id = "01JB8M6Q7N4T0V2X5Y8Z9A1B2Z";
    let changes = [
        ("v", json!(2)),
        ("run", json!(other_id)),
        ("attempt", json!(4)),
        ("pool", json!(other_id)),
        ("launcher", json!(other_id)),
        ("stage", json!("apply")),
        ("iat", json!(TIMES.0 + 1)),
        ("exp", json!(TIMES.1 + 1_000_000)),
        ("sealed", json!(Digest::of(b"other").to_string())),
    ];
    let fields = claims.as_object().unwrap();
    assert_eq!(
        fields.len(),
        changes.len(),
        "every field is tried: {fields:?}"
    );
    for (field, value) in changes {
        let mut changed = claims.clone();
        assert_ne!(changed[field], value, "{field}");
        changed[field] = value;
        let envelope = with_claims(&run.envelope, &changed);
        let error = refused(&SealedRun {
            envelope,
            ..run.clone()
        });
        assert!(
            matches!(error, EnvelopeError::Signature(JwsError::Invalid { .. })),
            "{field}: {error:?}"
        );
        assert_eq!(
            error.lease(),
            None,
            "an unsigned claim names no lease ({field})"
        );
    }
}

#[test]
fn a_signature_replayed_on_another_envelope_is_refused() {
    let (first, second) = (issued(), resigned(|claims| claims["attempt"] = json!(4)));
    let signature = first.envelope.rsplit_once('.').unwrap().1;
    let body = second.envelope.rsplit_once('.').unwrap().0;
    let envelope = format!("{body}.{signature}");
    let error = refused(&SealedRun {
        envelope,
        sealed: second.sealed,
    });
    assert!(
        matches!(error, EnvelopeError::Signature(JwsError::Invalid { .. })),
        "{error:?}"
    );
}

#[test]
fn keys_algorithms_and_kinds_are_pinned() {
    let run = issued();
    let claims = claims_of(&run.envelope);
    let with = |envelope| {
        refused(&SealedRun {
            envelope,
            sealed: run.sealed.clone(),
        })
    };
    let stranger = sign_ed(&Anything(claims.clone()), &EdKey::generate()).unwrap();
    assert!(matches!(
        with(stranger),
        EnvelopeError::Signature(JwsError::UnknownKey(_))
    ));

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Proof(Value);
    impl Signed for Proof {
        const TYP: &'static str = "gantry-session+jws";
    }
    let other_kind = sign_ed(&Proof(claims.clone()), &setting().server).unwrap();
    assert!(matches!(
        with(other_kind),
        EnvelopeError::Signature(JwsError::Kind { .. })
    ));

    let kid = setting().server.public().key_id();
    for alg in ["none", "HS256", "PS256", "RS256"] {
        let header = json!({ "alg": alg, "typ": EnvelopeClaims::TYP, "kid": kid }).to_string();
        let (header, body) = (
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims.to_string()),
        );
        let signature = run.envelope.rsplit_once('.').unwrap().1;
        for signature in ["", signature] {
            let error = with(format!("{header}.{body}.{signature}"));
            assert!(
                matches!(error, EnvelopeError::Signature(_)),
                "{alg}: {error:?}"
            );
        }
    }
    for garbage in [
        "",
        "a",
        "a.b.c",
        "..",
        &run.envelope[..run.envelope.len() - 4],
    ] {
        let error = with(garbage.to_owned());
        assert!(
            matches!(error, EnvelopeError::Signature(_)),
            "`{garbage}`: {error:?}"
        );
    }
}

#[test]
fn each_bound_field_is_checked_although_the_signature_is_valid() {
    let other = json!("01JB8M6Q7N4T0V2X5Y8Z9A1B2Z");
    let cases: [(&str, Value, &str); 5] = [
        ("v", json!(VERSION + 1), "version"),
        ("pool", other.clone(), "for pool"),
        ("launcher", other, "for launcher"),
        ("exp", json!(NOW - CLOCK_ALLOWANCE - 1), "expired"),
        ("iat", json!(NOW + CLOCK_ALLOWANCE + 1), "future"),
    ];
    for (field, value, said) in cases {
        let error = refused(&resigned(|claims| claims[field] = value));
        let text = error.to_string();
        assert!(
            text.contains(said) && text.contains(&run_id().to_string()),
            "{field}: {text}"
        );
        assert_eq!(error.lease(), Some((run_id(), Attempt(3))), "{field}");
    }
}

#[test]
fn clocks_may_differ_by_the_allowance_and_no_more() {
    let at = |now| {
        verify(
            &issued(),
            &Expected {
                now: Some(now),
                ..expected()
            },
        )
    };
    for (now, accepted) in [
        (TIMES.0 - CLOCK_ALLOWANCE - 1, false),
        (TIMES.0 - CLOCK_ALLOWANCE, true),
        (TIMES.1 + CLOCK_ALLOWANCE, true),
        (TIMES.1 + CLOCK_ALLOWANCE + 1, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        assert_eq!(at(now).is_ok(), accepted, "{now}");
    }
}

#[test]
fn an_unknown_or_missing_field_is_refused_although_it_is_signed() {
    let extra = resigned(|claims| claims["also"] = json!(true));
    assert!(matches!(
        refused(&extra),
        EnvelopeError::Signature(JwsError::Invalid { .. })
    ));
    for field in claims_of(&issued().envelope).as_object().unwrap().keys() {
        let less = resigned(|claims| drop(claims.as_object_mut().unwrap().remove(field)));
        assert!(
            matches!(
                refused(&less),
                EnvelopeError::Signature(JwsError::Invalid { .. })
            ),
            "{field}"
        );
    }
}

#[test]
fn a_swapped_payload_is_refused_before_it_is_opened() {
    let (first, second) = (issued(), issued());
    assert_ne!(first.sealed, second.sealed, "sealing is randomised");
    let mixed = SealedRun {
        envelope: first.envelope.clone(),
        sealed: second.sealed,
    };
    assert!(matches!(refused(&mixed), EnvelopeError::Swapped { .. }));
    let garbage = SealedRun {
        envelope: first.envelope,
        sealed: "%".to_owned(),
    };
    assert!(matches!(refused(&garbage), EnvelopeError::Swapped { .. }));
}

/// An envelope whose claims are the issued ones, around other sealed bytes.
fn around(sealed: &[u8]) -> SealedRun {
    let mut run = resigned(|claims| claims["sealed"] = json!(Digest::of(sealed).to_string()));
    run.sealed = STANDARD.encode(sealed);
    run
}

#[test]
fn a_payload_sealed_to_another_pool_or_damaged_is_not_opened() {
    let open = |sealed: &[u8]| {
        verify(&around(sealed), &expected())
            .unwrap()
            .open(&setting().pool)
            .unwrap_err()
    };
    let plain = serde_json::to_vec(&payload()).unwrap();
    let theirs = seal::seal(&setting().other_pool.public(), &plain).unwrap();
    assert!(matches!(open(&theirs), EnvelopeError::Sealed { .. }));
    let mut ours = seal::seal(&setting().pool.public(), &plain).unwrap();
    *ours.last_mut().unwrap() ^= 1;
    assert!(matches!(open(&ours), EnvelopeError::Sealed { .. }));
    assert!(
        matches!(open(&plain), EnvelopeError::Sealed { .. }),
        "unsealed is no way in"
    );
}

#[test]
fn a_payload_of_another_lease_is_refused() {
    type Change = fn(&mut RunPayload);
    let other = "01JB8M6Q7N4T0V2X5Y8Z9A1B2Z";
    let changes: [(&str, Change); 4] = [
        ("run", |p| {
            p.run = "01JB8M6Q7N4T0V2X5Y8Z9A1B2Z".parse().unwrap()
        }),
        ("attempt", |p| p.attempt = Attempt(4)),
        ("pool", |p| {
            p.pool = "01JB8M6Q7N4T0V2X5Y8Z9A1B2Z".parse().unwrap()
        }),
        ("stage", |p| p.stage = Stage::Apply),
    ];
    assert_ne!(run_id().to_string(), other);
    for (field, change) in changes {
        let mut changed = payload();
        change(&mut changed);
        let sealed = seal::seal(
            &setting().pool.public(),
            &serde_json::to_vec(&changed).unwrap(),
        )
        .unwrap();
        let error = verify(&around(&sealed), &expected())
            .unwrap()
            .open(&setting().pool)
            .unwrap_err();
        assert!(
            matches!(error, EnvelopeError::Disagree { field: found, .. } if found == field),
            "{field}: {error}"
        );
    }
}

#[test]
fn a_payload_with_an_unknown_field_is_refused() {
    let mut json = serde_json::to_value(payload()).unwrap();
    json["privileged"] = json!(true);
    let sealed = seal::seal(&setting().pool.public(), json.to_string().as_bytes()).unwrap();
    let error = verify(&around(&sealed), &expected())
        .unwrap()
        .open(&setting().pool)
        .unwrap_err();
    assert!(matches!(error, EnvelopeError::Payload { .. }), "{error}");
}

proptest! {
    /// Whatever character of the envelope is changed, it is refused, or it says exactly the same.
    #[test]
    fn no_changed_character_is_believed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        static ISSUED: OnceLock<SealedRun> = OnceLock::new();
        let run = ISSUED.get_or_init(issued).clone();
        let at = at.index(run.envelope.len());
        let mut envelope = run.envelope.clone();
        envelope.replace_range(at..=at, &to);
        let same = verify(&run, &expected()).unwrap().claims().clone();
        match verify(&SealedRun { envelope: envelope.clone(), sealed: run.sealed }, &expected()) {
            Ok(verified) => prop_assert_eq!(verified.claims(), &same),
            Err(_) => prop_assert_ne!(envelope, run.envelope),
        }
    }
}
