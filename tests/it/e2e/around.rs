//! What a stack needs around its deployments: previews of local files, destroy runs, plans of chosen addresses.

use std::fs;

use gantry_test_support::{LONG, Run, World, wait_for};
use serde_json::json;

use super::CODE;

/// Two resources, of which one can be planned alone.
const TWO: &str = r#"
resource "terraform_data" "a" { input = "one" }
resource "terraform_data" "b" { input = "two" }
output "a" { value = terraform_data.a.output }
output "b" { value = terraform_data.b.output }
"#;

#[test]
fn a_local_preview_plans_the_files_that_were_sent() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE), (".gitignore", "*.tfvars\n")]);
    let stack = world
        .stack("local", &repo)
        .option("--project-root", "")
        .autodeploy();
    let stack = stack.create();
    let _launcher = world.launcher("a").start();
    stack.deploy().wait("FINISHED");

    // Not committed, and one file that is not sent.
    let tree = repo.work_tree();
    let changed = CODE.replace(
        "terraform_data.it.output }",
        "\"local ${terraform_data.it.output}\" }",
    );
    let more = format!("{changed}\nresource \"terraform_data\" \"more\" {{}}\n");
    fs::write(tree.join("main.tf"), more).expect("a file");
    fs::write(tree.join("secret.auto.tfvars"), "greeting = \"sent\"\n").expect("a file");
    let directory = tree.display().to_string();
    let rest = ["--directory", &directory, "--no-tail"];
    let refused = stack
        .try_start("local-preview", &rest)
        .expect_err("it is off");
    assert!(refused.contains("allows no local previews"), "{refused}");
    allow_previews(&world, &repo.url());

    let run = stack.try_start("local-preview", &rest).expect("a run");
    let seen = run.wait("FINISHED");
    assert_eq!((seen.times("PLANNING"), seen.times("APPLYING")), (1, 0));
    let log = run.wait_log("PLANNING", "terraform_data.more");
    assert!(log.contains("1 to add, 0 to change"), "{log}");
    assert!(log.contains("local hello"), "{log}");
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));

    let variables = [
        &rest[..],
        &["--tf-env-var-override", "VAR_greeting=overridden-value"],
    ]
    .concat();
    let run = stack.try_start("local-preview", &variables).expect("a run");
    let seen = run.wait("FINISHED");
    assert_eq!(
        seen.delta,
        Some([1, 1, 0]),
        "the variable changes the resource"
    );
    assert!(
        !run.all_logs().contains("overridden-value"),
        "{}",
        run.all_logs()
    );

    fs::write(tree.join("main.tf"), "nonsense").expect("a file");
    let run = stack.try_start("local-preview", &rest).expect("a run");
    assert_eq!(run.wait_end().state, "FAILED");
}

/// `gantry stack create` made it without.
fn allow_previews(world: &World, url: &str) {
    let text = "mutation($input: StackInput!) { stackUpdate(id: \"local\", input: $input) { id } }";
    let pool = world.pool().id.clone();
    let input = json!({ "name": "local", "repository": url, "branch": "main", "workerPool": pool,
        "autodeploy": true, "localPreviewEnabled": true,
        "vendorConfig": { "terraform": { "version": null } } });
    let updated = world.api().ask(text, json!({ "input": input }));
    updated.expect("the stack is changed");
}

#[test]
fn a_destroy_is_planned_confirmed_and_takes_its_stack_along() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("gone", &repo).create();
    let _launcher = world.launcher("a").start();
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    run.confirm();
    run.wait("FINISHED");

    let run = stack.try_start("destroy", &[]).expect("a run");
    assert_eq!(run.wait("UNCONFIRMED").delta, Some([0, 0, 1]));
    assert_eq!(
        stack.output("said").as_deref(),
        Some("\"hello\""),
        "it only planned"
    );
    run.discard();
    let delete = [
        "stack",
        "delete",
        "--id",
        "gone",
        "--destroy-resources",
        "--skip-confirmation",
    ];
    world.cli().text(&delete);
    let text = "{ stack(id: \"gone\") { deleting blocker { id } } }";
    let found = world.api().ask(text, json!({})).expect("an answer");
    assert_eq!(found["stack"]["deleting"], true);
    let blocker = found["stack"]["blocker"]["id"]
        .as_str()
        .expect("a run")
        .to_owned();
    let run = Run::of(&world, "gone", &blocker);
    run.wait("UNCONFIRMED");
    run.wait_log("PLANNING", "1 to destroy");
    run.confirm();
    wait_for("the stack to be gone", LONG, || {
        let found = world.api().ask(text, json!({}))?;
        match found["stack"].is_null() {
            true => Ok(()),
            false => Err(found.to_string()),
        }
    });
    let text = "query($id: ID!) { runStack(runId: $id) { id } }";
    let left = world.api().ask(text, json!({ "id": blocker }));
    assert!(left.is_err() || left.is_ok_and(|left| left["runStack"].is_null()));
}

#[test]
fn with_autodeploy_a_destroy_goes_through() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("auto", &repo).autodeploy().create();
    let _launcher = world.launcher("a").start();
    stack.deploy().wait("FINISHED");
    let run = stack.try_start("destroy", &[]).expect("a run");
    let seen = run.wait("FINISHED");
    assert_eq!((seen.times("PLANNING"), seen.times("DESTROYING")), (1, 1));
    run.wait_log("DESTROYING", "1 destroyed");
    assert_eq!(stack.output("said"), None);
    let again = stack
        .try_start("destroy", &[])
        .expect("a run")
        .wait("FINISHED");
    assert_eq!(again.times("DESTROYING"), 0, "nothing is left to destroy");
}

#[test]
fn a_replan_applies_only_what_was_chosen() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", TWO)]);
    let stack = world.stack("chosen", &repo).create();
    let _launcher = world.launcher("a").start();
    let run = stack.deploy();
    assert_eq!(run.wait("UNCONFIRMED").delta, Some([2, 0, 0]));
    let replan = ["stack", "replan", "--id", "chosen", "--run", run.id()];
    let targets = ["--resources", "terraform_data.a"];
    world.cli().text(&[&replan[..], &targets].concat());
    let replanned = wait_for("the plan of one address", LONG, || {
        let seen = run.try_look()?;
        match seen.state == "UNCONFIRMED" && seen.times("UNCONFIRMED") == 2 {
            true => Ok(seen),
            false => Err(format!("{seen:?}")),
        }
    });
    assert_eq!(replanned.delta, Some([1, 0, 0]));
    assert_eq!(
        (
            replanned.times("PREPARING_REPLAN"),
            replanned.times("INITIALIZING")
        ),
        (1, 1)
    );
    run.confirm();
    run.wait("FINISHED");
    assert_eq!(stack.output("a").as_deref(), Some("\"one\""));
    assert_eq!(stack.output("b"), None, "what was not chosen was not made");
}
