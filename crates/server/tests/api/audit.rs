//! The audit trail: every change and every refused one, who sees it, and the export.

use serde_json::{Value, json};

use crate::spaces::{limited, pool_in, space};
use crate::world::{Client, World};

const TRAIL: &str = "query($input:SearchInput!){searchAuditTrailEntries(input: $input){edges{node{id,action,actor{run{id,stackId},username},affectedResource{resourceId,resourceType},body,eventType,relatedResource{resourceId,resourceType},createdAt,updatedAt,address,keyId,space}},pageInfo{endCursor,hasNextPage,hasPreviousPage}}}";

async fn page(client: &Client, more: Value) -> Value {
    let mut input = json!({ "first": 50, "after": null, "fullTextSearch": null, "predicates": null,
        "orderBy": { "field": "createdAt", "direction": "DESC" } });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    client.ok(TRAIL, json!({ "input": input })).await["searchAuditTrailEntries"].clone()
}

fn actions(page: &Value) -> Vec<&str> {
    let edges = page["edges"].as_array().unwrap().iter();
    edges
        .map(|edge| edge["node"]["action"].as_str().unwrap())
        .collect()
}

fn by(field: &str, value: &str) -> Value {
    let constraint = json!({ "booleanEquals": null, "enumEquals": null, "stringMatches": [value] });
    json!({ "predicates": [{ "field": field, "constraint": constraint, "exclude": false }] })
}

#[tokio::test]
async fn a_change_leaves_a_line_with_who_what_when_and_from_where() {
    let world = World::new().await;
    world.stack().await;
    let run = crate::runs::deploy(&world.writer).await;
    let found = page(&world.admin, by("resourceId", &run)).await;
    let node = &found["edges"][0]["node"];
    assert_eq!(node["action"], "run.create");
    assert_eq!(node["actor"], json!({ "run": null, "username": "writer" }));
    assert_eq!(
        node["affectedResource"],
        json!({ "resourceId": run, "resourceType": "run" })
    );
    assert_eq!(
        node["relatedResource"],
        json!({ "resourceId": "net", "resourceType": "stack" })
    );
    assert_eq!(
        (&node["address"], &node["space"], &node["eventType"]),
        (&json!("127.0.0.1"), &json!("root"), &json!("DONE"))
    );
    let viewer = world.writer.ok("{viewer{id}}", json!({})).await;
    assert_eq!(node["keyId"], viewer["viewer"]["id"]);

    // A refused change stands there too, and says why.
    world
        .writer
        .refused("mutation{stackDelete(id: \"net\"){id}}", json!({}))
        .await;
    let found = page(&world.admin, by("eventType", "REFUSED")).await;
    let node = &found["edges"][0]["node"];
    assert_eq!(node["action"], "stackDelete");
    let about = &node["affectedResource"];
    assert_eq!(
        (&about["resourceType"], &about["resourceId"]),
        (&json!("stack"), &json!("net")),
        "{node}"
    );
    assert!(
        node["body"].as_str().unwrap().contains("role `admin`"),
        "{node}"
    );
    // A question that is refused is no change.
    world.writer.refused("{apiKeys{id}}", json!({})).await;
    let found = page(&world.admin, by("eventType", "REFUSED")).await;
    assert_eq!(actions(&found), ["stackDelete"]);

    for client in [&world.reader, &world.writer] {
        let refused = client.refused(TRAIL, json!({ "input": {} })).await;
        assert!(refused.contains("role `admin`"), "{refused}");
    }
    let refused = world
        .admin
        .refused(TRAIL, json!({ "input": by("colour", "red") }))
        .await;
    assert!(refused.contains("colour"), "{refused}");
}

#[tokio::test]
async fn the_trail_is_paged_newest_first_and_an_admin_of_a_space_sees_its_part() {
    let world = World::new().await;
    for name in ["team-a", "team-b"] {
        space(&world, name, "root").await;
        pool_in(&world.admin, Some(name)).await;
    }
    let admin = limited(&world, "ADMIN", &["team-a"]).await;
    let all = page(&world.admin, json!({})).await;
    let (mut paged, mut after) = (Vec::new(), Value::Null);
    loop {
        let part = page(&world.admin, json!({ "first": 3, "after": after })).await;
        paged.extend(part["edges"].as_array().unwrap().clone());
        if part["pageInfo"]["hasNextPage"] == false {
            break;
        }
        assert_eq!(part["edges"].as_array().unwrap().len(), 3);
        after = part["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(&Value::from(paged), &all["edges"]);
    assert_eq!(all["edges"][0]["node"]["action"], "api_key.create");
    let own = page(&admin, json!({})).await;
    assert_eq!(actions(&own), ["pool.create", "space.create"]);
    let found = page(&world.admin, json!({ "fullTextSearch": "POOL.c" })).await;
    assert_eq!(actions(&found), ["pool.create", "pool.create"]);
}

#[tokio::test]
async fn the_trail_is_exported_as_lines_of_json() {
    let world = World::new().await;
    space(&world, "team-a", "root").await;
    pool_in(&world.admin, Some("team-a")).await;
    let lines = |(status, body): (u16, Vec<u8>)| {
        assert_eq!(status, 200);
        let text = String::from_utf8(body).unwrap();
        let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        text.lines().map(parse).collect::<Vec<_>>()
    };
    let all = lines(world.admin.get("/audit.jsonl").await);
    assert_eq!(all.len(), 5, "{all:?}");
    assert_eq!(all[4]["action"], "pool.create");
    assert_eq!(all[4]["outcome"], "DONE");
    assert!(all[4]["time"].as_str().unwrap().ends_with('Z'));
    let limited = limited(&world, "ADMIN", &["team-a"]).await;
    let own = lines(limited.get("/audit.jsonl").await);
    assert_eq!(own.len(), 2, "{own:?}");
    let none = lines(world.admin.get("/audit.jsonl?until=1000").await);
    assert_eq!(none, Vec::<Value>::new());
    let later = lines(world.admin.get("/audit.jsonl?since=4000000000").await);
    assert_eq!(later, Vec::<Value>::new());
    assert_eq!(world.writer.get("/audit.jsonl").await.0, 403);
    assert_eq!(world.nobody().get("/audit.jsonl").await.0, 401);
}
