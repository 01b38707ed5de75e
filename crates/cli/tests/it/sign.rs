//! Signing: keys, what is shown, what is refused, and that a launcher believes what was signed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::{PoolKey, jws};
use gantry_protocol::payload::{
    CommitFacts, Hooks, RunPayload, Source, StackFacts, Stage, Tool, ToolKind, UploadedArchive,
    Variable,
};
use gantry_protocol::signature::{
    Audience, Checked, Expected, Requirement, RunDocument, SignedPhase, TrustedKeys, check,
};
use gantry_protocol::{Attempt, Digest, RunType, Secret};
use serde_json::{Value, json};

use crate::fake::{Answer, Done, Fake, Request};

const RUN: &str = "01K6YJ3V8D0000000000000RVN";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn payload(run_type: RunType) -> RunPayload {
    let variable = |name: &str, value: &str| Variable {
        name: name.into(),
        value: Secret::new(value),
        secret: name == "TOKEN",
    };
    RunPayload {
        run: RUN.parse().unwrap(),
        attempt: Attempt(1),
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
            commit: COMMIT.into(),
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
        command: (run_type == RunType::Task).then(|| "terraform state list".into()),
        managed_state: true,
        environment: vec![
            variable("TF_VAR_spacelift_run_id", RUN),
            variable("TOKEN", "hunter2"),
        ],
        files: vec![],
        hooks: Hooks {
            before_init: vec!["echo \x1b[2Jone".into()],
            ..Hooks::default()
        },
        workspace: None,
        salt: Secret::new("salt"),
    }
}

fn plan() -> WorkspaceAttestation {
    WorkspaceAttestation {
        v: 1,
        run: RUN.parse().unwrap(),
        stack: "net".parse().unwrap(),
        attempt: Attempt(1),
        sealed: Digest::of(b"workspace"),
        plan: Digest::of(b"plan"),
        rendered: Digest::of(b"rendered"),
        image: "registry.example.org/runner@sha256:0".into(),
        worker: Digest::of(b"worker"),
        tool: None,
        document: None,
        changes: None,
    }
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../protocol/tests/golden/keys"
    ))
    .join(name)
}

fn attestation() -> String {
    let pem = std::fs::read_to_string(golden("pool.pem")).unwrap();
    let key = PoolKey::from_pem(&Secret::new(pem)).unwrap();
    jws::sign_pool(&plan(), &key).unwrap()
}

fn described(payload: &RunPayload, attestation: Option<String>) -> Value {
    let phase = SignedPhase::of(payload.run_type, payload.stage, payload.autodeploy);
    json!({
        "json": serde_json::to_string(&RunDocument::of(payload)).unwrap(),
        "phase": phase.as_str(), "attestation": attestation,
    })
}

/// A server that would run this.
fn serves(fake: &Fake, payload: &RunPayload) {
    let document = described(payload, None);
    fake.on("runDocument", move |_, _| {
        Answer::Data(json!({ "runDocument": document }))
    });
}

/// A server on which this run waits for its confirm.
fn serves_plan(fake: &Fake, attestation: String) {
    let payload = apply();
    let document = described(&payload, Some(attestation));
    fake.on("stack.run.document", move |_, _| {
        Answer::Data(json!({ "stack": { "run": { "document": document } } }))
    });
}

fn apply() -> RunPayload {
    RunPayload {
        stage: Stage::Apply,
        attempt: Attempt(2),
        ..payload(RunType::Tracked)
    }
}

async fn key(fake: &Fake, algorithm: &str) -> (String, TrustedKeys) {
    let path = fake.home.path().join(format!("{algorithm}.pem"));
    let path = path.display().to_string();
    let args = ["key", "generate", "--algorithm", algorithm, "--out", &path];
    let made = fake.gantry(&args).await;
    assert_eq!(made.code, 0, "{made:?}");
    let set = fake.gantry(&["key", "jwks", &path]).await;
    let keys: Value = serde_json::from_str(&set.out).unwrap();
    let jwk: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(keys["keys"][0], jwk);
    (path, TrustedKeys::parse(&set.out).unwrap())
}

