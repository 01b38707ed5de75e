//! Spaces: what a key that is limited to some sees, and that all else does not exist for it.

use serde_json::{Value, json};

use crate::world::{Client, KEY_TEXT, World, csr};

const KEY: &str = "mutation($input:ApiKeyInput!){apiKeyCreate(input: $input){id,name,role,admin,spaces,spaceCount,creator,secret,expiresAt,accessRules{space,spaceAccessLevel}}}";
const SPACE: &str = "mutation($input:SpaceInput!){spaceCreate(input: $input){id,name,description,parentSpace,inheritEntities,labels,accessLevel}}";
const POOL: &str = "mutation($csr:String!$space:ID){workerPoolCreate(name: \"p\", certificateSigningRequest: $csr, space: $space){id,space}}";
const STACK: &str =
    "mutation($input:StackInput!){stackCreate(input: $input, manageState: true){id,space}}";
const UPDATE: &str = "mutation($id:ID!$input:StackInput!){stackUpdate(id: $id, input: $input){id,space,workerPool{id}}}";

/// A space of this name below another one.
pub(crate) async fn space(world: &World, name: &str, parent: &str) -> Value {
    let input = json!({ "name": name, "parentSpace": parent });
    world.admin.ok(SPACE, json!({ "input": input })).await["spaceCreate"].clone()
}

/// A client whose key is limited to these spaces.
pub(crate) async fn limited(world: &World, role: &str, spaces: &[&str]) -> Client {
    let input = json!({ "name": format!("{role}-of-some"), "role": role, "spaces": spaces });
    let made = world.admin.ok(KEY, json!({ "input": input })).await["apiKeyCreate"].clone();
    let variables = json!({ "id": made["id"], "secret": made["secret"] });
    let session = world.nobody().ok(KEY_TEXT, variables).await;
    world
        .nobody()
        .with_token(session["apiKeyUser"]["jwt"].as_str().unwrap())
}

pub(crate) async fn pool_in(client: &Client, space: Option<&str>) -> Value {
    client
        .ok(POOL, json!({ "csr": csr(), "space": space }))
        .await["workerPoolCreate"]
        .clone()
}

pub(crate) fn stack_input(url: &str, name: &str, space: Option<&str>, pool: &Value) -> Value {
    json!({ "name": name, "repository": url, "branch": "main", "space": space,
            "workerPool": pool["id"], "vendorConfig": { "openTofu": { "version": "1.8.2" } } })
}

