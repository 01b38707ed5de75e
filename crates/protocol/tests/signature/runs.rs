//! Runs, good and bad. The numbers W1 to W6 are those of the known holes of the signed-run policies of this field.

use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::payload::{
    MountedFile, RunPayload, Source, Stage, Tool, ToolKind, UploadedArchive,
};
use gantry_protocol::signature::{
    Audience, Expected, Requirement, RunDocument, SignedPhase, check,
};
use gantry_protocol::{Attempt, Digest, RunType, Secret};
use proptest::prelude::*;

use crate::fixtures::{
    HOUR, KEYS, LAUNCHER, NONCE, NOW, apply_payload, claims, payload, plan, refusal, sign, signed,
    trust, variable, verdict, verdict_at,
};

/// A run with all that is stated only where there is some.
fn stating_all() -> RunPayload {
    let mut all = payload();
    all.targets.push("a.b".into());
    all.source.archive = Some(UploadedArchive {
        digest: Digest::of(b"files"),
        bytes: 1,
    });
    all
}

fn task() -> RunPayload {
    RunPayload {
        run_type: RunType::Task,
        command: Some("terraform state list".into()),
        ..payload()
    }
}

fn autodeploy() -> RunPayload {
    RunPayload {
        autodeploy: true,
        ..payload()
    }
}

#[test]
fn a_good_run_is_let_through_by_a_key_of_each_kind() {
    for payload in [payload(), autodeploy(), apply_payload(), task()] {
        for key in KEYS.iter() {
            let entry = sign(&claims(&payload), key);
            let metadata = ["a ticket".to_owned(), entry, "another".to_owned()];
            let checked = verdict(&payload, &metadata).unwrap().unwrap();
            assert_eq!(checked.kid, key.public().thumbprint());
            assert_eq!(checked.claims.jti, NONCE);
        }
    }
}

#[test]
fn w1_a_run_without_a_signature_is_refused() {
    let missing = "the run carries no signature for `plan`, which this launcher requires";
    let rows: [&[&str]; 5] = [
        &[],
        &[""],
        &["null"],
        &["deploy-metadata"],
        &["gantry-signature"],
    ];
    for metadata in rows {
        let metadata: Vec<_> = metadata.iter().map(|&entry| entry.to_owned()).collect();
        assert_eq!(refusal(&payload(), &metadata), missing, "{metadata:?}");
    }
}

#[test]
fn w2_a_malformed_signature_is_refused_also_behind_a_good_one() {
    for token in ["x", "a.b.c", "", "..", "e30.e30.", "\u{1F600}.e30.e30"] {
        let metadata = [signed(&payload()), format!("gantry-signature:v1:{token}")];
        let refused = refusal(&payload(), &metadata);
        assert!(
            refused.starts_with("the run signature is malformed"),
            "{refused}"
        );
    }
    let later = refusal(&payload(), &["gantry-signature:v2:x".to_owned()]);
    assert!(later.contains("version is not known here"), "{later}");
}

#[test]
fn w5_a_signature_is_for_one_run_type_command_and_content() {
    let preview = RunPayload {
        run_type: RunType::Proposed,
        ..payload()
    };
    // A preview's signature and a task, and the other way round.
    let refused = refusal(&task(), &[signed(&preview)]);
    assert_eq!(
        refused,
        "the run carries no signature for `task`, which this launcher requires (it carries one for `plan`)"
    );
    let refused = refusal(&payload(), &[signed(&preview)]);
    assert_eq!(
        refused,
        "the run signature was made for something else: `run_type` was signed as \"PROPOSED\" and is \"TRACKED\""
    );
    let other = RunPayload {
        command: Some("rm -rf /".into()),
        ..task()
    };
    let refused = refusal(&other, &[signed(&task())]);
    assert_eq!(
        refused,
        "the run signature was made for something else: `command` was signed as \"terraform state list\" and is \"rm -rf /\""
    );
}

