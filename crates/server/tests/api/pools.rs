//! Worker pools through the API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::control::token::PoolToken;
use gantry_server::clock::UnixMillis;
use serde_json::json;

use crate::world::{World, csr};

const LIST: &str = "{workerPools{id,name,description,pendingRuns,busyWorkers,workers{id}}}";

#[tokio::test]
async fn a_pool_is_made_shown_once_with_its_token_and_deleted() {
    let world = World::new().await;
    let text = "mutation($csr:String!){workerPoolCreate(name: \"dock\", certificateSigningRequest: $csr, description: \"eu\", labels: [\"a\"]){id,name,config,labels}}";
    let encoded = STANDARD.encode(csr());
    let made = world.admin.ok(text, json!({ "csr": encoded })).await["workerPoolCreate"].clone();
    let token = PoolToken::decode(made["config"].as_str().unwrap()).unwrap();
    assert_eq!(token.pool.to_string(), made["id"]);
    assert_eq!(token.broker.endpoint, world.app().base_url);
    assert_eq!(made["labels"], json!(["a"]));

    let listed = world.reader.ok(LIST, json!({})).await;
    let expected = json!([{ "id": made["id"], "name": "dock", "description": "eu",
        "pendingRuns": 0, "busyWorkers": 0, "workers": [] }]);
    assert_eq!(listed["workerPools"], expected);
    let text = "query($workerPool:ID!){workerPool(id: $workerPool){config,workers{id,busy,drained,metadata}}}";
    let shown = world
        .admin
        .ok(text, json!({ "workerPool": made["id"] }))
        .await;
    assert_eq!(
        shown["workerPool"],
        json!({ "config": null, "workers": [] })
    );
    let missing = world.admin.ok(text, json!({ "workerPool": "nope" })).await;
    assert_eq!(missing["workerPool"], json!(null));

    let cycle = "mutation($workerPoolId:ID!){workerPoolCycle(id: $workerPoolId)}";
    let cycled = world
        .admin
        .ok(cycle, json!({ "workerPoolId": made["id"] }))
        .await;
    assert_eq!(cycled["workerPoolCycle"], true);
    let drain = "mutation($drain:Boolean!$worker:ID!$workerPool:ID!){workerDrainSet(workerPool: $workerPool, id: $worker, drain: $drain){id}}";
    let worker = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";
    let variables = json!({ "drain": true, "worker": worker, "workerPool": made["id"] });
    let refused = world.admin.refused(drain, variables).await;
    assert_eq!(refused, format!("worker `{worker}` does not exist"));

    let delete = "mutation($id:ID!){workerPoolDelete(id: $id){id}}";
    world.admin.ok(delete, json!({ "id": made["id"] })).await;
    assert_eq!(
        world.reader.ok(LIST, json!({})).await["workerPools"],
        json!([])
    );
    let again = world
        .admin
        .refused(delete, json!({ "id": made["id"] }))
        .await;
    assert!(again.contains("does not exist"), "{again}");
}

#[tokio::test]
async fn a_pool_in_use_stays_and_a_bad_request_is_named() {
    let world = World::new().await;
    world.stack().await;
    let pools = world.reader.ok("{workerPools{id}}", json!({})).await;
    let delete = "mutation($id:ID!){workerPoolDelete(id: $id){id}}";
    let refused = world
        .admin
        .refused(delete, json!({ "id": pools["workerPools"][0]["id"] }))
        .await;
    assert!(refused.contains("stack `net` runs on it"), "{refused}");
    let create = "mutation($csr:String!){workerPoolCreate(name: \"dock\", certificateSigningRequest: $csr){id}}";
    for bad in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    ] {
        let refused = world.admin.refused(create, json!({ "csr": bad })).await;
        assert!(refused.contains("signing request"), "{bad}: {refused}");
    }
}

const RESET: &str = "mutation($id:ID!$csr:String!$overlap:Int){workerPoolReset(id: $id, certificateSigningRequest: $csr, overlapSeconds: $overlap){id,config,keys{id,createdBy,certificateExpiresAt,retiresAt}}}";

