//! Policies through the API: made, changed, attached by hand and by label, tried.

use serde_json::{Value, json};

use crate::world::World;

pub(crate) const CREATE: &str = "mutation($name:String!$body:String!$type:PolicyType!$labels:[String!]){policyCreate(name: $name, body: $body, type: $type, labels: $labels){id,name,body,type,labels,space}}";
pub(crate) const ATTACH: &str =
    "mutation($id:ID!$stack:ID!){policyAttach(id: $id, stack: $stack){id}}";
const DETACH: &str = "mutation($id:ID!$stack:ID!){policyDetach(id: $id, stack: $stack){id}}";
const SIMULATE: &str = "mutation($body:String!$input:String!$type:PolicyType!){policySimulate(body: $body, input: $input, type: $type)}";
const ATTACHED: &str =
    "{stack(id: \"net\"){attachedPolicies{policyId,policyName,policyType,isAutoattached}}}";

pub(crate) const TWO_EYES: &str = "package spacelift\napprove { count(input.reviews.current.approvals) > 0 }\nreject { count(input.reviews.current.rejections) > 0 }\n";

pub(crate) fn new(name: &str, kind: &str, body: &str, labels: &[&str]) -> Value {
    json!({ "name": name, "body": body, "type": kind, "labels": labels })
}

async fn attached(world: &World) -> Value {
    let found = world.reader.ok(ATTACHED, json!({})).await;
    found["stack"]["attachedPolicies"].clone()
}

#[tokio::test]
async fn a_policy_is_made_changed_and_deleted() {
    let world = World::new().await;
    let made = world
        .admin
        .ok(CREATE, new("Two Eyes", "APPROVAL", TWO_EYES, &["a"]))
        .await;
    assert_eq!(
        made["policyCreate"],
        json!({ "id": "two-eyes", "name": "Two Eyes", "body": TWO_EYES, "type": "APPROVAL",
            "labels": ["a"], "space": "root" })
    );
    let again = world
        .admin
        .refused(CREATE, new("two eyes", "APPROVAL", TWO_EYES, &[]))
        .await;
    assert_eq!(again, "policy `two-eyes` already exists");

    let node = "{searchPolicies(input: {first: 50, after: null, fullTextSearch: null, predicates: null, orderBy: null}){edges{node{id,name,description,body,spaceDetails{id,name,accessLevel},createdAt,updatedAt,type,labels}},pageInfo{endCursor,hasNextPage,hasPreviousPage}}}";
    let found = world.reader.ok(node, json!({})).await;
    let edges = &found["searchPolicies"]["edges"];
    assert_eq!(edges.as_array().unwrap().len(), 1);
    assert_eq!(edges[0]["node"]["spaceDetails"]["accessLevel"], "READ");

    let update =
        "mutation($body:String){policyUpdate(id: \"two-eyes\", body: $body){body,name,labels}}";
    let body = "package spacelift\napprove := true\n";
    let changed = world.admin.ok(update, json!({ "body": body })).await;
    assert_eq!(
        changed["policyUpdate"],
        json!({ "body": body, "name": "Two Eyes", "labels": ["a"] })
    );
    let broken = json!({ "body": "package spacelift\napprove {" });
    let refused = world.admin.refused(update, broken).await;
    assert!(refused.contains("policy `two-eyes`"), "{refused}");
    let denied = world.writer.refused(update, json!({ "body": body })).await;
    assert!(denied.starts_with("unauthorized"), "{denied}");

    world
        .admin
        .ok("mutation{policyDelete(id: \"two-eyes\"){id}}", json!({}))
        .await;
    let gone = world.reader.ok("{policy(id: \"two-eyes\"){id}}", json!({}));
    assert_eq!(gone.await["policy"], json!(null));
}