/// What a launcher that asks for signatures says of the run with this metadata.
fn launcher(trust: &TrustedKeys, payload: &RunPayload, entry: &str) -> Checked {
    let plan = plan();
    let plan = (payload.stage == Stage::Apply).then_some(&plan);
    let audience = Audience::of("01K6YJ3V8D000000000000A0NC", payload.pool);
    let expected = Expected::new(payload, plan, audience).unwrap();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let metadata = [entry.trim().to_owned()];
    let checked = check(trust, Requirement::All, &expected, &metadata, now);
    checked
        .unwrap_or_else(|refused| panic!("{refused}"))
        .unwrap()
}

#[tokio::test]
async fn a_key_is_made_into_a_private_file_once() {
    let fake = Fake::start().await;
    let (path, _) = key(&fake, "es256").await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = fake.gantry(&["key", "generate", "--out", &path]).await;
    assert!(
        again.code == 1 && again.err.contains("exists already"),
        "{again:?}"
    );
    let twice = fake.gantry(&["key", "jwks", &path, &path]).await;
    assert!(
        twice.code == 1 && twice.err.contains("two keys have the `kid`"),
        "{twice:?}"
    );
    let no_key = fake.home.path().join("text");
    std::fs::write(&no_key, "hunter2").unwrap();
    let none = fake
        .gantry(&["key", "jwks", no_key.to_str().unwrap()])
        .await;
    assert!(none.code == 1 && !none.err.contains("hunter2"), "{none:?}");
}

#[tokio::test]
async fn what_is_signed_is_what_a_launcher_believes() {
    let fake = Fake::start().await;
    for algorithm in ["eddsa", "es256", "ps256"] {
        let (path, trust) = key(&fake, algorithm).await;
        let preview = payload(RunType::Proposed);
        serves(&fake, &preview);
        let args = [
            "sign",
            "--stack",
            "net",
            "--preview",
            "--key",
            &path,
            "--yes",
            "--whole",
            "--expires",
            "30m",
            "--commit",
            COMMIT,
        ];
        let done = fake.gantry(&args).await;
        assert_eq!(done.code, 0, "{done:?}");
        let checked = launcher(&trust, &preview, &done.out);
        assert_eq!(checked.claims.exp - checked.claims.iat, 1800);
        // All of it was shown, and nothing of it moved the cursor or was a secret.
        for shown in [
            COMMIT,
            "variable TOKEN",
            "(secret)",
            "before_init 1",
            "echo \u{fffd}[2Jone",
        ] {
            assert!(done.err.contains(shown), "{shown}: {}", done.err);
        }
        assert!(
            !done.err.contains("hunter2") && !done.err.contains('\x1b'),
            "{done:?}"
        );
    }
    let asked = fake.asked("runDocument");
    assert_eq!(
        asked[0].vars,
        json!({ "stack": "net", "type": "PROPOSED", "sha": COMMIT, "by": null })
    );
}

#[tokio::test]
async fn only_what_changed_is_shown_the_second_time() {
    let fake = Fake::start().await;
    let (path, _) = key(&fake, "eddsa").await;
    let sign = ["sign", "--stack", "net", "--key", &path, "--yes"];
    serves(&fake, &payload(RunType::Tracked));
    assert!(fake.gantry(&sign).await.err.contains("managed_state"));
    let same = fake.gantry(&sign).await.err;
    assert!(
        same.contains("the one that you signed last") && !same.contains("commit"),
        "{same}"
    );
    let mut changed = payload(RunType::Tracked);
    changed.environment[1].value = Secret::new("hunter3");
    changed.environment.push(Variable {
        name: "LD_PRELOAD".into(),
        value: Secret::new("/tmp/x.so"),
        secret: false,
    });
    changed.hooks.before_init.clear();
    serves(&fake, &changed);
    let shown = fake.gantry(&sign).await.err;
    let lines: Vec<_> = shown
        .lines()
        .map(|line| line.get(..22).unwrap_or(line))
        .collect();
    for expected in [
        "- before_init 1       ",
        "+ variable LD_PRELOAD ",
        "~ variable TOKEN      ",
    ] {
        assert!(lines.contains(&expected), "{expected}: {shown}");
    }
    assert!(!shown.contains("managed_state"), "{shown}");
    let mut order = changed.clone();
    order.environment.swap(0, 2);
    serves(&fake, &order);
    let shown = fake.gantry(&sign).await.err;
    assert!(shown.contains("set in another order"), "{shown}");
}

