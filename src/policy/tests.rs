//! The document, by the paths that policies know.

use gantry_protocol::payload::{RunPayload, Variable};
use gantry_protocol::plan::{ChangeKind, PlannedChange};
use gantry_protocol::socket::Phase;
use gantry_protocol::{Digest, RunType, Secret};
use serde_json::Value as Json;

use super::document::{DigestKey, Facts};
use super::*;

const FULL: &str = include_str!("../../crates/protocol/tests/golden/control-1/payload-full.json");

fn payload() -> RunPayload {
    serde_json::from_str(FULL).unwrap()
}

fn document(payload: &RunPayload, key: &DigestKey) -> Json {
    about(payload, key, &Planned::Nothing)
}

fn about(payload: &RunPayload, key: &DigestKey, planned: &Planned) -> Json {
    let facts = Facts {
        payload,
        phase: Phase::Apply,
        image: "ghcr.io/acme/runner:1",
        image_digest: "sha256:00",
        worker_version: "0.1.0",
        worker_digest: Digest::of(b"worker"),
        planned,
        now: 1_700_000_000_000_000_000,
    };
    facts.document(key)
}

/// The documented sample's members and their types.
const DOCUMENTED: [(&str, &str); 49] = [
    ("/commit/author", "string"),
    ("/commit/branch", "string"),
    ("/commit/message", "string"),
    ("/request/timestamp_ns", "number"),
    ("/docker_image", "string"),
    ("/worker_version", "string"),
    ("/run/based_on_local_workspace", "boolean"),
    ("/run/changes", "array"),
    ("/run/commit/author", "string"),
    ("/run/commit/branch", "string"),
    ("/run/commit/created_at", "number"),
    ("/run/commit/message", "string"),
    ("/run/commit/hash", "string"),
    ("/run/created_at", "number"),
    ("/run/updated_at", "number"),
    ("/run/id", "string"),
    ("/run/state", "string"),
    ("/run/type", "string"),
    ("/run/flags", "array"),
    ("/run/triggered_by", "string"),
    ("/run/user_provided_metadata", "array"),
    ("/run/runtime_config/before_init", "array"),
    ("/run/runtime_config/project_root", "string"),
    ("/run/runtime_config/runner_image", "string"),
    ("/run/runtime_config/terraform_version", "string"),
    ("/static_run_environment/account_name", "string"),
    ("/static_run_environment/auto_deploy", "boolean"),
    ("/static_run_environment/command", "string"),
    ("/static_run_environment/commit_branch", "string"),
    ("/static_run_environment/commit_sha", "string"),
    ("/static_run_environment/endpoint_logs", "string"),
    ("/static_run_environment/endpoint_registry", "string"),
    ("/static_run_environment/environment_variables", "object"),
    ("/static_run_environment/project_root", "string"),
    ("/static_run_environment/refresh_state", "boolean"),
    ("/static_run_environment/repository_path", "string"),
    ("/static_run_environment/run_type", "string"),
    ("/static_run_environment/run_ulid", "string"),
    ("/static_run_environment/skip_init", "boolean"),
    ("/static_run_environment/stack_slug", "string"),
    ("/static_run_environment/terraform_version", "string"),
    (
        "/static_run_environment/vendor_specific_config/vendor",
        "string",
    ),
    (
        "/static_run_environment/vendor_specific_config/typed_config/use_terragrunt",
        "boolean",
    ),
    (
        "/static_run_environment/vendor_specific_config/typed_config/use_infracost",
        "boolean",
    ),
    ("/stack/labels", "array"),
    ("/stack/roles", "array"),
    ("/stack/state", "string"),
    ("/image/digest", "string"),
    ("/phase", "string"),
];