#[tokio::test]
async fn what_is_no_policy_is_refused_with_a_reason() {
    let world = World::new().await;
    for (kind, body, words) in [
        (
            "APPROVAL",
            "package other\napprove := true\n",
            "package spacelift",
        ),
        ("PLAN", "package spacelift\nfoo := 1\n", "`deny`"),
        ("PLAN", "package spacelift\ndeny[", "policy `p`"),
        ("LOGIN", TWO_EYES, "is not supported by this server"),
        (
            "INITIALIZATION",
            "package spacelift\ndeny[x] { x := \"y\" }",
            "launcher's host",
        ),
        (
            "GIT_PUSH",
            "package spacelift\ntrack { http.send({}) }",
            "http.send",
        ),
    ] {
        let refused = world.admin.refused(CREATE, new("p", kind, body, &[])).await;
        assert!(refused.contains(words), "{kind}: {refused}");
    }
    let odd = new("p", "APPROVAL", TWO_EYES, &["a\nb"]);
    let refused = world.admin.refused(CREATE, odd).await;
    assert!(refused.starts_with("`labels` can't be"), "{refused}");
    let none = world.reader.ok("{policies{id}}", json!({})).await;
    assert_eq!(none["policies"], json!([]));
}

#[tokio::test]
async fn policies_come_to_stacks_by_hand_and_by_label() {
    let world = World::new().await;
    world.stack().await;
    for (name, labels) in [
        ("hand", &[][..]),
        ("every", &["autoattach:*"]),
        ("other", &["autoattach:prod"]),
    ] {
        world
            .admin
            .ok(CREATE, new(name, "APPROVAL", TWO_EYES, labels))
            .await;
    }
    let on = |id: &str| json!({ "id": id, "stack": "net" });
    let every = json!({ "policyId": "every", "policyName": "every", "policyType": "APPROVAL",
        "isAutoattached": true });
    assert_eq!(attached(&world).await, json!([every]));
    world.admin.ok(ATTACH, on("hand")).await;
    world.admin.ok(ATTACH, on("hand")).await;
    let hand = json!({ "policyId": "hand", "policyName": "hand", "policyType": "APPROVAL",
        "isAutoattached": false });
    assert_eq!(attached(&world).await, json!([every, hand]));
    world.admin.ok(DETACH, on("hand")).await;
    assert_eq!(attached(&world).await, json!([every]));
    let stays = world.admin.refused(DETACH, on("every")).await;
    assert!(
        stays.contains("is not attached to stack `net` by hand"),
        "{stays}"
    );
    let unknown = world.admin.refused(ATTACH, on("nobody")).await;
    assert_eq!(unknown, "policy `nobody` does not exist");
    let denied = world.writer.refused(ATTACH, on("hand")).await;
    assert!(denied.starts_with("unauthorized"), "{denied}");
}

#[tokio::test]
async fn a_text_is_tried_on_an_input() {
    let world = World::new().await;
    let try_it =
        |kind: &str, body: &str, input: &str| json!({ "body": body, "input": input, "type": kind });
    let input = r#"{"reviews":{"current":{"approvals":[1],"rejections":[]}}}"#;
    let said = world
        .writer
        .ok(SIMULATE, try_it("APPROVAL", TWO_EYES, input))
        .await;
    let said: Value = serde_json::from_str(said["policySimulate"].as_str().unwrap()).unwrap();
    assert_eq!(
        said,
        json!({ "approve": true, "approve_with_note": [], "flag": [], "reject": false,
            "reject_with_note": [], "reset_flag": [], "sample": false })
    );
    let plan = "package spacelift\ndeny[m] { m := input.terraform.message }\n";
    let said = world
        .writer
        .ok(
            SIMULATE,
            try_it("PLAN", plan, r#"{"terraform":{"message":"no"}}"#),
        )
        .await;
    let said: Value = serde_json::from_str(said["policySimulate"].as_str().unwrap()).unwrap();
    assert_eq!(said["deny"], json!(["no"]));

    let refused = world
        .writer
        .refused(SIMULATE, try_it("PLAN", plan, "{"))
        .await;
    assert!(refused.contains("expected a JSON document"), "{refused}");
    let endless = "package spacelift\napprove { a := numbers.range(1, 100000)\n x := a[_]; y := a[_]; z := a[_]; x + y + z == -1 }\n";
    let refused = world
        .writer
        .refused(SIMULATE, try_it("APPROVAL", endless, "{}"))
        .await;
    assert!(refused.contains("took longer than 5"), "{refused}");
    let denied = world
        .reader
        .refused(SIMULATE, try_it("PLAN", plan, "{}"))
        .await;
    assert!(denied.starts_with("unauthorized"), "{denied}");
}
