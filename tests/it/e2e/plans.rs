//! Plans as data and plan policies, in whole runs with the real Terraform.

use gantry_test_support::{Run, World};
use serde_json::{Value, json};

/// A secret by variable, in an attribute and in an output; and one that nothing marks, which only the launcher knows.
const SECRETS: &str = r#"
variable "key" {
  type      = string
  sensitive = true
}
variable "unmarked" {}
resource "terraform_data" "it" { input = { key = var.key, open = "seen-by-all", unmarked = var.unmarked } }
resource "terraform_data" "count" {
  count = 2
  input = count.index
}
output "open" { value = "seen-by-all" }
output "closed" {
  value     = var.key
  sensitive = true
}
"#;

const WARN: &str = r#"package spacelift
warn[m] { count(input.spacelift.run.changes) > 2; m := sprintf("%d resources change", [count(input.spacelift.run.changes)]) }
sample { true }
"#;

const DENY: &str = r#"package spacelift
deny[m] { c := input.terraform.resource_changes[_]; c.change.after.input.open == "seen-by-all"; m := sprintf("%s is open", [c.address]) }
"#;

fn policy(world: &World, stack: &str, body: &str) -> String {
    let make = "mutation($name: String!, $body: String!) { policyCreate(name: $name, body: $body, type: PLAN) { id } }";
    let made = world
        .api()
        .ask(make, json!({ "name": format!("of {stack}"), "body": body }));
    let id = made.expect("a policy")["policyCreate"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let attach = "mutation($id: ID!, $stack: ID!) { policyAttach(id: $id, stack: $stack) { id } }";
    let on = json!({ "id": id, "stack": stack });
    world.api().ask(attach, on).expect("it can be attached");
    id
}

/// A stack with a policy, and its first run.
fn started<'w>(world: &'w World, id: &str, autodeploy: bool, body: &str) -> (Run<'w>, String) {
    let repo = world.repo(id);
    repo.commit(&[("main.tf", SECRETS)]);
    let stack = world.stack(id, &repo);
    let stack = if autodeploy {
        stack.autodeploy()
    } else {
        stack
    };
    let stack = stack
        .secret("TF_VAR_key", "hunter2-hunter2")
        .secret("TF_VAR_unmarked", "swordfish-swordfish")
        .create();
    let policy = policy(world, id, body);
    (stack.deploy(), policy)
}

fn asked(world: &World, stack: &str, run: &str) -> Value {
    let query = "query($stack: ID!, $run: ID!) { stack(id: $stack) {
        run(id: $run) { changesV3(input: {}) { resources { address metadata { type } } } }
        entities { id type creator { id } vendor { ... on EntityVendorTerraform { terraform {
            ... on TerraformResource { values } ... on TerraformOutput { value sensitive } } } } } } }";
    let variables = json!({ "stack": stack, "run": run });
    world.api().ask(query, variables).expect("an answer")["stack"].clone()
}

/// What a policy was asked about one plan, once: it is what the server holds of the plan.
fn input_of(world: &World, policy: &str) -> String {
    let sample = "query($id: ID!) { policy(id: $id) { evaluationRecords { key } } }";
    let records = world
        .api()
        .ask(sample, json!({ "id": policy }))
        .expect("records");
    let keys = records["policy"]["evaluationRecords"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(keys.len(), 1, "asked once about one plan");
    let input = "query($id: ID!, $key: String!) { policy(id: $id) { evaluationSample(key: $key) { input } } }";
    let variables = json!({ "id": policy, "key": keys[0]["key"] });
    let input = world.api().ask(input, variables).expect("a sample");
    input["policy"]["evaluationSample"]["input"]
        .as_str()
        .expect("a text")
        .to_owned()
}

#[test]
fn a_warning_stops_autodeploy_for_a_person_and_the_plan_holds_no_secret() {
    let world = World::start();
    let _launcher = world.launcher("a").start();
    let (run, policy) = started(&world, "warned", true, WARN);
    let seen = run.wait("UNCONFIRMED");
    let words = format!("policy `{policy}` warns: 3 resources change");
    assert!(seen.reasons().contains(&words), "{}", seen.reasons());
    run.wait_log("PREPARING", &words);
    assert_eq!(seen.delta, Some([3, 0, 0]));

    let input = input_of(&world, &policy);
    assert!(
        !input.contains("hunter2") && !input.contains("swordfish"),
        "{input}"
    );
    let document: Value = serde_json::from_str(&input).expect("JSON");
    let changes = document["terraform"]["resource_changes"]
        .as_array()
        .expect("a list");
    let it = changes
        .iter()
        .find(|c| c["address"] == "terraform_data.it")
        .expect("it");
    let expected =
        json!({ "key": "(sensitive value)", "open": "seen-by-all", "unmarked": "*****" });
    assert_eq!(it["change"]["after"]["input"], expected);

    run.confirm();
    run.wait("FINISHED");
    let told = asked(&world, "warned", run.id());
    let added = json!({ "type": "ADD" });
    let changes = told["run"]["changesV3"][0]["resources"]
        .as_array()
        .expect("a list");
    assert_eq!(changes.len(), 3);
    assert!(
        changes.iter().all(|change| change["metadata"] == added),
        "{told}"
    );
    let ids: Vec<_> = told["entities"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e["id"].as_str().unwrap_or_default())
        .collect();
    let all = [
        "terraform_data.count[0]",
        "terraform_data.count[1]",
        "terraform_data.it",
        "output.closed",
        "output.open",
    ];
    assert_eq!(ids, all);
    assert_eq!(told["entities"][2]["creator"]["id"], run.id());
    let text = told.to_string();
    assert!(text.contains("seen-by-all"), "{text}");
    assert!(
        !text.contains("hunter2") && !text.contains("swordfish"),
        "{text}"
    );

    let rows = world
        .cli()
        .json(&["stack", "changes", "--id", "warned", "--run", run.id()]);
    assert_eq!(rows.len(), 3);
    let rows = world
        .cli()
        .json(&["stack", "resources", "list", "--id", "warned"]);
    assert_eq!(rows.len(), 5);
}

#[test]
fn a_denial_fails_the_run_with_its_words_before_anything_changes() {
    let world = World::start();
    let _launcher = world.launcher("a").start();
    for (id, autodeploy) in [("by-itself", true), ("by-hand", false)] {
        let (run, policy) = started(&world, id, autodeploy, DENY);
        let seen = run.wait("FAILED");
        let words = format!("policy `{policy}` denies: terraform_data.it is open");
        assert!(seen.reasons().contains(&words), "{}", seen.reasons());
        run.wait_log("PREPARING", &words);
        assert_eq!(
            (seen.times("PLANNING"), seen.times("APPLYING")),
            (1, 0),
            "{id}"
        );
        assert_eq!(asked(&world, id, run.id())["entities"], json!([]));
    }
}
