//! Worker pools through the API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::control::token::PoolToken;
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
