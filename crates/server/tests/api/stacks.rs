//! Stacks through the API, with the operations that the clients of this API send.

use serde_json::{Value, json};

use crate::world::World;

const LOOKUP: &str = "query($id:ID!){stack(id: $id){id,name}}";

/// The selection of `stack list`.
const S_STACK: &str = "id,administrative,autodeploy,autoretry,blocker{id},afterApply,beforeApply,afterInit,beforeInit,afterPlan,beforePlan,afterPerform,beforePerform,afterDestroy,beforeDestroy,branch,canWrite,createdAt,deleted,deleting,description,labels,localPreviewEnabled,lockedBy,managesStateFile,name,namespace,projectRoot,provider,repository,runnerImage,starred,state,stateSetAt,terraformVersion,spaceDetails{id,name,description,parentSpace},trackedCommit{authorLogin,authorName,hash,message,timestamp,url},trackedCommitSetBy,vendorConfig{__typename},workerPool{id,name}";

/// The operation of `stack show`.
const SHOW: &str = "query($stackId:ID!){stack(id: $stackId){id,administrative,attachedContexts{contextId,contextName,priority,config{id,checksum,runtime,type,writeOnly}},attachedPolicies{policyId,policyName,policyType},autodeploy,autoretry,blocker{id},afterApply,beforeApply,afterInit,beforeInit,afterPlan,beforePlan,afterPerform,beforePerform,afterDestroy,beforeDestroy,branch,canWrite,config{id,checksum,runtime,type,writeOnly},createdAt,deleted,deleting,description,labels,localPreviewEnabled,lockedBy,managesStateFile,moduleVersionsUsed{id,number,module{id,name,owner}},name,namespace,projectRoot,additionalProjectGlobs,provider,repository,runnerImage,starred,state,stateSetAt,terraformVersion,trackedCommit{authorLogin,authorName,hash,message,timestamp,url},trackedCommitSetBy,vendorConfig{__typename,... on StackConfigVendorAnsible{playbook},... on StackConfigVendorCloudFormation{entryTemplateFile,templateBucket,stackName,region},... on StackConfigVendorKubernetes{namespace,kubectlVersion,kubernetesWorkflowTool},... on StackConfigVendorOpenTofu{version,workspace,useSmartSanitization,externalStateAccessEnabled,concise,openTofuWorkflowTool: workflowTool},... on StackConfigVendorPulumi{loginURL,stackName},... on StackConfigVendorTerraform{version,workspace,useSmartSanitization,externalStateAccessEnabled,terraformWorkflowTool: workflowTool},... on StackConfigVendorTerragrunt{terraformVersion,terragruntVersion,useRunAll,useSmartSanitization,tool,useStateManagement}},workerPool{id,name}}}";

fn search(first: u32, after: Option<&str>, text: Option<&str>, predicates: Value) -> Value {
    json!({ "input": { "first": first, "after": after, "fullTextSearch": text,
        "predicates": predicates, "orderBy": null } })
}

fn predicate(field: &str, values: &[&str]) -> Value {
    json!({ "field": field, "exclude": false, "constraint":
        { "booleanEquals": null, "enumEquals": null, "stringMatches": values } })
}

async fn make(world: &World, name: &str, more: Value) -> Value {
    let mut input = json!({ "name": name, "branch": "main",
        "repository": "https://git.example/acme/infra.git" });
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let text = "mutation($input:StackInput!){stackCreate(input: $input, manageState: true){id}}";
    world.admin.post(text, json!({ "input": input })).await
}

