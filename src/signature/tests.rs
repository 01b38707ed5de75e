//! Leases on a host that asks for signatures: who is let through, once, across restarts.

use gantry_protocol::payload::{
    CommitFacts, Hooks, Source, StackFacts, Stage, Tool, ToolKind, Variable,
};
use gantry_protocol::signature::{Algorithm, CLAIMS, Claims, Draft, RunDocument, SigningKey};
use gantry_protocol::{Attempt, Digest, RunType, Secret};
use tempfile::TempDir;

use super::*;

const NOW: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

struct Host {
    dir: TempDir,
    key: SigningKey,
}

impl Host {
    fn new() -> Self {
        let (dir, key) = (
            tempfile::tempdir().unwrap(),
            SigningKey::generate(Algorithm::EdDsa).unwrap(),
        );
        let set = serde_json::json!({ "keys": [key.public().to_jwk()] });
        std::fs::write(dir.path().join("jwks.json"), set.to_string()).unwrap();
        Self { dir, key }
    }

    /// As after a start of the launcher.
    fn signatures(&self, requirement: Requirement) -> Signatures {
        let settings = SignatureSettings {
            jwks: Some(self.dir.path().join("jwks.json")),
            requirement,
            audience: None,
        };
        load(&settings, self.dir.path()).unwrap()
    }

    fn claims(&self, payload: &RunPayload, nonce: &str) -> Claims {
        let document = RunDocument::of(payload);
        let phase = SignedPhase::of(payload.run_type, payload.stage, payload.autodeploy);
        Claims {
            v: CLAIMS,
            iat: NOW,
            exp: NOW + HOUR,
            jti: format!("{nonce:A<22}"),
            aud: None,
            phase,
            fields: match phase {
                SignedPhase::Apply => document.apply_fields(&plan()),
                _ => document.fields(),
            },
        }
    }

    fn entry(&self, claims: &Claims) -> String {
        let public = self.key.public();
        let kid = public.thumbprint();
        let draft = Draft::new(claims, &public, &kid);
        let signature = self.key.sign(draft.input());
        draft.finish(&signature).unwrap()
    }

    fn signed(&self, payload: RunPayload, nonce: &str) -> RunPayload {
        let entry = self.entry(&self.claims(&payload, nonce));
        let metadata = vec!["a ticket".to_owned(), entry];
        RunPayload {
            metadata,
            ..payload
        }
    }
}

fn load(settings: &SignatureSettings, data: &Path) -> Result<Signatures, SignatureSetupError> {
    Signatures::open(settings, Signatures::trusted(settings)?, data)
}