#[test]
fn w6_a_confirm_needs_a_signature_of_its_own() {
    let trigger = signed(&payload());
    // The trigger's entry repeated, as an automatic confirm does.
    let refused = refusal(&apply_payload(), &[trigger.clone(), trigger.clone()]);
    assert!(
        refused.starts_with("the run carries no signature for `apply`"),
        "{refused}"
    );
    let confirm = signed(&apply_payload());
    assert!(verdict(&apply_payload(), &[trigger, confirm]).is_ok());
}

#[test]
fn an_autodeploy_needs_a_signature_that_says_so() {
    let forged = RunPayload {
        autodeploy: true,
        ..payload()
    };
    for requirement in [Requirement::ApplyOnly, Requirement::All] {
        let refused = verdict_at(&forged, &[signed(&payload())], requirement, NOW).unwrap_err();
        assert!(
            refused.to_string().contains("`plan_and_apply`"),
            "{refused}"
        );
    }
}

#[test]
fn what_is_required_is_what_the_owner_says() {
    use Requirement::{All, ApplyOnly, Off};
    for (payload, unsigned_passes) in [
        (payload(), [true, true, false]),
        (autodeploy(), [true, false, false]),
        (apply_payload(), [true, false, false]),
        (task(), [true, false, false]),
    ] {
        for (requirement, passes) in [Off, ApplyOnly, All].into_iter().zip(unsigned_passes) {
            let found = verdict_at(&payload, &[], requirement, NOW);
            assert_eq!(found.is_ok(), passes, "{requirement:?} {found:?}");
            // One that is there and bad never passes.
            let stale = verdict_at(&payload, &[signed(&payload)], requirement, NOW + 9 * HOUR);
            assert!(stale.is_err(), "{requirement:?}");
        }
    }
}

#[test]
fn a_clock_that_is_an_hour_off_gets_one_line_with_both_times() {
    let at = |now| verdict_at(&payload(), &[signed(&payload())], Requirement::All, now);
    let fast = at(NOW + 2 * HOUR).unwrap_err().to_string();
    assert_eq!(
        fast,
        "the run signature ended at 2026-09-21T15:13:20Z, and the clock of this host says 2026-09-21T16:13:20Z: sign again, or set the clock"
    );
    let slow = at(NOW - HOUR).unwrap_err().to_string();
    assert_eq!(
        slow,
        "the run signature was made at 2026-09-21T14:13:20Z, and the clock of this host says 2026-09-21T13:13:20Z: set the clock here, or of whoever signed"
    );
    for fine in [NOW - 120, NOW, NOW + HOUR + 120] {
        assert!(at(fine).is_ok(), "{fine}");
    }
    for off in [NOW - 121, NOW + HOUR + 121, i64::MIN, i64::MAX] {
        assert!(at(off).is_err(), "{off}");
    }
}

#[test]
fn a_life_is_short() {
    for (iat, exp, fine) in [
        (NOW, NOW + 24 * HOUR, true),
        (NOW, NOW + 24 * HOUR + 1, false),
        (NOW, NOW, false),
        (NOW, NOW - 1, false),
        (i64::MIN, i64::MAX, false),
    ] {
        let mut claims = claims(&payload());
        (claims.iat, claims.exp) = (iat, exp);
        let found = verdict(&payload(), &[sign(&claims, &KEYS[0])]);
        assert_eq!(found.is_ok(), fine, "{iat} {exp}: {found:?}");
    }
}

#[test]
fn a_signature_may_be_made_out_to_somebody() {
    let any = || Audience::of(LAUNCHER, payload().pool);
    let only = || Audience::Only("edge-1".into());
    let pool = payload().pool.to_string();
    for (audience, aud, fine) in [
        (any(), None, true),
        (any(), Some(LAUNCHER), true),
        (any(), Some(pool.as_str()), true),
        (any(), Some("edge-1"), false),
        (only(), Some("edge-1"), true),
        (only(), None, false),
        (only(), Some(LAUNCHER), false),
    ] {
        let mut claims = claims(&payload());
        claims.aud = aud.map(str::to_owned);
        let expected = Expected::new(&payload(), None, audience).unwrap();
        let metadata = [sign(&claims, &KEYS[0])];
        let found = check(trust(), Requirement::All, &expected, &metadata, NOW);
        assert_eq!(found.is_ok(), fine, "{aud:?}: {found:?}");
    }
}