#[tokio::test]
async fn a_stack_is_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let hooks = json!({ "beforeInit": ["echo 1", "echo 2"], "afterApply": ["echo 3"],
        "projectRoot": "/prod/", "labels": ["b", "a"], "autodeploy": true,
        "vendorConfig": { "terraform": { "version": "1.9.5", "workflowTool": "OPEN_TOFU" } } });
    let made = make(&world, "Net Prod", hooks).await;
    assert_eq!(made["data"]["stackCreate"]["id"], "net-prod");
    let found = world.reader.ok(LOOKUP, json!({ "id": "net-prod" })).await;
    assert_eq!(
        found["stack"],
        json!({ "id": "net-prod", "name": "Net Prod" })
    );
    let shown = world
        .reader
        .ok(SHOW, json!({ "stackId": "net-prod" }))
        .await["stack"]
        .clone();
    for (field, expected) in [
        ("beforeInit", json!(["echo 1", "echo 2"])),
        ("afterApply", json!(["echo 3"])),
        ("projectRoot", json!("prod")),
        ("labels", json!(["b", "a"])),
        ("autodeploy", json!(true)),
        ("namespace", json!("acme")),
        ("repository", json!("infra")),
        ("provider", json!("GIT")),
        ("state", json!("NONE")),
        ("stateSetAt", json!(null)),
        ("managesStateFile", json!(true)),
        ("workerPool", json!(null)),
        ("terraformVersion", json!("1.9.5")),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    let vendor = json!({ "__typename": "StackConfigVendorTerraform", "version": "1.9.5",
        "workspace": null, "useSmartSanitization": false, "externalStateAccessEnabled": false,
        "terraformWorkflowTool": "OPEN_TOFU" });
    assert_eq!(shown["vendorConfig"], vendor);

    let update = "mutation{stackUpdate(id: \"net-prod\", input: {name: \"Net\", branch: \"next\", repository: \"https://git.example/acme/infra\"}){name,branch,autodeploy,labels}}";
    let updated = world.admin.ok(update, json!({})).await["stackUpdate"].clone();
    assert_eq!(
        updated,
        json!({ "name": "Net", "branch": "next", "autodeploy": false, "labels": [] })
    );

    world
        .admin
        .ok("mutation{stackDelete(id: \"net-prod\"){id}}", json!({}))
        .await;
    let gone = world.reader.ok(LOOKUP, json!({ "id": "net-prod" })).await;
    assert_eq!(gone["stack"], json!(null));
    let taken = make(&world, "Net Prod", json!({})).await;
    assert_eq!(
        taken["errors"][0]["message"],
        "stack `net-prod` already exists"
    );
    let nonsense = world.reader.ok(LOOKUP, json!({ "id": "../etc" })).await;
    assert_eq!(nonsense["stack"], json!(null));
}