#[tokio::test]
async fn a_limited_key_sees_its_spaces_and_what_lies_below_and_nothing_else() {
    let world = World::new().await;
    let (url, _) = world.repository();
    let made = space(&world, "Team A", "root").await;
    assert_eq!(
        made,
        json!({ "id": "team-a", "name": "Team A", "description": "", "parentSpace": "root",
                "inheritEntities": true, "labels": [], "accessLevel": "ADMIN" })
    );
    space(&world, "inner", "team-a").await;
    space(&world, "team-b", "root").await;
    let admin = limited(&world, "ADMIN", &["team-a"]).await;
    // What it makes without naming a space lands in its own.
    let pool = pool_in(&admin, None).await;
    assert_eq!(pool["space"], "team-a");
    let pool_b = pool_in(&world.admin, Some("team-b")).await;
    let input = stack_input(&url, "one", None, &pool);
    let one = admin.ok(STACK, json!({ "input": input })).await;
    assert_eq!(one["stackCreate"]["space"], "team-a");
    let input = stack_input(&url, "two", Some("inner"), &pool);
    admin.ok(STACK, json!({ "input": input })).await;
    let input = stack_input(&url, "other", Some("team-b"), &pool_b);
    world.admin.ok(STACK, json!({ "input": input })).await;

    let seen = "{searchStacks(input: {}){edges{node{id}}},workerPools{id},spaces{id,parentSpace}}";
    let seen = admin.ok(seen, json!({})).await;
    assert_eq!(
        seen,
        json!({
            "searchStacks": { "edges": [{ "node": { "id": "one" } }, { "node": { "id": "two" } }] },
            "workerPools": [{ "id": pool["id"] }],
            "spaces": [{ "id": "inner", "parentSpace": "team-a" }, { "id": "team-a", "parentSpace": null }],
        })
    );
    // What is not its own is answered in the very words of what does not exist.
    let pool_text = "mutation($id:ID!){workerPoolDelete(id: $id){id}}";
    let words = |id: &Value| json!({ "id": id });
    let refused = admin.refused(pool_text, words(&pool_b["id"])).await;
    let unknown = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";
    let missing = admin.refused(pool_text, words(&unknown.into())).await;
    assert_eq!(
        refused.replace(pool_b["id"].as_str().unwrap(), "ID"),
        missing.replace(unknown, "ID")
    );
    for text in [
        "mutation($id:ID!){stackDelete(id: $id){id}}",
        "mutation($id:ID!){stackLock(id: $id){id}}",
        "mutation($id:ID!){runTrigger(stack: $id){id}}",
        "mutation($id:ID!){runReview(stack: $id, decision: APPROVE){id}}",
    ] {
        let refused = admin.refused(text, words(&"other".into())).await;
        let missing = admin.refused(text, words(&"never".into())).await;
        assert_eq!(refused.replace("other", "never"), missing, "{text}");
    }
    let nothing = "query($p:ID!){stack(id: \"other\"){id},workerPool(id: $p){id},space(id: \"team-b\"){id},root: space(id: \"root\"){id}}";
    let nothing = admin.ok(nothing, json!({ "p": pool_b["id"] })).await;
    assert_eq!(
        nothing,
        json!({ "stack": null, "workerPool": null, "space": null, "root": null })
    );
}

#[tokio::test]
async fn things_of_one_space_are_not_used_in_another() {
    let world = World::new().await;
    let (url, _) = world.repository();
    for name in ["team-a", "team-b"] {
        space(&world, name, "root").await;
    }
    let (shared, of_b) = (
        pool_in(&world.admin, None).await,
        pool_in(&world.admin, Some("team-b")).await,
    );
    let admin = limited(&world, "ADMIN", &["team-a"]).await;
    let input = |pool: &Value| json!({ "input": stack_input(&url, "net", Some("team-a"), pool) });
    // Not even by who sees both; what is inherited can be used.
    let refused = world.admin.refused(STACK, input(&of_b)).await;
    assert!(refused.contains("belongs to space `team-b`"), "{refused}");
    let refused = admin.refused(STACK, input(&of_b)).await;
    assert!(refused.contains("does not exist"), "{refused}");
    world.admin.ok(STACK, input(&shared)).await;

    // Who does not see the pool keeps it, and can't move the stack out of its own spaces.
    let mut change = stack_input(&url, "renamed", None, &shared);
    let kept = admin
        .ok(UPDATE, json!({ "id": "net", "input": change }))
        .await;
    assert_eq!(
        kept["stackUpdate"],
        json!({ "id": "net", "space": "team-a", "workerPool": null })
    );
    change["space"] = "team-b".into();
    let refused = admin
        .refused(UPDATE, json!({ "id": "net", "input": change }))
        .await;
    assert!(
        refused.contains("space `team-b` does not exist"),
        "{refused}"
    );

    let policy = "mutation($space:ID$slug:String){policyCreate(name: \"p\", type: APPROVAL, slug: $slug, space: $space, labels: [\"autoattach:*\"], body: \"package spacelift\\napprove { true }\"){id}}";
    for space in ["root", "team-a", "team-b"] {
        let variables = json!({ "space": space, "slug": format!("of-{space}") });
        world.admin.ok(policy, variables).await;
    }
    let attached = "{stack(id: \"net\"){attachedPolicies{policyId}}}";
    let all = world.admin.ok(attached, json!({})).await;
    assert_eq!(
        all["stack"]["attachedPolicies"],
        json!([{ "policyId": "of-root" }, { "policyId": "of-team-a" }])
    );
    let own = admin.ok(attached, json!({})).await;
    assert_eq!(
        own["stack"]["attachedPolicies"],
        json!([{ "policyId": "of-team-a" }])
    );
    let attach = "mutation($id:ID!){policyAttach(id: $id, stack: \"net\"){id}}";
    let refused = world
        .admin
        .refused(attach, json!({ "id": "of-team-b" }))
        .await;
    assert!(
        refused.contains("`team-a` does not inherit from"),
        "{refused}"
    );
    let refused = admin.refused(attach, json!({ "id": "of-team-b" })).await;
    assert!(refused.contains("does not exist"), "{refused}");
}

