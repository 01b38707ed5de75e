//! Settings in the repository and with a trigger: what of them a run gets, and from which branch.

use std::path::PathBuf;

use gantry_protocol::signature::RunDocument;
use serde_json::{Value, json};

use crate::runs::TRIGGER;
use crate::world::{World, git};

const DOCUMENT: &str = "query($sha:String$config:RuntimeConfigInput){runDocument(stack: \"net\", commitSha: $sha, runtimeConfig: $config){json}}";

const FILE: &str = "version: 1
stack_defaults:
  before_init: [from the defaults]
  environment: {WHO: file, SHARED: '${WHO}'}
stacks:
  net:
    project_root: infra
    runner_image: registry.example/other:2
    opentofu_version: 1.9.0
";

struct Code<'a>(&'a World);

impl Code<'_> {
    fn path(&self) -> PathBuf {
        self.0.dir.path().join("code")
    }

    /// Commits the file to the branch that is checked out.
    fn commit(&self, text: &str) -> String {
        let folder = self.path().join(".spacelift");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.yml"), text).unwrap();
        git(&self.path(), &["add", "-A"]);
        git(
            &self.path(),
            &["commit", "-q", "--allow-empty", "-m", "settings"],
        );
        git(&self.path(), &["rev-parse", "HEAD"])
    }
}

async fn document(world: &World, sha: Option<&str>, yaml: Option<&str>) -> RunDocument {
    let wish = json!({ "sha": sha, "config": { "yaml": yaml } });
    let found = world.writer.ok(DOCUMENT, wish).await;
    serde_json::from_str(found["runDocument"]["json"].as_str().unwrap()).unwrap()
}

async fn note(world: &World, sha: &str) -> Value {
    let wish = json!({ "forceApply": null, "runtimeConfig": null, "sha": sha, "stack": "net",
        "type": "PROPOSED" });
    let run = world.writer.ok(TRIGGER, wish).await["runTrigger"]["id"].clone();
    let text = "query($id:ID!){stack(id: \"net\"){run(id: $id){note}}}";
    let found = world.reader.ok(text, json!({ "id": run })).await;
    found["stack"]["run"]["note"].clone()
}

fn has(document: &RunDocument, name: &str) -> bool {
    document.environment.iter().any(|v| v.name == name)
}

async fn label(world: &World, label: &str) {
    let url = format!("file://{}", Code(world).path().display());
    let text = "mutation($input:StackInput!){stackUpdate(id: \"net\", input: $input){labels}}";
    let input = json!({ "name": "Net", "repository": url, "branch": "main", "labels": [label],
        "workerPool": pool(world).await, "vendorConfig": { "openTofu": { "version": "1.8.2" } } });
    world.admin.ok(text, json!({ "input": input })).await;
}

async fn pool(world: &World) -> Value {
    let found = world
        .admin
        .ok("{stack(id: \"net\"){workerPool{id}}}", json!({}));
    found.await["stack"]["workerPool"]["id"].clone()
}

#[tokio::test]
async fn a_run_has_the_settings_of_its_repository() {
    let world = World::new().await;
    let before = world.stack().await;
    let head = Code(&world).commit(FILE);
    let run = document(&world, None, None).await;
    assert_eq!(run.commit, head);
    assert_eq!(run.hooks.before_init, ["from the defaults"]);
    assert_eq!(run.project_root, "infra");
    assert_eq!(run.image.as_deref(), Some("registry.example/other:2"));
    assert_eq!(run.tool_version.as_deref(), Some("1.9.0"));
    assert!(has(&run, "WHO") && has(&run, "SHARED"));

    // The commit decides, not the branch.
    let old = document(&world, Some(&before), None).await;
    assert!(old.hooks.before_init.is_empty() && !has(&old, "WHO"));
    assert_eq!(note(&world, &before).await, json!(null));

    let given = "before_init: [given]\nenvironment: {WHO: given}\n";
    let run = document(&world, None, Some(given)).await;
    assert_eq!(run.hooks.before_init, ["given"]);
    assert_eq!(run.project_root, "infra");
    assert!(has(&run, "WHO") && !has(&run, "SHARED"));

    label(&world, "feature:ignore_runtime_config").await;
    let run = document(&world, None, None).await;
    assert!(run.hooks.before_init.is_empty() && run.image.is_none() && !has(&run, "WHO"));
}

#[tokio::test]
async fn another_branch_does_not_choose_what_runs() {
    let world = World::new().await;
    world.stack().await;
    let trusted = Code(&world).commit("stack_defaults: {before_init: [trusted]}");
    git(&Code(&world).path(), &["checkout", "-q", "-b", "feature"]);
    let foreign = Code(&world).commit(FILE);
    git(&Code(&world).path(), &["checkout", "-q", "main"]);
    Code(&world).commit("stack_defaults: {before_init: [newer]}");

    let run = document(&world, Some(&foreign), None).await;
    assert!(run.hooks.before_init.is_empty() && run.image.is_none() && !has(&run, "WHO"));
    assert_eq!(run.project_root, "infra");
    let said = note(&world, &foreign).await;
    let said = said.as_str().unwrap();
    for key in [
        "`before_init`",
        "`environment`",
        "`runner_image`",
        "`opentofu_version`",
    ] {
        assert!(said.contains(key), "{said}");
    }
    // An earlier commit of the stack's own branch does.
    let run = document(&world, Some(&trusted), None).await;
    assert_eq!(run.hooks.before_init, ["trusted"]);

    label(&world, "feature:branch_runtime_config").await;
    let run = document(&world, Some(&foreign), None).await;
    assert_eq!(run.hooks.before_init, ["from the defaults"]);
    assert_eq!(note(&world, &foreign).await, json!(null));
}

#[tokio::test]
async fn wrong_settings_start_nothing_and_are_named() {
    let world = World::new().await;
    world.stack().await;
    let bad = "before_int: []\n";
    let wish = json!({ "forceApply": null, "runtimeConfig": { "yaml": bad }, "sha": null,
        "stack": "net", "type": "TRACKED" });
    let refused = world.writer.refused(TRIGGER, wish).await;
    assert!(
        refused.starts_with("the given runtime configuration: "),
        "{refused}"
    );
    assert!(refused.contains("unknown field `before_int`"), "{refused}");

    Code(&world).commit("stacks:\n  other:\n    befor_init: []\n");
    let wish = json!({ "forceApply": null, "runtimeConfig": null, "sha": null, "stack": "net",
        "type": "TRACKED" });
    let refused = world.writer.refused(TRIGGER, wish.clone()).await;
    assert!(refused.starts_with(".spacelift/config.yml: "), "{refused}");
    assert!(refused.contains("unknown field `befor_init`"), "{refused}");
    assert!(refused.contains("line 3"), "{refused}");

    let long = format!("# {}\n", "x".repeat(70_000));
    Code(&world).commit(&long);
    let refused = world.writer.refused(TRIGGER, wish).await;
    assert!(
        refused.contains("`.spacelift/config.yml` of commit"),
        "{refused}"
    );
    assert!(refused.ends_with("longer than 64 KiB"), "{refused}");
    let runs = world
        .reader
        .ok("{stack(id: \"net\"){runs{id}}}", json!({}))
        .await;
    assert_eq!(runs["stack"]["runs"], json!([]));
}
