//! Initialization policies of a host, in whole runs: what they see, what they stop, what they tell.

use std::fs;

use gantry_test_support::{Launcher, Run, World};
use serde_json::Value;

use super::{CODE, refuses_to_start};

const POLICY: &str = "SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY";

/// As in the documentation of user-provided metadata, word for word.
const SAMPLE: &str = "package spacelift\nsample { true }\n";

fn launcher(world: &World, policy: &str) -> Launcher {
    let path = world.dir().join("policy.rego");
    fs::write(&path, policy).expect("a file");
    let path = path.display().to_string();
    world.launcher("a").env(POLICY, &path).start()
}

/// The sample lines that a launcher wrote, oldest first.
fn samples(launcher: &Launcher) -> Vec<Value> {
    let log = launcher.log();
    let lines = log.lines().filter(|line| line.contains("\"Sample "));
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

fn started<'w>(world: &'w World, id: &str, autodeploy: bool, rest: &[&str]) -> Run<'w> {
    let repo = world.repo(id);
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack(id, &repo);
    let stack = match autodeploy {
        true => stack.autodeploy(),
        false => stack,
    };
    let stack = stack.secret("TF_VAR_key", "hunter2-hunter2").create();
    stack.try_start("deploy", rest).expect("a run")
}

#[test]
fn the_documented_sample_shows_the_metadata_of_trigger_and_confirm() {
    let world = World::start();
    let launcher = launcher(&world, SAMPLE);
    let run = started(
        &world,
        "sampled",
        false,
        &["--run-metadata", "deploy-metadata"],
    );
    run.wait("UNCONFIRMED");
    let confirm = ["stack", "confirm", "--id", "sampled", "--run", run.id()];
    let metadata = ["--run-metadata", "confirm-metadata"];
    world.cli().text(&[&confirm[..], &metadata].concat());
    let seen = run.wait("FINISHED");

    let lines = samples(&launcher);
    let metadata: Vec<_> = lines
        .iter()
        .map(|line| line["sample"]["input"]["run"]["user_provided_metadata"].to_string())
        .collect();
    assert_eq!(
        metadata,
        [
            r#"["deploy-metadata"]"#,
            r#"["deploy-metadata","confirm-metadata"]"#
        ]
    );
    for (line, phase) in lines.iter().zip(["plan", "apply"]) {
        let (sample, input) = (&line["sample"], &line["sample"]["input"]);
        assert_eq!(line["level"], "info");
        assert_eq!(sample["outcome"], "allow");
        assert_eq!(sample["results"]["sample"], true);
        assert_eq!(sample["error"], "");
        assert_eq!(input["phase"], phase);
        assert_eq!(input["run"]["state"], "PREPARING");
        assert_eq!(input["run"]["id"], run.id());
        assert_eq!(
            input["run"]["commit"]["hash"],
            input["static_run_environment"]["commit_sha"]
        );
        assert_eq!(input["static_run_environment"]["stack_slug"], "sampled");
        assert_eq!(input["static_run_environment"]["run_type"], "TRACKED");
        let digest = input["image"]["digest"].as_str().expect("a digest");
        assert!(seen.image.ends_with(digest), "{digest} of {}", seen.image);
        assert!(!line.to_string().contains("hunter2"), "no secret in {line}");
    }
}

#[test]
fn a_denial_stands_in_the_log_and_fails_the_run_before_anything_is_pulled() {
    let world = World::start();
    let policy = r#"package spacelift
        deny contains msg if {
            input.static_run_environment.run_type == "TASK"
            msg := sprintf("tasks are off on this pool: %s", [input.static_run_environment.command])
        }
        deny contains "no run metadata" if { count(input.run.user_provided_metadata) == 0 }
    "#;
    let _launcher = launcher(&world, policy);
    let run = started(&world, "denied", true, &[]);
    let seen = run.wait("FAILED");
    assert!(
        seen.reasons().contains("no run metadata"),
        "{}",
        seen.reasons()
    );
    run.wait_log("PREPARING", "Denied by this host's policy: no run metadata");
    assert_eq!(seen.times("INITIALIZING"), 0);
    assert!(world.containers().is_empty());

    let task = [
        "stack",
        "task",
        "--id",
        "denied",
        "--run-metadata",
        "m",
        "touch /mnt/workspace/x",
    ];
    let id = world.cli().text(&task);
    let task = Run::of(&world, "denied", id.trim());
    task.wait("FAILED");
    task.wait_log(
        "PREPARING",
        "tasks are off on this pool: touch /mnt/workspace/x",
    );
}

#[test]
fn an_apply_is_asked_about_whether_a_person_confirms_it_or_not() {
    let world = World::start();
    // Both know what the plan changes: this host's own one, and the one that came back with a confirm.
    let policy = r#"package spacelift
        deny[msg] {
            input.phase == "apply"
            change := input.run.changes[_]
            msg := sprintf("no applies here: %s is %s", [change.entity.address, change.action])
        }
        deny["it changes something already"] { input.phase == "plan"; input.run.changes != [] }
    "#;
    let _launcher = launcher(&world, policy);
    let denied = "no applies here: terraform_data.it is added";

    let by_itself = started(&world, "by-itself", true, &[]);
    let seen = by_itself.wait("FAILED");
    assert_eq!((seen.times("PLANNING"), seen.times("APPLYING")), (1, 0));
    assert!(seen.reasons().contains(denied), "{}", seen.reasons());

    let confirmed = started(&world, "confirmed", false, &[]);
    confirmed.wait("UNCONFIRMED");
    confirmed.confirm();
    let seen = confirmed.wait("FAILED");
    assert_eq!((seen.times("PLANNING"), seen.times("APPLYING")), (1, 0));
    assert!(seen.reasons().contains(denied), "{}", seen.reasons());
}

#[test]
fn what_can_not_be_decided_is_denied() {
    let world = World::start();
    let policy = "package spacelift\ndeny[\"x\"] { io.jwt.decode(input.run.user_provided_metadata[0]) == 1 }\n";
    let _launcher = launcher(&world, policy);
    let run = started(&world, "broken", true, &["--run-metadata", "no token"]);
    let seen = run.wait("FAILED");
    assert!(
        seen.reasons().contains("what can't be decided is denied"),
        "{}",
        seen.reasons()
    );
}

#[test]
fn a_policy_that_is_none_stops_the_launcher_with_one_line() {
    let world = World::start();
    let file = |name: &str, text: &str| {
        let path = world.dir().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let cases = [
        (
            world.dir().join("none.rego").display().to_string(),
            "none.rego",
        ),
        (
            file("syntax.rego", "package spacelift\ndeny[\"x\" {"),
            "syntax.rego",
        ),
        (
            file("package.rego", "package other\ndeny[\"x\"] { true }\n"),
            "write `package spacelift`",
        ),
        (
            file("empty.rego", "package spacelift\nallow = true\n"),
            "none of the rules",
        ),
    ];
    for (at, (path, said)) in cases.iter().enumerate() {
        let builder = world.launcher(&format!("bad-{at}"));
        let (error, _) = refuses_to_start(builder.env(POLICY, path));
        assert!(error.contains(said), "`{said}`: {error}");
    }
}