#[tokio::test]
async fn a_document_of_something_else_is_not_signed() {
    let fake = Fake::start().await;
    let (path, _) = key(&fake, "eddsa").await;
    let of = |more: &[&str]| -> Vec<String> {
        let base = ["sign", "--stack", "net", "--key", &path, "--yes"];
        base.iter()
            .chain(more)
            .map(|&word| word.to_owned())
            .collect()
    };
    let mut other_stack = payload(RunType::Tracked);
    other_stack.stack = "other".parse().unwrap();
    let mut other_command = payload(RunType::Task);
    other_command.command = Some("rm -rf /".into());
    let mut autodeployed = payload(RunType::Tracked);
    autodeployed.autodeploy = true;
    let none = "0000000000000000000000000000000000000000";
    let rows = [
        (
            other_stack,
            of(&[]),
            "a run of stack `other`, and `net` was asked for",
        ),
        (
            payload(RunType::Tracked),
            of(&["--commit", none]),
            "a run of commit",
        ),
        (
            payload(RunType::Tracked),
            of(&["--preview"]),
            "a run of type `TRACKED`",
        ),
        (
            other_command,
            of(&["--task", "terraform state list"]),
            "a run of command `rm -rf /`",
        ),
        (
            payload(RunType::Task),
            of(&["--task", "terraform state list", "--no-init"]),
            "tool's init",
        ),
        (
            payload(RunType::Tracked),
            of(&["--triggered-by", "bob"]),
            "a run of trigger `ada`",
        ),
        (autodeployed, of(&[]), "--accept-any-plan"),
    ];
    for (payload, args, expected) in rows {
        serves(&fake, &payload);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        refused(&fake.gantry(&args).await, expected);
    }
    serves(&fake, &payload(RunType::Tracked));
    let args = ["sign", "--stack", "net", "--key", &path];
    refused(&fake.gantry(&args).await, "--yes signs without asking");
    refused(
        &fake.gantry(&["sign", "--stack", "net", "--yes"]).await,
        "nobody signs",
    );
    fake.on("runDocument", |_, _| {
        Answer::Data(
            json!({ "runDocument": { "json": "{\"v\":1}", "phase": "plan", "attestation": null } }),
        )
    });
    refused(
        &fake
            .gantry(&of(&[]).iter().map(String::as_str).collect::<Vec<_>>())
            .await,
        "in a way that this program does not know",
    );
}

#[tokio::test]
async fn what_stands_in_place_of_the_commit_or_of_its_whole_plan_is_not_signed() {
    let fake = Fake::start().await;
    let (path, _) = key(&fake, "eddsa").await;
    let mut uploaded = payload(RunType::Proposed);
    uploaded.source.archive = Some(UploadedArchive {
        digest: Digest::of(b"files"),
        bytes: 5,
    });
    let mut partial = payload(RunType::Proposed);
    partial.targets = vec!["a.b".into()];
    for (payload, expected) in [
        (uploaded, "uploaded files in place of the commit's"),
        (partial, "of the addresses `a.b` only"),
    ] {
        serves(&fake, &payload);
        let base = ["sign", "--stack", "net", "--key", &path, "--yes"];
        let preview = ["--preview", "--commit", COMMIT];
        refused(
            &fake.gantry(&[&base[..], &preview].concat()).await,
            expected,
        );
    }
}

