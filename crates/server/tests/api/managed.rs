//! What plans change and what states hold, as the API shows them; states as files.

use bytes::Bytes;
use gantry_protocol::plan::PlanData;
use gantry_protocol::{Attempt, RunId};
use gantry_server::clock::UnixMillis;
use gantry_server::domain::{GrantedPhase, RunEnd, RunEvent};
use gantry_server::store::plans::{self, PlanRow};
use gantry_server::store::runs;
use serde_json::{Value, json};

use crate::runs::{CONFIRM, deploy, of};
use crate::world::World;

/// As the known client writes them.
const CHANGES: &str = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){changesV3(input: {}){resources{address,previousAddress,metadata{type}}}}}}";
const FIELDS: &str = "entities{id,address,creator{id},drifted,name,parent,thirdPartyMetadata,type,updater{id},vendor{... on EntityVendorAnsible{ansible{... on AnsibleResource{data}}},... on EntityVendorCloudFormation{cloudFormation{... on CloudFormationResource{logicalResourceId,physicalResourceId,template},... on CloudFormationOutput{description,export,value}}},... on EntityVendorKubernetes{kubernetes{... on KubernetesResource{data},... on KubernetesRoot{phantom}}},... on EntityVendorPulumi{pulumi{... on PulumiOutput{sensitive,value,hash},... on PulumiStack{phantom},... on PulumiResource {urn,id,provider,parent,outputs}}},... on EntityVendorTerraform{terraform{... on TerraformResource{address,mode,module,provider,tainted,values},... on TerraformModule{phantom},... on TerraformOutput{sensitive,value,hash}}}}}";
const PULL: &str = "mutation($input:StateDownloadUrlInput!){stateDownloadUrl(input: $input){url}}";

fn plan() -> PlanData {
    let change = |action: &str| json!({ "actions": [action], "before_sensitive": false, "after_sensitive": {} });
    let resource = |address: &str, values: Value| json!({ "address": address, "values": values, "sensitive_values": { "password": true } });
    PlanData::Document(json!({ "format_version": "1.2",
        "resource_changes": [
            { "address": "aws_db.new", "type": "aws_db", "change": change("create") },
            { "address": "aws_db.old", "previous_address": "aws_db.older", "type": "aws_db", "change": change("update") },
            { "address": "aws_db.same", "type": "aws_db", "change": change("no-op") },
        ],
        "planned_values": { "root_module": { "resources": [
            resource("aws_db.new", json!({ "size": 7, "password": "SECRET" })),
            resource("aws_db.same", json!({ "size": 9 })),
        ] } } }))
}

/// Keeps a plan as the first attempt of the run would send it.
pub(crate) async fn keep_plan(world: &World, id: RunId) {
    let app = world.app();
    let sent = Bytes::from(serde_json::to_vec(&plan()).unwrap());
    let kept = app.control.plans.prepare(id, sent).await.unwrap();
    let row = PlanRow {
        run: id,
        attempt: Attempt(1),
        digest: kept.digest,
        content: kept.content,
        verdict: None,
    };
    let mut tx = app.store.begin().await.unwrap();
    plans::put(&mut tx, &row, UnixMillis::now()).await.unwrap();
    app.store.commit(tx).await.unwrap();
}

/// A stack whose run planned, applied and wrote a state.
pub(crate) async fn applied(world: &World) -> String {
    world.stack().await;
    let run = deploy(&world.writer).await;
    let id: RunId = run.parse().unwrap();
    let app = world.app();
    world.plans_changes(&run).await;
    keep_plan(world, id).await;
    world.writer.ok(CONFIRM, of(&run)).await;
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Apply),
    ] {
        world.happens(&run, event).await;
    }
    let instance = json!([{ "attributes": { "password": "SECRET" }, "sensitive_attributes": [] }]);
    let resource = |name: &str| json!({ "mode": "managed", "type": "aws_db", "name": name, "provider": "provider[\"p\"]", "instances": instance });
    let state = json!({ "version": 4, "lineage": "l", "serial": 1,
        "resources": [resource("new"), resource("same")],
        "outputs": { "open": { "value": 1, "type": "number" }, "closed": { "value": "SECRET", "type": "string", "sensitive": true } } });
    let stack = "net".parse().unwrap();
    let keeper = &app.control.state;
    let prepared = keeper
        .prepare(&stack, &Bytes::from(state.to_string()))
        .await
        .unwrap();
    let mut tx = app.store.begin().await.unwrap();
    let record = runs::get(&mut tx, id).await.unwrap();
    keeper
        .write(&mut tx, &record, two, None, &prepared)
        .await
        .unwrap();
    app.store.commit(tx).await.unwrap();
    run
}

