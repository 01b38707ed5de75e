//! Fixed values that the golden files are built from: ids, digests, keys. Never random, never the clock.

use gantry_protocol::crypto::{EdKey, PoolKey};
use gantry_protocol::payload::{
    CommitFacts, GitCredentials, Hooks, MountedFile, PackedWorkspace, RunPayload, Source,
    StackFacts, Stage, Tool, ToolKind, Variable,
};
use gantry_protocol::run::RunType;
use gantry_protocol::socket::PlanSummary;
use gantry_protocol::{Attempt, Digest, LauncherId, PoolId, RunId, Secret, StackId};

use crate::table::text;

pub(crate) const NOW: i64 = 1_760_000_000;
pub(crate) const NONCE: &str = "bm9uY2Utbm9uY2Utbm9uY2Utbm9uY2Utbm9uY2Utbm8";
pub(crate) const ENDPOINT: &str = "https://gantry.example.org";
pub(crate) const IMAGE: &str = "registry.example.org/runner@sha256:\
    0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) fn run() -> RunId {
    "01K6YJ3V8D0000000000000RVN".parse().unwrap()
}

pub(crate) fn pool() -> PoolId {
    "01K6YJ3V8D00000000000000P0".parse().unwrap()
}

pub(crate) fn launcher() -> LauncherId {
    "01K6YJ3V8D000000000000A0NC".parse().unwrap()
}

pub(crate) fn stack() -> StackId {
    "net-prod".parse().unwrap()
}

pub(crate) fn attempt() -> Attempt {
    Attempt(2)
}

/// The digest of a name: different things have different digests.
pub(crate) fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

pub(crate) fn ed_key(name: &str) -> EdKey {
    EdKey::from_pem(&Secret::new(text(&format!("keys/{name}.pem")))).unwrap()
}

pub(crate) fn pool_key() -> PoolKey {
    PoolKey::from_pem(&Secret::new(text("keys/pool.pem"))).unwrap()
}

pub(crate) fn plan() -> PlanSummary {
    PlanSummary {
        has_changes: true,
        add: 3,
        change: 2,
        delete: 1,
        plan: Some(digest("plan")),
        rendered: Some(digest("rendered")),
    }
}

pub(crate) fn environment() -> Vec<Variable> {
    let variable = |name: &str, value: &str, secret| Variable {
        name: name.to_owned(),
        value: Secret::new(value),
        secret,
    };
    vec![
        variable("TF_VAR_region", "eu-central-1", false),
        variable("AWS_SECRET_ACCESS_KEY", "not-a-real-secret", true),
    ]
}

/// Every list filled, each with another text: a mix-up of two lists shows.
pub(crate) fn hooks() -> Hooks {
    let one = |name: &str| vec![format!("echo {name}")];
    Hooks {
        before_init: one("before_init"),
        after_init: one("after_init"),
        before_plan: one("before_plan"),
        after_plan: one("after_plan"),
        before_apply: one("before_apply"),
        after_apply: one("after_apply"),
        before_perform: one("before_perform"),
        after_perform: one("after_perform"),
        before_destroy: one("before_destroy"),
        after_destroy: one("after_destroy"),
        after_run: one("after_run"),
    }
}

/// A payload with every optional part there.
pub(crate) fn payload_full() -> RunPayload {
    RunPayload {
        stage: Stage::Apply,
        stack_facts: StackFacts {
            administrative: true,
            locked_by: Some("b.person@example.org".into()),
            ..stack_facts()
        },
        triggered_by: "a.person@example.org".into(),
        metadata: vec!["ticket 42".into()],
        flags: vec!["reviewed".into()],
        commit: CommitFacts {
            author: "A. Person".into(),
            message: "net: wider\n\nWhy not.".into(),
            created_at: Some((NOW - 7200) * 1000),
        },
        labels: vec!["team:net".into()],
        source: Source {
            project_root: "live/prod".into(),
            credentials: Some(GitCredentials {
                username: "git".into(),
                password: Secret::new("not-a-real-password"),
            }),
            archive: None,
            ..source()
        },
        image: Some("registry.example.org/runner:1".into()),
        tool: Tool {
            kind: ToolKind::OpenTofu,
            version: Some("1.10.6".into()),
        },
        autodeploy: true,
        managed_state: true,
        environment: environment(),
        files: vec![MountedFile {
            path: "source/secret.auto.tfvars".into(),
            content: Secret::new("YSA9IDEK"),
            secret: true,
        }],
        hooks: hooks(),
        workspace: Some(PackedWorkspace {
            attempt: Attempt(1),
            sealed: digest("workspace"),
            plan: digest("plan"),
            attestation: "header.claims.signature".into(),
            changes: None,
        }),
        ..payload_bare()
    }
}

/// A payload with every optional part left out.
pub(crate) fn payload_bare() -> RunPayload {
    RunPayload {
        run: run(),
        attempt: attempt(),
        pool: pool(),
        stack: stack(),
        stack_facts: stack_facts(),
        account_name: "gantry".into(),
        space: "root".into(),
        run_type: RunType::Tracked,
        stage: Stage::Start,
        triggered_by: String::new(),
        created_at: NOW * 1000,
        updated_at: (NOW + 30) * 1000,
        metadata: vec![],
        flags: vec![],
        labels: vec![],
        source: source(),
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
        managed_state: false,
        environment: vec![],
        files: vec![],
        hooks: Hooks::default(),
        workspace: None,
        salt: Secret::new("c2FsdC1zYWx0LXNhbHQ"),
    }
}

fn stack_facts() -> StackFacts {
    StackFacts {
        name: "Networking PROD".into(),
        branch: "main".into(),
        administrative: false,
        locked_by: None,
    }
}

fn source() -> Source {
    Source {
        url: "https://git.example.org/net.git".into(),
        repository: "example/net".into(),
        branch: "main".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        project_root: String::new(),
        credentials: None,
        archive: None,
    }
}