#[tokio::test]
async fn a_preview_of_local_files_says_that_it_can_not_be_signed() {
    let fake = Fake::start().await;
    let (path, _) = key(&fake, "eddsa").await;
    let preview = ["stack", "local-preview", "--id", "net", "--sign-key", &path];
    refused(&fake.gantry(&preview).await, "can't be signed");
    assert!(fake.asked("uploadLocalWorkspace").is_empty());
}

fn refused(done: &Done, expected: &str) {
    assert_eq!((done.code, done.out.as_str()), (1, ""), "{done:?}");
    assert!(done.err.contains(expected), "{expected}: {done:?}");
}

fn entry_of(requests: &[Request]) -> String {
    requests[0].metadata.clone().unwrap()
}

#[tokio::test]
async fn a_deployment_and_a_task_carry_their_signature() {
    let fake = Fake::start().await;
    let (path, trust) = key(&fake, "eddsa").await;
    let run = json!({ "id": RUN, "state": "QUEUED" });
    let (made, task) = (run.clone(), run);
    fake.on("runTrigger", move |_, _| {
        Answer::Data(json!({ "runTrigger": made }))
    });
    fake.on("taskCreate", move |_, _| {
        Answer::Data(json!({ "taskCreate": task }))
    });
    let deployed = payload(RunType::Tracked);
    serves(&fake, &deployed);
    let deploy = [
        "stack",
        "deploy",
        "--id",
        "net",
        "--sign-key",
        &path,
        "--yes",
    ];
    let done = fake.gantry(&deploy).await;
    assert_eq!((done.code, done.out.trim()), (0, RUN), "{done:?}");
    let asked = fake.asked("runTrigger");
    assert_eq!(asked[0].vars["sha"], COMMIT, "what was signed is triggered");
    launcher(&trust, &deployed, &entry_of(&asked));

    let performed = payload(RunType::Task);
    serves(&fake, &performed);
    let task = [
        "stack",
        "task",
        "--id",
        "net",
        "--sign-key",
        &path,
        "--yes",
        "terraform",
        "state",
        "list",
    ];
    assert_eq!(fake.gantry(&task).await.code, 0);
    launcher(&trust, &performed, &entry_of(&fake.asked("taskCreate")));

    serves(&fake, &deployed);
    // Two entries, or a confirm that nobody looked at: refused before anything happens.
    let both = fake
        .gantry(&[&deploy[..], &["--run-metadata", "x"]].concat())
        .await;
    refused(&both, "--run-metadata can't go with a signature");
    let auto = fake
        .gantry(&[&deploy[..], &["--auto-confirm"]].concat())
        .await;
    refused(&auto, "--auto-confirm can't go with a signature");
    let quiet = fake.gantry(&deploy[..deploy.len() - 1]).await;
    refused(&quiet, "nothing is signed");
    assert_eq!(fake.asked("runTrigger").len(), 1);
}

