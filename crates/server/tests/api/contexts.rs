//! Contexts through the API: made, filled, attached by hand and by label; what runs get of them.

use gantry_protocol::signature::RunDocument;
use serde_json::{Value, json};

use crate::world::World;

const CREATE: &str = "mutation($name:String!$labels:[String!]$hooks:HooksInput){contextCreate(name: $name, labels: $labels, hooks: $hooks){id,name,labels,space,beforeInit,afterInit}}";
const SET: &str = "mutation($context:ID!$config:ConfigInput!){contextConfigAdd(context: $context, config: $config){id,type,value,writeOnly,description}}";
const ATTACH: &str = "mutation($id:ID!$stack:ID!$priority:Int){contextAttach(id: $id, stack: $stack, priority: $priority){id}}";
const DETACH: &str = "mutation($id:ID!$stack:ID!){contextDetach(id: $id, stack: $stack){id}}";
/// As the known client sends it.
const ENVIRONMENT: &str = "query($stack:ID!){stack(id: $stack){runtimeConfig{context{id,contextName},element{id,checksum,createdAt,runtime,type,value,writeOnly}},attachedContexts{contextId,contextName,priority,isAutoattached,config{id,checksum,createdAt,runtime,type,value,writeOnly}}}}";
const ONE: &str = "query($contextId:ID!){context(id: $contextId){id,name,labels,createdAt,updatedAt,spaceDetails{id,name},description,hasAttachedStacks,config{id,type,value,writeOnly,description,checksum,runtime},attachedStacks{stackId,stackName,isAutoattached,priority}}}";
const SEARCH: &str = "query($input:SearchInput!){searchContexts(input: $input){edges{node{id,name,labels,createdAt,updatedAt,spaceDetails{id,name},description,hasAttachedStacks}},pageInfo{endCursor,hasNextPage,hasPreviousPage}}}";
const DOCUMENT: &str = "{runDocument(stack: \"net\"){json}}";

fn hooks(name: &str) -> Value {
    json!({ "beforeInit": [format!("{name} before")], "afterInit": [format!("{name} after")] })
}

async fn make(world: &World, name: &str, labels: &[&str]) {
    let new = json!({ "name": name, "labels": labels, "hooks": hooks(name) });
    let made = world.admin.ok(CREATE, new).await;
    assert_eq!(made["contextCreate"]["id"], name);
}

async fn set(world: &World, context: &str, name: &str, value: &str, write_only: bool) {
    let config = json!({ "id": name, "type": "ENVIRONMENT_VARIABLE", "value": value,
        "writeOnly": write_only, "description": format!("{name} of {context}") });
    let set = world
        .writer
        .ok(SET, json!({ "context": context, "config": config }));
    let shown = if write_only {
        json!(null)
    } else {
        json!(value)
    };
    assert_eq!(set.await["contextConfigAdd"]["value"], shown);
}

async fn attach(world: &World, context: &str, priority: Option<i32>) {
    let on = json!({ "id": context, "stack": "net", "priority": priority });
    world.admin.ok(ATTACH, on).await;
}

async fn document(world: &World) -> RunDocument {
    let found = world.writer.ok(DOCUMENT, json!({})).await;
    serde_json::from_str(found["runDocument"]["json"].as_str().unwrap()).unwrap()
}

/// The digest of the last variable of this name: the one that counts.
fn counts(document: &RunDocument, name: &str) -> String {
    let mut all = document.environment.iter().rev();
    all.find(|v| v.name == name).unwrap().value.clone()
}

/// Four contexts: two by hand, two by label.
async fn four(world: &World) {
    make(world, "far", &[]).await;
    make(world, "near", &[]).await;
    make(world, "a-label", &["autoattach:*"]).await;
    make(world, "b-label", &["autoattach:*"]).await;
    make(world, "elsewhere", &["autoattach:prod"]).await;
    attach(world, "far", Some(9)).await;
    attach(world, "near", Some(3)).await;
    attach(world, "near", Some(-1)).await;
}

#[tokio::test]
async fn hooks_and_variables_come_in_the_documented_order() {
    let world = World::new().await;
    world.stack().await;
    four(&world).await;
    for context in ["far", "near", "a-label", "b-label", "elsewhere"] {
        set(&world, context, "WHO", context, false).await;
    }
    set(
        &world,
        "far",
        "URL",
        "https://${TOKEN}@${WHO}/${NOPE}",
        false,
    )
    .await;
    set(&world, "a-label", "TOKEN", "hunter2", true).await;
    let run = document(&world).await;
    let names = ["near", "far", "b-label", "a-label"];
    let before: Vec<String> = names.iter().map(|n| format!("{n} before")).collect();
    assert_eq!(run.hooks.before_init, before);
    let after: Vec<String> = names.iter().rev().map(|n| format!("{n} after")).collect();
    assert_eq!(run.hooks.after_init, after);

    // The same values at the stack itself are the same digests.
    let (who, url) = (counts(&run, "WHO"), counts(&run, "URL"));
    let own = "mutation($config:ConfigInput!){stackConfigAdd(stack: \"net\", config: $config){id}}";
    for (name, value) in [("WHO", "near"), ("URL", "https://hunter2@near/${NOPE}")] {
        let config = json!({ "id": name, "type": "ENVIRONMENT_VARIABLE", "value": value,
            "writeOnly": false });
        world.admin.ok(own, json!({ "config": config })).await;
    }
    let again = document(&world).await;
    assert_eq!(
        (counts(&again, "WHO"), counts(&again, "URL")),
        (who.clone(), url)
    );
    let config = json!({ "id": "WHO", "type": "ENVIRONMENT_VARIABLE", "value": "own",
        "writeOnly": false });
    world.admin.ok(own, json!({ "config": config })).await;
    assert_ne!(counts(&document(&world).await, "WHO"), who);
}