fn payload(run_type: RunType, attempt: u32) -> RunPayload {
    let run: gantry_protocol::RunId = "01K6YJ3V8D0000000000000RVN".parse().unwrap();
    RunPayload {
        run,
        attempt: Attempt(attempt),
        pool: "01K6YJ3V8D00000000000000P0".parse().unwrap(),
        stack: "net".parse().unwrap(),
        stack_facts: StackFacts::default(),
        account_name: "gantry".into(),
        space: "root".into(),
        run_type,
        stage: Stage::Start,
        triggered_by: "ada".into(),
        created_at: 0,
        updated_at: 0,
        metadata: vec![],
        flags: vec![],
        labels: vec![],
        source: Source {
            url: "https://git.example.org/net.git".into(),
            repository: "net".into(),
            branch: "main".into(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
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
        command: (run_type == RunType::Task).then(|| "true".into()),
        managed_state: true,
        environment: vec![Variable {
            name: "TF_VAR_spacelift_run_id".into(),
            value: Secret::new(run.to_string()),
            secret: false,
        }],
        files: vec![],
        hooks: Hooks::default(),
        workspace: None,
        salt: Secret::new("salt"),
    }
}

fn apply(attempt: u32) -> RunPayload {
    RunPayload {
        stage: Stage::Apply,
        ..payload(RunType::Tracked, attempt)
    }
}

fn plan() -> WorkspaceAttestation {
    WorkspaceAttestation {
        v: 1,
        run: apply(1).run,
        stack: "net".parse().unwrap(),
        attempt: Attempt(1),
        sealed: Digest::of(b"workspace"),
        plan: Digest::of(b"plan"),
        rendered: Digest::of(b"rendered"),
        image: "registry.example.org/runner@sha256:0".into(),
        worker: Digest::of(b"worker"),
        tool: None,
        document: Some(RunDocument::of(&apply(1)).planned()),
        changes: None,
    }
}

fn admission(payload: &RunPayload, now: i64) -> Admission<'_> {
    Admission {
        payload,
        plan: None,
        envelope: Digest::of(&payload.attempt.0.to_be_bytes()),
        begins: true,
        launcher: "01K6YJ3V8D000000000000A0NC".parse().unwrap(),
        now,
    }
}

fn admit_at(signatures: &Signatures, payload: &RunPayload, now: i64) -> Result<Rights, NotSigned> {
    let plan = plan();
    signatures.admit(&Admission {
        plan: (payload.stage == Stage::Apply).then_some(&plan),
        ..admission(payload, now)
    })
}

/// After a restart, while the container goes on.
fn admit_again(signatures: &Signatures, payload: &RunPayload) -> Result<Rights, NotSigned> {
    let plan = plan();
    signatures.admit(&Admission {
        plan: (payload.stage == Stage::Apply).then_some(&plan),
        begins: false,
        ..admission(payload, NOW)
    })
}

fn admit(signatures: &Signatures, payload: &RunPayload) -> Result<Rights, NotSigned> {
    admit_at(signatures, payload, NOW)
}

#[test]
fn what_nobody_signed_changes_nothing_where_signatures_are_required() {
    use Requirement::{All, ApplyOnly, Off};
    let host = Host::new();
    let autodeployed = RunPayload {
        autodeploy: true,
        ..payload(RunType::Tracked, 1)
    };
    // Whether an unsigned lease begins, and whether it may change the world, for each requirement.
    let (begins, changes) = (Some(false), Some(true));
    for (payload, expected) in [
        (payload(RunType::Tracked, 1), [changes, begins, None]),
        (payload(RunType::Proposed, 1), [changes, begins, None]),
        (payload(RunType::Task, 1), [changes, None, None]),
        (autodeployed, [changes, None, None]),
        (apply(2), [changes, None, None]),
    ] {
        for (requirement, expected) in [Off, ApplyOnly, All].into_iter().zip(expected) {
            let signatures = host.signatures(requirement);
            let rights = admit(&signatures, &payload).ok();
            let found = rights.map(|rights| {
                let may = signatures.may_change(&rights).is_ok();
                assert_eq!(signatures.spend(&rights).is_ok(), may);
                may
            });
            assert_eq!(found, expected, "{requirement:?} {:?}", payload.run_type);
        }
    }
}

#[test]
fn a_plan_s_signature_grants_nothing() {
    let host = Host::new();
    let signatures = host.signatures(Requirement::All);
    let run = host.signed(payload(RunType::Tracked, 1), "plan");
    let rights = admit(&signatures, &run).unwrap();
    assert_eq!(
        rights.signer(),
        Some(host.key.public().thumbprint().as_str())
    );
    let refused = signatures.spend(&rights).unwrap_err().to_string();
    assert_eq!(
        refused,
        "nobody signed for a change of the world in this lease: it is signed for `plan` only"
    );
    // The next attempt of the same run shows it again; another run can't.
    let metadata = run.metadata.clone();
    let next = RunPayload {
        attempt: Attempt(2),
        ..run.clone()
    };
    assert!(admit(&host.signatures(Requirement::All), &next).is_ok());
    let mut other = next;
    other.run = "01K6YJ3V8D0000000000000RVM".parse().unwrap();
    other.environment[0].value = Secret::new(other.run.to_string());
    other.metadata = metadata;
    let refused = admit(&signatures, &other).unwrap_err();
    assert!(
        matches!(refused, NotSigned::Used(UseError::OtherRun(_))),
        "{refused}"
    );
}

#[test]
fn an_apply_s_signature_changes_the_world_once_across_restarts() {
    let host = Host::new();
    for (first, nonce) in [(apply(2), "apply"), (payload(RunType::Task, 2), "task")] {
        let first = host.signed(first, nonce);
        let rights = admit(&host.signatures(Requirement::ApplyOnly), &first).unwrap();
        // Restart: the same lease begins again and is granted, and after another restart goes on.
        let signatures = host.signatures(Requirement::ApplyOnly);
        assert_eq!(
            admit_at(&signatures, &first, NOW + 9 * HOUR).unwrap(),
            rights
        );
        signatures.spend(&rights).unwrap();
        let signatures = host.signatures(Requirement::ApplyOnly);
        // It comes a second time as if nothing had been: the clock was set back, the journal has forgotten it.
        assert!(admit(&signatures, &first).is_err());
        signatures
            .spend(&admit_again(&signatures, &first).unwrap())
            .unwrap();
        let again = RunPayload {
            attempt: Attempt(3),
            ..first
        };
        let refused = admit(&signatures, &again).unwrap_err().to_string();
        assert!(
            refused.contains("attempt 2 of this run changed the world"),
            "{refused}"
        );
    }
}

#[test]
fn a_lease_that_was_late_is_refused_at_its_first_begin_only() {
    let host = Host::new();
    let signatures = host.signatures(Requirement::All);
    let late = host.signed(payload(RunType::Tracked, 1), "late");
    assert!(admit_at(&signatures, &late, NOW + 2 * HOUR).is_err());
    assert!(admit_at(&signatures, &late, NOW + HOUR).is_ok());
    assert!(admit_at(&signatures, &late, NOW + 2 * HOUR).is_ok());
    let next = RunPayload {
        attempt: Attempt(2),
        ..late
    };
    assert!(admit_at(&signatures, &next, NOW + 2 * HOUR).is_err());
}

#[test]
fn where_plans_are_not_signed_an_apply_is_of_a_plan_that_was_made_alike() {
    use Requirement::{All, ApplyOnly, Off};
    let host = Host::new();
    let mut other = apply(2);
    other.hooks.before_plan = vec!["true".into()];
    // What the attestation says, and whether an apply of it begins.
    let silent = WorkspaceAttestation {
        document: None,
        ..plan()
    };
    let cases = [
        (apply(2), plan(), true),
        (other, plan(), false),
        (apply(2), silent, false),
    ];
    for (at, (payload, plan, alike)) in cases.into_iter().enumerate() {
        let document = RunDocument::of(&payload);
        for (requirement, begins) in [(Off, alike), (ApplyOnly, alike), (All, true)] {
            let mut claims = host.claims(&payload, &format!("{at}{requirement:?}"));
            claims.fields = document.apply_fields(&plan);
            let run = RunPayload {
                metadata: vec![host.entry(&claims)],
                ..payload.clone()
            };
            let found = host.signatures(requirement).admit(&Admission {
                plan: Some(&plan),
                ..admission(&run, NOW)
            });
            assert_eq!(found.is_ok(), begins, "{at} {requirement:?}: {found:?}");
        }
    }
}

#[test]
fn without_keys_metadata_is_only_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let signatures = load(&SignatureSettings::default(), dir.path()).unwrap();
    let mut run = payload(RunType::Tracked, 1);
    run.metadata = vec!["gantry-signature:v1:nonsense".into()];
    let rights = admit(&signatures, &run).unwrap();
    assert!(signatures.spend(&rights).is_ok() && rights.signer().is_none());
    let host = Host::new();
    let refused = admit(&host.signatures(Requirement::Off), &run);
    assert!(refused.is_err(), "keys, and a signature that is none");
}

#[test]
fn a_launcher_that_can_t_check_does_not_start() {
    use std::error::Error as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let failed = |jwks: Option<PathBuf>| {
        let settings = SignatureSettings {
            jwks,
            requirement: Requirement::All,
            audience: None,
        };
        let error = load(&settings, dir.path()).unwrap_err();
        let cause = error.source().map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    assert!(failed(None).contains("needs GANTRY_RUN_TRUST_JWKS"));
    assert!(failed(Some(path.clone())).contains("can't be read"));
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    let long = failed(Some(path.clone()));
    assert!(long.contains("has more than 1048576 bytes"), "{long}");
    std::fs::write(&path, r#"{"keys":[]}"#).unwrap();
    let empty = failed(Some(path.clone()));
    assert!(empty.starts_with("GANTRY_RUN_TRUST_JWKS: `/"), "{empty}");
    assert!(empty.ends_with("can't be used: it lists no key"), "{empty}");
}
