//! One run, one plan of it, and people who sign.

use std::sync::LazyLock;

use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::payload::{
    CommitFacts, Hooks, MountedFile, RunPayload, Source, StackFacts, Stage, Tool, ToolKind,
    Variable,
};
use gantry_protocol::signature::{
    Algorithm, Audience, CLAIMS, Checked, Claims, Draft, Expected, Requirement, RunDocument,
    SignatureRefusal, SignedPhase, SigningKey, TrustedKeys, check,
};
use gantry_protocol::{Attempt, Digest, RunType, Secret};
use serde_json::json;

pub(crate) const NOW: i64 = 1_790_000_000;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const LAUNCHER: &str = "01K6YJ3V8D000000000000A0NC";
pub(crate) const NONCE: &str = "bm9uY2Utbm9uY2Utbm9uY2Utbm9uY2Utbm9uY2Utbm8";

/// A key of each kind; RSA takes a second to make, so once.
pub(crate) static KEYS: LazyLock<[SigningKey; 3]> = LazyLock::new(|| {
    [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Ps256]
        .map(|algorithm| SigningKey::generate(algorithm).unwrap())
});

static TRUST: LazyLock<TrustedKeys> = LazyLock::new(|| {
    let keys: Vec<_> = KEYS.iter().map(|key| key.public().to_jwk()).collect();
    TrustedKeys::parse(&json!({ "keys": keys }).to_string()).unwrap()
});

pub(crate) fn trust() -> &'static TrustedKeys {
    &TRUST
}

pub(crate) fn payload() -> RunPayload {
    RunPayload {
        run: "01K6YJ3V8D0000000000000RVN".parse().unwrap(),
        attempt: Attempt(1),
        pool: "01K6YJ3V8D00000000000000P0".parse().unwrap(),
        stack: "net-prod".parse().unwrap(),
        stack_facts: StackFacts::default(),
        account_name: "gantry".into(),
        space: "root".into(),
        run_type: RunType::Tracked,
        stage: Stage::Start,
        triggered_by: "ada".into(),
        created_at: 0,
        updated_at: 0,
        metadata: vec![],
        flags: vec![],
        labels: vec!["team:net".into()],
        source: Source {
            url: "https://git.example.org/net.git".into(),
            repository: "example/net".into(),
            branch: "main".into(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            project_root: "live".into(),
            credentials: None,
            archive: None,
        },
        commit: CommitFacts::default(),
        image: Some("registry.example.org/runner:1".into()),
        tool: Tool {
            kind: ToolKind::Terraform,
            version: Some("1.11.4".into()),
        },
        autodeploy: false,
        targets: Vec::new(),
        skip_init: false,
        command: None,
        managed_state: true,
        environment: vec![
            variable("TF_VAR_spacelift_run_id", "01K6YJ3V8D0000000000000RVN"),
            variable("AWS_REGION", "eu-central-1"),
            variable("TOKEN", "hunter2"),
        ],
        files: vec![MountedFile {
            path: "source/x.auto.tfvars".into(),
            content: Secret::new("YSA9IDEK"),
            secret: true,
        }],
        hooks: Hooks {
            before_init: vec!["echo 1".into()],
            after_apply: vec!["a command that is too long to be stated as it is; ".repeat(4)],
            ..Hooks::default()
        },
        workspace: None,
        salt: Secret::new("the stack's salt"),
    }
}

pub(crate) fn variable(name: &str, value: &str) -> Variable {
    Variable {
        name: name.into(),
        value: Secret::new(value),
        secret: false,
    }
}

/// The same run after its confirm.
pub(crate) fn apply_payload() -> RunPayload {
    RunPayload {
        attempt: Attempt(2),
        stage: Stage::Apply,
        ..payload()
    }
}

pub(crate) fn plan() -> WorkspaceAttestation {
    WorkspaceAttestation {
        v: 1,
        run: payload().run,
        stack: payload().stack,
        attempt: Attempt(1),
        sealed: Digest::of(b"workspace"),
        plan: Digest::of(b"plan"),
        rendered: Digest::of(b"rendered"),
        image: format!("registry.example.org/runner@{}", Digest::of(b"image")),
        worker: Digest::of(b"worker"),
        tool: None,
        document: Some(RunDocument::of(&payload()).planned()),
        changes: None,
    }
}

/// What a signer who sees this payload states.
pub(crate) fn claims(payload: &RunPayload) -> Claims {
    let phase = SignedPhase::of(payload.run_type, payload.stage, payload.autodeploy);
    let document = RunDocument::of(payload);
    Claims {
        v: CLAIMS,
        iat: NOW,
        exp: NOW + HOUR,
        jti: NONCE.into(),
        aud: None,
        phase,
        fields: match phase {
            SignedPhase::Apply => document.apply_fields(&plan()),
            _ => document.fields(),
        },
    }
}

pub(crate) fn sign(claims: &Claims, key: &SigningKey) -> String {
    let public = key.public();
    let kid = public.thumbprint();
    let draft = Draft::new(claims, &public, &kid);
    let signature = key.sign(draft.input());
    draft.finish(&signature).unwrap()
}

pub(crate) fn signed(payload: &RunPayload) -> String {
    sign(&claims(payload), &KEYS[0])
}

/// The launcher's verdict where everything has to be signed.
pub(crate) fn verdict(
    payload: &RunPayload,
    metadata: &[String],
) -> Result<Option<Checked>, SignatureRefusal> {
    verdict_at(payload, metadata, Requirement::All, NOW)
}

pub(crate) fn verdict_at(
    payload: &RunPayload,
    metadata: &[String],
    requirement: Requirement,
    now: i64,
) -> Result<Option<Checked>, SignatureRefusal> {
    let attested = (payload.stage == Stage::Apply).then(plan);
    let audience = Audience::of(LAUNCHER, payload.pool);
    let expected = Expected::new(payload, attested.as_ref(), audience)?;
    check(trust(), requirement, &expected, metadata, now)
}

/// The sentence with which a run is refused.
pub(crate) fn refusal(payload: &RunPayload, metadata: &[String]) -> String {
    match verdict(payload, metadata) {
        Ok(checked) => panic!("accepted: {checked:?}"),
        Err(refusal) => refusal.to_string(),
    }
}