#[tokio::test]
async fn changes_of_a_plan_are_told_by_resource() {
    let world = World::new().await;
    let run = applied(&world).await;
    let shown = world.reader.ok(CHANGES, of(&run)).await;
    let expected = json!([{ "resources": [
        { "address": "aws_db.new", "previousAddress": null, "metadata": { "type": "ADD" } },
        { "address": "aws_db.old", "previousAddress": "aws_db.older", "metadata": { "type": "CHANGE" } },
    ] }]);
    assert_eq!(shown["stack"]["run"]["changesV3"], expected);
    let in_phase = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){changesV3(input: {phase: APPLYING}){resources{address}}}}}";
    let applying = world.reader.ok(in_phase, of(&run)).await;
    assert_eq!(applying["stack"]["run"]["changesV3"], json!([]));
    world
        .happens(&run, RunEvent::Ended(Attempt(2), RunEnd::Succeeded))
        .await;
    let done = world.reader.ok(in_phase, of(&run)).await;
    let changed = &done["stack"]["run"]["changesV3"][0]["resources"];
    assert_eq!(changed.as_array().unwrap().len(), 2);
    let other = deploy(&world.writer).await;
    let none = world.reader.ok(CHANGES, of(&other)).await;
    assert_eq!(none["stack"]["run"]["changesV3"], json!([]));
}

#[tokio::test]
async fn things_in_a_state_are_listed_without_secrets() {
    let world = World::new().await;
    let run = applied(&world).await;
    let text = format!("query($id:ID!){{stack(id: $id){{id,labels,space,name,{FIELDS}}}}}");
    let shown = world.reader.ok(&text, json!({ "id": "net" })).await;
    assert!(!shown.to_string().contains("SECRET"), "{shown}");
    let entities = shown["stack"]["entities"].as_array().unwrap();
    let ids: Vec<_> = entities
        .iter()
        .map(|entity| entity["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        ["aws_db.new", "aws_db.same", "output.closed", "output.open"]
    );
    let (made, same) = (&entities[0], &entities[1]);
    assert_eq!(
        (&made["creator"]["id"], &made["updater"]["id"]),
        (&json!(run), &json!(run))
    );
    assert_eq!(
        (&same["creator"], &same["updater"]),
        (&Value::Null, &Value::Null)
    );
    let resource = &made["vendor"]["terraform"];
    let values: Value = serde_json::from_str(resource["values"].as_str().unwrap()).unwrap();
    assert_eq!(
        values,
        json!({ "size": 7, "password": "(sensitive value)" })
    );
    assert_eq!(
        (&resource["provider"], &resource["mode"]),
        (&json!("p"), &json!("managed"))
    );
    let closed = &entities[2]["vendor"]["terraform"];
    assert_eq!(
        closed,
        &json!({ "sensitive": true, "value": null, "hash": "" })
    );
    assert_eq!(entities[3]["vendor"]["terraform"]["value"], "1");

    let all = world
        .reader
        .ok(&format!("{{stacks{{id,{FIELDS}}}}}"), json!({}))
        .await;
    assert_eq!(all["stacks"][0]["entities"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_state_is_had_for_a_minute_by_who_may_write() {
    let world = World::new().await;
    world.stack().await;
    let net = json!({ "input": { "stackId": "net" } });
    let none = world.writer.refused(PULL, net.clone()).await;
    assert_eq!(none, "this server keeps no state of stack `net`");
    drop(world);

    let world = World::new().await;
    applied(&world).await;
    let denied = world.reader.refused(PULL, net.clone()).await;
    assert!(denied.starts_with("unauthorized"), "{denied}");
    let made = world.writer.ok(PULL, net).await;
    let url = made["stateDownloadUrl"]["url"].as_str().unwrap();
    let path = url.strip_prefix(&world.app().base_url).unwrap();
    let (status, body) = world.nobody().get(path).await;
    assert_eq!(status, 200);
    let state: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(state["outputs"]["closed"]["value"], "SECRET");
    // It is for this state alone, and for nothing else; a session is no permission either.
    let (place, permission) = path.split_once("?permission=").unwrap();
    let other = place.replace("/net/", "/other/");
    for path in [
        format!("{other}?permission={permission}"),
        place.replace("/1", "/2") + "?permission=" + permission,
        format!("{place}?permission={permission}x"),
        format!("{place}?permission="),
    ] {
        assert_eq!(world.nobody().get(&path).await.0, 401, "{path}");
    }
    let viewer = world.nobody().with_token(permission);
    let answer = viewer.ok("{viewer{id}}", json!({})).await;
    assert_eq!(answer["viewer"], Value::Null);
    let mut conn = world.app().store.read().await.unwrap();
    let sql = "SELECT COUNT(*) FROM audit WHERE action = 'stack.state_download'";
    let (asked,): (i64,) = sqlx::query_as(sql).fetch_one(&mut *conn).await.unwrap();
    assert_eq!(asked, 1, "it stands in the audit trail once");
}