#[test]
fn an_apply_is_of_the_plan_that_was_signed() {
    type Other = fn(&mut WorkspaceAttestation);
    let rows: [(&str, Other); 4] = [
        ("plan", |plan| plan.plan = Digest::of(b"other")),
        ("rendered", |plan| plan.rendered = Digest::of(b"other")),
        ("workspace", |plan| plan.sealed = Digest::of(b"other")),
        ("planned_image", |plan| plan.image = "other".into()),
    ];
    let metadata = [signed(&apply_payload())];
    let audience = || Audience::of(LAUNCHER, payload().pool);
    for (field, change) in rows {
        let mut other = plan();
        change(&mut other);
        let expected = Expected::new(&apply_payload(), Some(&other), audience()).unwrap();
        let refused = check(trust(), Requirement::All, &expected, &metadata, NOW).unwrap_err();
        assert!(
            refused.to_string().contains(&format!("`{field}`")),
            "{refused}"
        );
    }
    // The attestation of another run, or none.
    let mut other = plan();
    other.run = "01K6YJ3V8D0000000000000RVM".parse().unwrap();
    for attested in [Some(&other), None] {
        assert!(Expected::new(&apply_payload(), attested, audience()).is_err());
    }
}

#[test]
fn a_plan_was_made_from_what_its_apply_says() {
    let alike = |apply: &RunPayload, plan: &WorkspaceAttestation| {
        let audience = Audience::of(LAUNCHER, apply.pool);
        let expected = Expected::new(apply, Some(plan), audience).unwrap();
        expected.planned_alike().is_ok()
    };
    assert!(alike(&apply_payload(), &plan()));
    // Why it was parked, and what a replan was limited to, is not executed.
    let mut other = apply_payload();
    (other.autodeploy, other.targets) = (true, vec!["a.b".into()]);
    assert!(alike(&other, &plan()));
    for (name, change) in CHANGES {
        let mut planned = payload();
        change(&mut planned, "another".into());
        if *name == "targets" {
            continue;
        }
        let mut plan = plan();
        plan.document = Some(RunDocument::of(&planned).planned());
        assert!(!alike(&apply_payload(), &plan), "{name}");
    }
    let mut silent = plan();
    silent.document = None;
    assert!(!alike(&apply_payload(), &silent));
}

#[test]
fn the_phase_of_every_lease() {
    use RunType::{Destroy, Proposed, Task, Testing, Tracked};
    use SignedPhase as P;
    for (run_type, start, autodeployed) in [
        (Proposed, P::Plan, P::Plan),
        (Tracked, P::Plan, P::PlanAndApply),
        (Destroy, P::Plan, P::PlanAndApply),
        (Task, P::Task, P::Task),
        (Testing, P::PlanAndApply, P::PlanAndApply),
    ] {
        assert_eq!(SignedPhase::of(run_type, Stage::Start, false), start);
        assert_eq!(SignedPhase::of(run_type, Stage::Start, true), autodeployed);
        assert_eq!(SignedPhase::of(run_type, Stage::Apply, true), P::Apply);
    }
}

#[test]
fn a_field_that_is_not_stated_or_not_known_is_refused() {
    let all = stating_all();
    for name in claims(&all).fields.keys() {
        let mut fewer = claims(&all);
        fewer.fields.remove(name);
        let refused = refusal(&all, &[sign(&fewer, &KEYS[0])]);
        assert!(
            refused.ends_with(&format!("`{name}` is not stated")),
            "{refused}"
        );
    }
    let mut more = claims(&payload());
    more.fields.insert("new".into(), true.into());
    let refused = refusal(&payload(), &[sign(&more, &KEYS[0])]);
    assert!(
        refused.ends_with("`new` is stated and not known here"),
        "{refused}"
    );
}