#[tokio::test]
async fn searches_page_and_filter() {
    let world = World::new().await;
    for name in ["Alpha", "Beta", "Gamma"] {
        make(
            &world,
            name,
            json!({ "projectRoot": name.to_lowercase(), "labels": [format!("l-{name}")] }),
        )
        .await;
    }
    let text = format!(
        "query($input:SearchInput!){{searchStacks(input: $input){{edges{{node{{{S_STACK}}}}},pageInfo{{endCursor,hasNextPage,hasPreviousPage}}}}}}"
    );
    let ids = |answer: &Value| -> Vec<String> {
        let edges = answer["searchStacks"]["edges"].as_array().unwrap();
        edges
            .iter()
            .map(|edge| edge["node"]["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = world
        .reader
        .ok(&text, search(2, None, None, json!(null)))
        .await;
    assert_eq!(ids(&first), ["alpha", "beta"]);
    let page = &first["searchStacks"]["pageInfo"];
    assert_eq!(
        (&page["hasNextPage"], &page["hasPreviousPage"]),
        (&json!(true), &json!(false))
    );
    let cursor = page["endCursor"].as_str();
    let second = world
        .reader
        .ok(&text, search(2, cursor, None, json!(null)))
        .await;
    assert_eq!(ids(&second), ["gamma"]);
    assert_eq!(second["searchStacks"]["pageInfo"]["hasNextPage"], false);
    for (full_text, predicates, expected) in [
        (Some("BET"), json!([]), vec!["beta"]),
        (Some("l-gam"), json!([]), vec!["gamma"]),
        (
            None,
            json!([predicate("repository", &["acme/infra"])]),
            vec!["alpha", "beta", "gamma"],
        ),
        (
            None,
            json!([
                predicate("repository", &["acme/infra"]),
                predicate("projectRoot", &["beta", "beta/"])
            ]),
            vec!["beta"],
        ),
        (
            None,
            json!([predicate("repository", &["acme/other"])]),
            vec![],
        ),
    ] {
        let found = world
            .reader
            .ok(&text, search(50, None, full_text, predicates))
            .await;
        assert_eq!(ids(&found), expected, "{full_text:?}");
    }
    let unknown = search(50, None, None, json!([predicate("colour", &["red"])]));
    let refused = world.reader.refused(&text, unknown).await;
    assert!(
        refused.contains("`predicates` can't be `colour`"),
        "{refused}"
    );
}

#[tokio::test]
async fn bad_inputs_name_the_field() {
    let world = World::new().await;
    for (name, more, expected) in [
        ("", json!({}), "`name` can't be"),
        ("日本", json!({}), "gives no id"),
        (
            "a",
            json!({ "repository": "--upload-pack=x" }),
            "repository URL",
        ),
        (
            "a",
            json!({ "repository": "file:///etc" }),
            "GANTRY_SOURCE_FILE_PREFIXES",
        ),
        ("a", json!({ "branch": "a..b" }), "not the name of a branch"),
        (
            "a",
            json!({ "projectRoot": "../x" }),
            "`projectRoot` can't be",
        ),
        (
            "a",
            json!({ "workerPool": "01JB8M6Q7N4T0V2X5Y8Z9A1B2C" }),
            "worker pool `01JB8M6Q7N4T0V2X5Y8Z9A1B2C` does not exist",
        ),
        (
            "a",
            json!({ "space": "mars" }),
            "space `mars` does not exist",
        ),
        (
            "a",
            json!({ "vendorConfig": { "openTofu": { "version": "1;id" } } }),
            "`version` can't be",
        ),
    ] {
        let answer = make(&world, name, more).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(expected), "{expected}: {answer}");
    }
}

#[tokio::test]
async fn values_are_set_listed_and_write_only_ones_never_come_back() {
    let world = World::new().await;
    make(&world, "net", json!({})).await;
    let add = "mutation($config:ConfigInput!$stack:ID!){stackConfigAdd(stack: $stack, config: $config){id,writeOnly,value}}";
    let variable = |id: &str, value: &str, write_only: bool| {
        json!({ "stack": "net", "config": { "id": id, "type": "ENVIRONMENT_VARIABLE",
            "value": value, "writeOnly": write_only } })
    };
    let plain = world.writer.ok(add, variable("REGION", "eu", false)).await;
    let expected = json!({ "id": "REGION", "writeOnly": false, "value": "eu" });
    assert_eq!(plain["stackConfigAdd"], expected);
    let secret = world
        .writer
        .ok(add, variable("TOKEN", "hunter2-of-this-test", true))
        .await;
    let expected = json!({ "id": "TOKEN", "writeOnly": true, "value": null });
    assert_eq!(secret["stackConfigAdd"], expected);
    let list = "{stack(id: \"net\"){config{id,checksum,runtime,type,writeOnly,value}}}";
    let listed = world.admin.ok(list, json!({})).await;
    assert!(!listed.to_string().contains("hunter2"), "{listed}");
    assert_eq!(listed["stack"]["config"].as_array().unwrap().len(), 2);
    world.app().store.upkeep().await.unwrap();
    for entry in std::fs::read_dir(&world.app().data_dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            continue;
        };
        let found = bytes
            .windows(20)
            .any(|window| window == b"hunter2-of-this-test");
        assert!(!found, "{} holds the secret", path.display());
    }
    let delete = "mutation($id:ID!$stack:ID!){stackConfigDelete(stack: $stack, id: $id){id}}";
    let variables = json!({ "stack": "net", "id": "TOKEN" });
    let deleted = world.writer.ok(delete, variables.clone()).await;
    assert_eq!(deleted["stackConfigDelete"]["id"], "TOKEN");
    let again = world.writer.ok(delete, variables).await;
    assert_eq!(again["stackConfigDelete"], json!(null));
    let refused = world
        .writer
        .refused(add, variable("1X", "hunter2", false))
        .await;
    assert!(
        refused.contains("`1X`") && !refused.contains("hunter2"),
        "{refused}"
    );
}