#[tokio::test]
async fn a_stack_shows_what_its_runs_get() {
    let world = World::new().await;
    world.stack().await;
    four(&world).await;
    set(&world, "far", "WHO", "far", false).await;
    set(&world, "near", "WHO", "near", true).await;
    set(&world, "a-label", "LABELLED", "1", false).await;
    let found = world
        .reader
        .ok(ENVIRONMENT, json!({ "stack": "net" }))
        .await;
    let attached = found["stack"]["attachedContexts"].as_array().unwrap();
    let shown: Vec<Value> = attached
        .iter()
        .map(|a| json!([a["contextId"], a["priority"], a["isAutoattached"]]))
        .collect();
    let expected = json!([
        ["near", -1, false],
        ["far", 9, false],
        ["a-label", 0, true],
        ["b-label", 0, true]
    ]);
    assert_eq!(Value::from(shown), expected);
    assert_eq!(attached[0]["config"][0]["value"], json!(null));
    assert_eq!(attached[2]["config"][0]["value"], "1");

    let rows = found["stack"]["runtimeConfig"].as_array().unwrap();
    let row = |id: &str| {
        let mut found = rows.iter().filter(|row| row["element"]["id"] == id);
        let row = found.next().cloned();
        assert!(found.next().is_none(), "{id} twice");
        row
    };
    let who = row("WHO").unwrap();
    assert_eq!(
        who["context"],
        json!({ "id": "near", "contextName": "near" })
    );
    assert_eq!(who["element"]["writeOnly"], true);
    let computed = row("TF_VAR_spacelift_run_id").unwrap();
    assert_eq!(computed["element"]["runtime"], true);
    assert_eq!(computed["context"], json!(null));
    assert!(row("LABELLED").is_none());
    // What is called computed is what runs get.
    let run = document(&world).await;
    for row in rows.iter().filter(|row| row["element"]["runtime"] == true) {
        counts(&run, row["element"]["id"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_context_is_shown_found_changed_and_deleted() {
    let world = World::new().await;
    world.stack().await;
    make(&world, "shared", &["team:net"]).await;
    set(&world, "shared", "TOKEN", "hunter2", true).await;
    attach(&world, "shared", None).await;
    let one = world.reader.ok(ONE, json!({ "contextId": "shared" })).await["context"].clone();
    assert_eq!(
        one["attachedStacks"],
        json!([{ "stackId": "net", "stackName": "Net",
        "isAutoattached": false, "priority": 0 }])
    );
    assert_eq!(one["config"][0]["description"], "TOKEN of shared");
    assert_eq!(one["config"][0]["value"], json!(null));
    let input = json!({ "first": 50, "after": null, "fullTextSearch": "SHAR",
        "predicates": null, "orderBy": null });
    let found = world.reader.ok(SEARCH, json!({ "input": input })).await;
    let edges = found["searchContexts"]["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 1);
    assert_eq!(edges[0]["node"]["hasAttachedStacks"], true);

    let update = "mutation($labels:[String!]){contextUpdate(id: \"shared\", labels: $labels){labels,beforeInit,name}}";
    let changed = world
        .admin
        .ok(update, json!({ "labels": ["autoattach:*"] }));
    assert_eq!(
        changed.await["contextUpdate"],
        json!({ "labels": ["autoattach:*"],
        "beforeInit": ["shared before"], "name": "shared" })
    );
    let on = json!({ "id": "shared", "stack": "net" });
    world.admin.ok(DETACH, on.clone()).await;
    let again = world.admin.refused(DETACH, on).await;
    assert!(
        again.contains("is not attached to stack `net` by hand"),
        "{again}"
    );
    // The label attaches it still.
    assert_eq!(document(&world).await.hooks.before_init, ["shared before"]);

    world
        .admin
        .ok("mutation{contextDelete(id: \"shared\"){id}}", json!({}))
        .await;
    let gone = world.reader.ok(ONE, json!({ "contextId": "shared" })).await;
    assert_eq!(gone["context"], json!(null));
    assert!(document(&world).await.hooks.before_init.is_empty());
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let world = World::new().await;
    world.stack().await;
    make(&world, "shared", &[]).await;
    let taken = world
        .admin
        .refused(CREATE, json!({ "name": "Shared" }))
        .await;
    assert_eq!(taken, "context `shared` already exists");
    let config = json!({ "id": "A B", "type": "ENVIRONMENT_VARIABLE", "value": "hunter2",
        "writeOnly": true });
    let odd = world
        .writer
        .refused(SET, json!({ "context": "shared", "config": config }))
        .await;
    assert!(
        odd.starts_with("`id` can't be `A B`") && !odd.contains("hunter2"),
        "{odd}"
    );
    let none = json!({ "id": "nothing", "stack": "net" });
    let missing = world.admin.refused(ATTACH, none).await;
    assert_eq!(missing, "context `nothing` does not exist");
    for (client, text, variables) in [
        (&world.writer, CREATE, json!({ "name": "x" })),
        (
            &world.writer,
            ATTACH,
            json!({ "id": "shared", "stack": "net" }),
        ),
        (
            &world.reader,
            SET,
            json!({ "context": "shared", "config": config }),
        ),
    ] {
        let denied = client.refused(text, variables).await;
        assert!(denied.starts_with("unauthorized"), "{denied}");
    }
}