#[test]
fn values_are_in_no_signature_and_equal_ones_look_different() {
    let mut payload = payload();
    payload.environment.push(variable("SAME", "hunter2"));
    let document = RunDocument::of(&payload);
    let text = serde_json::to_string(&document).unwrap();
    for secret in ["hunter2", "YSA9IDEK", "the stack's salt"] {
        assert!(!text.contains(secret), "{text}");
    }
    let [id, _, token, same] = &document.environment[..] else {
        panic!("{text}")
    };
    assert_eq!(id.value, "the run's id");
    assert_ne!(token.value, same.value);
    // A variable of that name with another value is nothing special.
    payload.environment[0] = variable("TF_VAR_spacelift_run_id", "the run's id");
    let value = &RunDocument::of(&payload).environment[0].value;
    assert!(value.starts_with("hmac-sha256:"), "{value}");
}

#[test]
fn a_long_value_is_not_the_short_one_that_its_digest_spells() {
    let long = RunPayload {
        command: Some("x".repeat(500)),
        ..task()
    };
    let digest = &RunDocument::of(&long).fields()["command"];
    let short = RunPayload {
        command: Some(digest.to_string()),
        ..task()
    };
    let refused = refusal(&long, &[signed(&short)]);
    assert!(
        refused.contains("`command` was signed otherwise"),
        "{refused}"
    );
}