#[tokio::test]
async fn a_reset_pool_has_two_keys_for_a_while() {
    let world = World::new().await;
    let pool = world.pool().await["id"].clone();
    let variables = json!({ "id": pool, "csr": csr(), "overlap": 3600 });
    let reset = world.admin.ok(RESET, variables).await["workerPoolReset"].clone();
    let token = PoolToken::decode(reset["config"].as_str().unwrap()).unwrap();
    assert_eq!(token.pool.to_string(), pool);
    let keys = reset["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0]["retiresAt"], json!(null));
    let now = UnixMillis::now().seconds();
    let ends = keys[1]["retiresAt"].as_i64().unwrap();
    assert!((now + 3500..=now + 3600).contains(&ends), "{ends}");
    for key in keys {
        assert!(key["certificateExpiresAt"].as_i64().unwrap() > now);
    }
    // A second reset ends the second key, and leaves the first its earlier end.
    let newest = csr();
    let variables = json!({ "id": pool, "csr": newest, "overlap": 7200 });
    let again = world.admin.ok(RESET, variables).await["workerPoolReset"].clone();
    assert_eq!(again["keys"].as_array().unwrap().len(), 3);
    assert_eq!(again["keys"][2]["retiresAt"], ends);
    let same = json!({ "id": pool, "csr": newest, "overlap": 1 });
    let refused = world.admin.refused(RESET, same).await;
    assert!(refused.contains("has this key already"), "{refused}");
    let long = json!({ "id": pool, "csr": csr(), "overlap": 9_000_000 });
    let refused = world.admin.refused(RESET, long).await;
    assert!(refused.contains("overlapSeconds"), "{refused}");
    let shown = "query($id:ID!){workerPool(id: $id){config,certificateExpiresAt}}";
    let shown = world.admin.ok(shown, json!({ "id": pool })).await;
    assert_eq!(shown["workerPool"]["config"], json!(null));
}

#[tokio::test]
async fn what_is_given_of_a_pool_changes() {
    let world = World::new().await;
    let pool = world.pool().await["id"].clone();
    let text = "mutation($id:ID!$name:String$description:String$labels:[String!]$enrolment:WorkerPoolEnrolmentInput){workerPoolUpdate(id: $id, name: $name, description: $description, labels: $labels, enrolment: $enrolment){name,description,labels,enrolment{approval,addresses,maxWorkers}}}";
    let rules = json!({ "approval": true, "addresses": ["10.0.0.0/8"], "maxWorkers": 3 });
    let all = json!({ "id": pool, "name": "quay", "description": "d", "labels": ["b"], "enrolment": rules });
    let changed = world.admin.ok(text, all).await["workerPoolUpdate"].clone();
    let expected =
        json!({ "name": "quay", "description": "d", "labels": ["b"], "enrolment": rules });
    assert_eq!(changed, expected);
    let none = world.admin.ok(text, json!({ "id": pool })).await;
    assert_eq!(none["workerPoolUpdate"], expected);
    let bad = json!({ "id": pool, "enrolment": { "addresses": ["here"] } });
    let refused = world.admin.refused(text, bad).await;
    assert!(
        refused.contains("`here`") && refused.contains("10.0.0.0/8"),
        "{refused}"
    );
    let refused = world.writer.refused(text, json!({ "id": pool })).await;
    assert!(refused.starts_with("unauthorized"), "{refused}");
}

#[tokio::test]
async fn the_queue_of_a_pool_is_shown_in_its_order() {
    let world = World::new().await;
    let head = world.stack().await;
    let pools = world.reader.ok("{workerPools{id}}", json!({})).await;
    let pool = pools["workerPools"][0]["id"].clone();
    let preview = trigger(&world, &head, "PROPOSED").await;
    let deployment = trigger(&world, &head, "TRACKED").await;
    let text = "query($id:ID!$input:SearchInput!){workerPool(id: $id){schedulable,searchSchedulableRuns(input: $input){edges{node{stackId,run{id,createdAt,state,type,title},position}},pageInfo{endCursor,hasNextPage,hasPreviousPage}}}}";
    let input = |after: Option<&str>, first: usize| {
        json!({ "id": pool, "input": { "first": first, "after": after, "fullTextSearch": null,
            "predicates": null, "orderBy": { "field": "position", "direction": "ASC" } } })
    };
    let shown = world.reader.ok(text, input(None, 1)).await["workerPool"].clone();
    assert_eq!(shown["schedulable"], false);
    let page = &shown["searchSchedulableRuns"];
    let node = &page["edges"][0]["node"];
    assert_eq!(
        (&node["run"]["id"], &node["position"]),
        (&deployment, &json!(1))
    );
    assert_eq!(node["stackId"], "net");
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let cursor = page["pageInfo"]["endCursor"].as_str().unwrap();
    let rest = world.reader.ok(text, input(Some(cursor), 5)).await;
    let rest = &rest["workerPool"]["searchSchedulableRuns"];
    assert_eq!(rest["edges"][0]["node"]["run"]["id"], preview);
    assert_eq!(rest["pageInfo"]["hasNextPage"], false);

    let public = "query($input:SearchInput!){publicWorkerPool{parallelism,busyWorkers,pendingRuns,searchSchedulableRuns(input: $input){edges{node{stackId,run{id,createdAt,state,type,title},position}},pageInfo{endCursor,hasNextPage,hasPreviousPage}}}}";
    let nobody = world.reader.ok(public, input(None, 100)).await;
    assert_eq!(
        nobody["publicWorkerPool"]["searchSchedulableRuns"]["edges"],
        json!([])
    );
}

async fn trigger(world: &World, head: &str, run_type: &str) -> serde_json::Value {
    let text = "mutation($stack:ID!$sha:String$type:RunType){runTrigger(stack: $stack, commitSha: $sha, runType: $type){id}}";
    let variables = json!({ "stack": "net", "sha": head, "type": run_type });
    world.writer.ok(text, variables).await["runTrigger"]["id"].clone()
}