#[test]
fn every_documented_member_is_there_with_its_type() {
    let document = document(&payload(), &DigestKey::default());
    for (path, expected) in DOCUMENTED {
        let found = match document.pointer(path) {
            Some(Json::String(_)) => "string",
            Some(Json::Bool(_)) => "boolean",
            Some(Json::Number(_)) => "number",
            Some(Json::Array(_)) => "array",
            Some(Json::Object(_)) => "object",
            Some(Json::Null) => "null",
            None => "nothing",
        };
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(document["phase"], "apply");
    assert_eq!(
        document["run"]["id"],
        document["static_run_environment"]["run_ulid"]
    );
}

#[test]
fn changes_are_a_list_only_where_they_are_known() {
    let change = |address: &str, kind| PlannedChange {
        address: address.to_owned(),
        previous_address: None,
        resource_type: "aws_instance".to_owned(),
        name: "web".to_owned(),
        kind,
    };
    let changes = vec![
        change("aws_instance.web", ChangeKind::Delete),
        change("module.a.aws_instance.web", ChangeKind::DeleteThenAdd),
    ];
    let shown = |planned: &Planned| {
        let document = about(&payload(), &DigestKey::default(), planned);
        document["run"]["changes"].clone()
    };
    assert_eq!(shown(&Planned::Nothing), serde_json::json!([]));
    assert_eq!(shown(&Planned::Unknown), Json::Null);
    let shown = shown(&Planned::Changes(changes.into()));
    assert_eq!(shown[0]["action"], "deleted");
    assert_eq!(shown[1]["action"], "destroy-Before-create-replaced");
    let entity = &shown[1]["entity"];
    assert_eq!(
        (&entity["address"], &entity["type"], &entity["name"]),
        (
            &Json::from("module.a.aws_instance.web"),
            &Json::from("aws_instance"),
            &Json::from("web")
        )
    );
}

#[test]
fn empty_lists_are_null_where_the_documented_ones_are() {
    let mut payload = payload();
    payload.hooks.before_init.clear();
    payload.hooks.before_apply = vec!["make ready".to_owned()];
    payload.labels.clear();
    let document = document(&payload, &DigestKey::default());
    let environment = &document["static_run_environment"];
    assert!(environment["before_init"].is_null() && environment["stack_labels"].is_null());
    assert_eq!(environment["before_apply"][0], "make ready");
    assert_eq!(environment["hooks"]["before_init"], serde_json::json!([]));
    assert_eq!(document["stack"]["labels"], serde_json::json!([]));
}

#[test]
fn a_preview_does_not_know_the_state_of_its_stack() {
    let state = |run_type| {
        let payload = RunPayload {
            run_type,
            ..payload()
        };
        document(&payload, &DigestKey::default())["stack"]["state"].clone()
    };
    assert_eq!(state(RunType::Tracked), "PREPARING");
    assert_eq!(state(RunType::Proposed), Json::Null);
}

#[test]
fn a_secret_is_there_by_its_digest_only() {
    let mut payload = payload();
    let variable = |name: &str, value: &str, secret| Variable {
        name: name.to_owned(),
        value: Secret::new(value),
        secret,
    };
    payload.environment = vec![
        variable("A", "hunter2hunter2", true),
        variable("B", "hunter2hunter2", true),
        variable("C", "plain", false),
        variable("C", "the later one", false),
    ];
    for file in &mut payload.files {
        (file.secret, file.content) = (true, Secret::new("aHVudGVyMmh1bnRlcjI="));
    }
    let key = DigestKey::default();
    let first = document(&payload, &key);
    let text = first.to_string();
    assert!(
        !text.contains("hunter2") && !text.contains("aHVudGVyMmh1bnRlcjI"),
        "{text}"
    );
    let variables = &first["static_run_environment"]["environment_variables"];
    assert_eq!(variables["A"], variables["B"]);
    assert!(variables["A"].as_str().unwrap().starts_with("secret:"));
    assert_eq!(variables["C"], "the later one");
    let another = document(&payload, &DigestKey::default());
    assert_ne!(
        first["static_run_environment"],
        another["static_run_environment"]
    );
}

#[test]
fn what_is_no_policy_does_not_load_and_says_why() {
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = temp.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let missing = temp.path().join("missing.rego");
    let directory = temp.path().join("directory.rego");
    std::fs::create_dir(&directory).unwrap();
    // Opening one would wait for ever for somebody who writes it.
    let pipe = temp.path().join("pipe.rego");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (path, part) in [
        (missing, "can't be read"),
        (
            file("other.rego", b"package other\nsample = true\n"),
            "write `package spacelift`",
        ),
        (
            file("open.rego", b"package spacelift\nsample { \"hunter2\n"),
            "line 2 of policy",
        ),
        (
            file("binary.rego", b"package \xff\xfe"),
            "is not UTF-8 text, from byte 8 on",
        ),
        (directory, "is not a regular file"),
        (pipe, "is not a regular file"),
        (
            file("long.rego", &vec![b'#'; 2 << 20]),
            "at most 262144 are taken",
        ),
        (
            file("empty.rego", b""),
            "has to begin with `package spacelift`",
        ),
    ] {
        let error = InitPolicy::load(&path, Secrets::default()).unwrap_err();
        let text = crate::report::Chain(&error).to_string();
        assert!(text.contains(part) && text.contains(".rego"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