/// Changes to a run, each with the field that a refusal has to name.
type Change = (&'static str, fn(&mut RunPayload, String));

const CHANGES: &[Change] = &[
    ("pool", |p, _| {
        p.pool = "01K6YJ3V8D00000000000000P1".parse().unwrap()
    }),
    ("stack", |p, _| p.stack = "other".parse().unwrap()),
    ("space", |p, text| p.space = text),
    ("run_type", |p, _| p.run_type = RunType::Destroy),
    ("triggered_by", |p, text| p.triggered_by = text),
    ("labels", |p, text| p.labels.push(text)),
    ("url", |p, text| p.source.url = text),
    ("repository", |p, text| p.source.repository = text),
    ("branch", |p, text| p.source.branch = text),
    ("commit", |p, text| p.source.commit = text),
    ("project_root", |p, text| p.source.project_root = text),
    ("archive", |p, text| {
        p.source.archive = Some(UploadedArchive {
            digest: Digest::of(text.as_bytes()),
            bytes: 1,
        });
    }),
    ("targets", |p, text| p.targets.push(text)),
    ("image", |p, text| p.image = Some(text)),
    ("image", |p, _| p.image = None),
    ("tool", |p, _| p.tool.kind = ToolKind::OpenTofu),
    ("tool_version", |p, text| p.tool.version = Some(text)),
    ("skip_init", |p, _| p.skip_init = true),
    ("command", |p, text| p.command = Some(text)),
    ("managed_state", |p, _| p.managed_state = false),
    ("environment", |p, text| {
        p.environment[1].value = Secret::new(text)
    }),
    ("environment", |p, text| p.environment[2].name = text),
    ("environment", |p, _| p.environment[1].secret = true),
    ("environment", |p, _| p.environment.swap(1, 2)),
    ("environment", |p, text| {
        p.environment.push(variable("LD_PRELOAD", &text))
    }),
    ("environment", |p, _| p.environment.truncate(1)),
    ("environment", |p, text| p.salt = Secret::new(text)),
    ("files", |p, text| p.files[0].content = Secret::new(text)),
    ("files", |p, text| p.files[0].path = text),
    ("files", |p, _| p.files.clear()),
    ("hooks.before_init", |p, text| {
        p.hooks.before_init.push(text)
    }),
    ("hooks.before_init", |p, _| p.hooks.before_init.clear()),
    ("hooks.after_init", |p, text| p.hooks.after_init.push(text)),
    ("hooks.before_plan", |p, text| {
        p.hooks.before_plan.push(text)
    }),
    ("hooks.after_plan", |p, text| p.hooks.after_plan.push(text)),
    ("hooks.before_apply", |p, text| {
        p.hooks.before_apply.push(text)
    }),
    ("hooks.after_apply", |p, text| {
        p.hooks.after_apply.insert(0, text)
    }),
    ("hooks.before_perform", |p, text| {
        p.hooks.before_perform.push(text)
    }),
    ("hooks.after_perform", |p, text| {
        p.hooks.after_perform.push(text)
    }),
    ("hooks.before_destroy", |p, text| {
        p.hooks.before_destroy.push(text)
    }),
    ("hooks.after_destroy", |p, text| {
        p.hooks.after_destroy.push(text)
    }),
    ("hooks.after_run", |p, text| p.hooks.after_run.push(text)),
];

#[test]
fn every_field_is_changed_by_some_row() {
    for name in claims(&stating_all()).fields.keys() {
        // The version is not the run's, and autodeploy changes the phase: a test of its own.
        let known = ["v", "autodeploy"].contains(&name.as_str());
        let changed = CHANGES.iter().any(|(field, _)| field == name);
        assert!(known || changed, "{name} is changed by no row");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever single part of a run is changed to whatever: refused, by its name.
    #[test]
    fn one_changed_part_is_refused_by_name(row in 0..CHANGES.len(), text in "[ -~]{1,200}", stage in 0..2) {
        let original: RunPayload = if stage == 0 { payload() } else { apply_payload() };
        let (field, change) = CHANGES[row];
        let mut changed = original.clone();
        change(&mut changed, text);
        prop_assume!(changed != original);
        let refused = refusal(&changed, &[signed(&original)]);
        prop_assert!(refused.starts_with("the run signature was made for something else: "), "{refused}");
        prop_assert!(refused.contains(&format!("`{field}`")), "{refused}");
    }
}

/// What a launcher does not compare: it is bound at first use, or no part of the run sees it.
#[test]
fn the_id_attempt_and_metadata_of_a_run_are_not_stated() {
    let entry = signed(&payload());
    let mut later = payload();
    later.attempt = Attempt(7);
    later.metadata = vec![entry.clone()];
    (later.created_at, later.updated_at) = (1, 2);
    later.flags.push("flag".into());
    later.commit.message = "what its author wrote".into();
    later.stack_facts.locked_by = Some("ada".into());
    later.run = "01K6YJ3V8D0000000000000RVM".parse().unwrap();
    later.environment[0] = variable("TF_VAR_spacelift_run_id", &later.run.to_string());
    assert!(verdict(&later, &[entry]).is_ok());
}

#[test]
fn a_typical_signature_fits_into_a_header_and_the_longest_run_too() {
    for key in KEYS.iter() {
        for payload in [payload(), apply_payload()] {
            let length = sign(&claims(&payload), key).len();
            assert!(length < 3 * 1024, "{length}");
        }
        let long = || "x".repeat(5000);
        let many = || vec![long(); 20];
        let mut huge = apply_payload();
        (huge.space, huge.triggered_by, huge.labels) = (long(), long(), many());
        huge.source = Source {
            url: long(),
            repository: long(),
            branch: long(),
            commit: long(),
            project_root: long(),
            credentials: None,
            archive: None,
        };
        (huge.image, huge.command) = (Some(long()), Some(long()));
        huge.tool = Tool {
            kind: ToolKind::OpenTofu,
            version: Some(long()),
        };
        huge.environment = vec![variable("A", &long()); 200];
        huge.files = vec![
            MountedFile {
                path: long(),
                content: Secret::new(long()),
                secret: true,
            };
            50
        ];
        for list in [
            &mut huge.hooks.before_init,
            &mut huge.hooks.after_init,
            &mut huge.hooks.before_plan,
            &mut huge.hooks.after_plan,
            &mut huge.hooks.before_apply,
            &mut huge.hooks.after_apply,
            &mut huge.hooks.before_perform,
            &mut huge.hooks.after_perform,
            &mut huge.hooks.before_destroy,
            &mut huge.hooks.after_destroy,
            &mut huge.hooks.after_run,
        ] {
            *list = many();
        }
        let length = sign(&claims(&huge), key).len();
        assert!(length < 5 * 1024, "{length}");
    }
}