#[tokio::test]
async fn a_confirm_is_signed_over_the_attested_plan() {
    let fake = Fake::start().await;
    let (path, trust) = key(&fake, "es256").await;
    fake.on("runConfirm", |_, _| {
        Answer::Data(json!({ "runConfirm": { "id": RUN, "state": "CONFIRMED" } }))
    });
    serves_plan(&fake, attestation());
    let certificate = golden("pool.crt").display().to_string();
    let confirm = [
        "stack",
        "confirm",
        "--id",
        "net",
        "--run",
        RUN,
        "--sign-key",
        &path,
        "--yes",
    ];
    let proven = [&confirm[..], &["--pool-certificate", &certificate]].concat();
    let done = fake.gantry(&proven).await;
    assert_eq!(done.code, 0, "{done:?}");
    let shown = format!(
        "plan                {} (attested by the pool's key)",
        plan().plan
    );
    assert!(done.err.contains(&shown), "{}", done.err);
    launcher(&trust, &apply(), &entry_of(&fake.asked("runConfirm")));
    let unproven = fake.gantry(&confirm).await;
    assert!(unproven.err.contains("not checked here"), "{unproven:?}");

    // The plan of another run, and a plan that another pool attested.
    let other = WorkspaceAttestation {
        run: "01K6YJ3V8D0000000000000RVM".parse().unwrap(),
        ..plan()
    };
    let stranger = PoolKey::generate(2048).unwrap();
    serves_plan(&fake, jws::sign_pool(&other, &stranger).unwrap());
    refused(&fake.gantry(&confirm).await, "was asked for");
    serves_plan(&fake, jws::sign_pool(&plan(), &stranger).unwrap());
    refused(
        &fake.gantry(&proven).await,
        "not attested by the key of this pool: do not confirm it",
    );
    assert_eq!(fake.asked("runConfirm").len(), 2);
}

/// The public half of a key that was made here, as `openssl` writes it.
fn public_half(path: &str) -> String {
    let public = format!("{path}.pub");
    let made = std::process::Command::new("openssl")
        .args(["pkey", "-in", path, "-pubout", "-out", &public])
        .status();
    assert!(made.unwrap().success(), "openssl reads {path}");
    public
}

/// Keys that only `openssl` uses, one of each kind. (It signs by Ed25519 from a file only.)
#[tokio::test]
async fn a_command_may_hold_a_key_of_each_kind() {
    let fake = Fake::start().await;
    let preview = payload(RunType::Proposed);
    serves(&fake, &preview);
    for (algorithm, command) in [
        (
            "eddsa",
            "cat > KEY.in && openssl pkeyutl -sign -rawin -inkey KEY -in KEY.in",
        ),
        ("es256", "openssl dgst -sha256 -sign KEY"),
        (
            "ps256",
            "openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign KEY",
        ),
    ] {
        let (path, trust) = key(&fake, algorithm).await;
        let command = format!("{} | base64", command.replace("KEY", &path));
        let public = public_half(&path);
        let args = ["sign", "--stack", "net", "--preview", "--yes"];
        let holder = ["--sign-command", &command, "--sign-public-key", &public];
        let done = fake.gantry(&[&args[..], &holder[..]].concat()).await;
        assert_eq!(done.code, 0, "{algorithm}: {done:?}");
        launcher(&trust, &preview, &done.out);
    }
}

/// As with a key service, ECDSA comes in DER form and in padded base64.
#[tokio::test]
async fn a_command_may_hold_the_key() {
    let fake = Fake::start().await;
    let (path, trust) = key(&fake, "es256").await;
    let public = public_half(&path);
    let preview = payload(RunType::Proposed);
    serves(&fake, &preview);
    let sign = |command: &str| -> Vec<String> {
        let args = [
            "sign",
            "--stack",
            "net",
            "--preview",
            "--yes",
            "--sign-command",
        ];
        args.iter()
            .map(|&word| word.to_owned())
            .chain([command.to_owned()])
            .collect()
    };
    let command = format!("openssl dgst -sha256 -sign '{path}' | base64");
    let named = [sign(&command), vec!["--sign-public-key".to_owned(), public]].concat();
    let done = fake
        .gantry(&named.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    launcher(&trust, &preview, &done.out);

    for (command, expected) in [
        ("exit 3", "--sign-command failed"),
        ("echo '!!!'", "has to print the signature in base64"),
        ("echo AAAA", "did not sign this"),
    ] {
        let mut args = named.clone();
        command.clone_into(&mut args[6]);
        let done = fake
            .gantry(&args.iter().map(String::as_str).collect::<Vec<_>>())
            .await;
        refused(&done, expected);
    }
    let args = sign(&command);
    let keyless = fake
        .gantry(&args.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    refused(&keyless, "--sign-command needs --sign-public-key");
}