#[tokio::test]
async fn keys_are_made_listed_and_taken_back_by_admins_of_all_spaces() {
    let world = World::new().await;
    space(&world, "team-a", "root").await;
    let input = json!({ "name": "ci", "role": "WRITER", "spaces": ["team-a"], "expiresAt": 4_000_000_000_i64 });
    let made = world.admin.ok(KEY, json!({ "input": input })).await["apiKeyCreate"].clone();
    assert_eq!(made["creator"], "admin");
    assert_eq!(
        made["accessRules"],
        json!([{ "space": "team-a", "spaceAccessLevel": "WRITE" }])
    );
    let list = "{apiKeys{id,name,description,type,admin,creator,createdAt,lastUsedAt,deleted,teams,teamCount,spaceCount,isMachineUser,expiresAt,secret}}";
    let listed = world.admin.ok(list, json!({})).await["apiKeys"].clone();
    let mine = listed.as_array().unwrap().last().unwrap();
    assert_eq!((&mine["id"], &mine["secret"]), (&made["id"], &Value::Null));
    assert_eq!(mine["lastUsedAt"], Value::Null);
    let exchange = json!({ "id": made["id"], "secret": made["secret"] });
    let session = world.nobody().ok(KEY_TEXT, exchange.clone()).await;
    let client = world
        .nobody()
        .with_token(session["apiKeyUser"]["jwt"].as_str().unwrap());
    let one = "query($id:ID!){apiKey(id: $id){name,lastUsedAt,spaces}}";
    let one = world.admin.ok(one, json!({ "id": made["id"] })).await;
    assert!(one["apiKey"]["lastUsedAt"].is_i64(), "{one}");

    let limited = limited(&world, "ADMIN", &["team-a"]).await;
    for text in [
        "{apiKeys{id}}",
        "mutation{apiKeyCreate(input: {name: \"x\", role: READER}){id}}",
        "mutation{spaceCreate(input: {name: \"x\"}){id}}",
        "mutation{spaceDelete(space: \"team-a\"){id}}",
    ] {
        let refused = limited.refused(text, json!({})).await;
        assert!(
            refused.starts_with("unauthorized: this needs an API key for all spaces"),
            "{text}: {refused}"
        );
        let refused = client.refused(text, json!({})).await;
        assert!(refused.contains("role `admin`"), "{text}: {refused}");
    }
    for (input, words) in [
        (
            json!({ "name": "x", "role": "READER", "spaces": [] }),
            "at least one space",
        ),
        (
            json!({ "name": "x", "role": "READER", "spaces": ["nowhere"] }),
            "space `nowhere` does not exist",
        ),
        (
            json!({ "name": "x", "role": "READER", "expiresAt": 1 }),
            "expiresAt",
        ),
        (json!({ "name": "", "role": "READER" }), "name"),
    ] {
        let refused = world.admin.refused(KEY, json!({ "input": input })).await;
        assert!(refused.contains(words), "{refused}");
    }
    let delete = "mutation($id:ID!){apiKeyDelete(id: $id){id}}";
    world.admin.ok(delete, json!({ "id": made["id"] })).await;
    let viewer = client.ok("{viewer{id}}", json!({})).await;
    assert_eq!(viewer["viewer"], Value::Null);
    assert_eq!(
        world.nobody().refused(KEY_TEXT, exchange).await,
        "unauthorized"
    );
    let refused = world
        .admin
        .refused(delete, json!({ "id": made["id"] }))
        .await;
    assert!(refused.contains("does not exist"), "{refused}");
}
