//! Pools of VCS agents through the API: tokens that let agents in, what is seen of them, resets and deletes.

use axum::http::{HeaderMap, Method};
use futures_util::stream;
use gantry_server::gateway::Ask;
use gantry_vcs_wire::wire::gateway_client::GatewayClient;
use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{HttpResponse, Request, Response};
use gantry_vcs_wire::{PoolToken, metadata};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::world::World;

const CREATE: &str = "mutation($name:String!){vcsAgentPoolCreate(name: $name, description: \"inner git\"){id,name,config,space,description}}";
const SHOW: &str = "query($id:ID!){vcsAgentPool(id: $id){name,config,activeConnections,waitingRequests,keys{id,retiresAt},connections{version,metadata,address,streams,streaming,requestsInFlight,requests{id},served},accessLog(first: 5){id,purpose,method,path,outcome,status,bytesReceived}}}";
const RESET: &str =
    "mutation($id:ID!$overlap:Int){vcsAgentPoolReset(id: $id, overlapSeconds: $overlap){config}}";

async fn world() -> World {
    World::with(&["--vcs-gateway-listen", "127.0.0.1:0"]).await
}

/// Connects as an agent would, with nothing but the token.
async fn connect(token: &str) -> Result<(mpsc::Sender<Response>, Streaming<Request>), Status> {
    let token = PoolToken::decode(token).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", token.host)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let (says, said) = mpsc::channel::<Response>(1);
    let said = stream::unfold(said, |mut said| async move {
        said.recv().await.map(|response| (response, said))
    });
    let mut request = tonic::Request::new(said);
    for (name, value) in [
        (metadata::POOL, token.pool.as_str()),
        (metadata::KEY, token.key.expose()),
        (metadata::TAGS, "{\"instance_id\":\"i-1\"}"),
        (metadata::VERSION, "9.9"),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let response = GatewayClient::new(channel).connect(request).await?;
    Ok((says, response.into_inner()))
}

async fn until_shown(world: &World, id: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let shown = world.reader.ok(SHOW, json!({ "id": id })).await["vcsAgentPool"].clone();
        if holds(&shown) {
            return shown;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_token_lets_agents_in_and_they_are_seen_with_what_they_do() {
    let world = world().await;
    let made =
        world.admin.ok(CREATE, json!({ "name": "inner" })).await["vcsAgentPoolCreate"].clone();
    assert_eq!(
        (made["space"].as_str(), made["description"].as_str()),
        (Some("root"), Some("inner git"))
    );
    let (id, token) = (&made["id"], made["config"].as_str().unwrap());
    let address = world.running.agents_address.unwrap().to_string();
    assert_eq!(PoolToken::decode(token).unwrap().host, address);
    let (says, mut hears) = connect(token).await.unwrap();
    let shown = until_shown(&world, id, |shown| shown["activeConnections"] == 1).await;
    assert_eq!(shown["config"], Value::Null);
    let agent = &shown["connections"][0];
    assert_eq!(agent["metadata"], "{\"instance_id\":\"i-1\"}");
    assert_eq!(
        (&agent["version"], &agent["address"], &agent["streams"]),
        (&json!("9.9"), &json!("127.0.0.1"), &json!(1))
    );

    let (gateway, pool) = (
        world.app().gateway.clone(),
        id.as_str().unwrap().parse().unwrap(),
    );
    let asked = tokio::spawn(async move {
        let ask = Ask {
            purpose: "List branches",
            method: Method::GET,
            target: "/api/branches?x=secret".to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new().into(),
            limit: std::time::Duration::from_secs(30),
        };
        gateway.send(&pool, ask).await
    });
    let request = hears.message().await.unwrap().unwrap();
    assert!(matches!(request.request, Some(Kind::HttpRequest(_))));
    let shown = until_shown(&world, id, |shown| {
        shown["connections"][0]["requestsInFlight"] == 1
    })
    .await;
    assert_eq!(shown["connections"][0]["requests"][0]["id"], request.id);
    let answer = HttpResponse {
        status: 404,
        body: b"none".to_vec(),
        ..HttpResponse::default()
    };
    let content = Some(Content::HttpResponse(answer));
    says.send(Response {
        id: request.id.clone(),
        content,
    })
    .await
    .unwrap();
    assert_eq!(asked.await.unwrap().unwrap().status, 404);
    let shown = until_shown(&world, id, |shown| shown["accessLog"][0].is_object()).await;
    assert_eq!(
        shown["accessLog"][0],
        json!({ "id": request.id, "purpose": "List branches", "method": "GET", "path": "/api/branches",
            "outcome": "ANSWERED", "status": 404, "bytesReceived": 4 })
    );
}

#[tokio::test]
async fn a_token_counts_until_its_pool_is_reset_or_deleted() {
    let world = world().await;
    let made =
        world.admin.ok(CREATE, json!({ "name": "inner" })).await["vcsAgentPoolCreate"].clone();
    let (id, token) = (&made["id"], made["config"].as_str().unwrap());
    let _first = connect(token).await.unwrap();
    // A reset with an overlap lets both in; one without lets the old ones go.
    let reset = world
        .admin
        .ok(RESET, json!({ "id": id, "overlap": 3600 }))
        .await;
    let second = reset["vcsAgentPoolReset"]["config"]
        .as_str()
        .unwrap()
        .to_owned();
    let _both = (
        connect(token).await.unwrap(),
        connect(&second).await.unwrap(),
    );
    let shown = until_shown(&world, id, |shown| shown["activeConnections"] == 3).await;
    assert_eq!(shown["keys"].as_array().unwrap().len(), 2);
    let reset = world
        .admin
        .ok(RESET, json!({ "id": id, "overlap": 0 }))
        .await;
    let third = reset["vcsAgentPoolReset"]["config"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        connect(&second).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let (_says, mut hears) = connect(&third).await.unwrap();
    world
        .admin
        .ok(
            "mutation($id:ID!){vcsAgentPoolDelete(id: $id){id}}",
            json!({ "id": id }),
        )
        .await;
    let ended = hears.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    assert_eq!(
        connect(&third).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let gone = world.reader.ok(SHOW, json!({ "id": id })).await;
    assert_eq!(gone["vcsAgentPool"], Value::Null);
}

#[tokio::test]
async fn a_name_is_one_word_of_one_pool_and_stays_while_it_is_used() {
    let world = world().await;
    let made =
        world.admin.ok(CREATE, json!({ "name": "inner" })).await["vcsAgentPoolCreate"].clone();
    for (name, expected) in [
        ("inner", "`inner` already exists"),
        ("Inner", "`Inner` can't name a VCS agent pool"),
        ("a b", "lower-case letters"),
        ("", "lower-case letters"),
    ] {
        let refused = world.admin.refused(CREATE, json!({ "name": name })).await;
        assert!(refused.contains(expected), "{name}: {refused}");
    }
    let long = world
        .admin
        .refused(
            RESET,
            json!({ "id": made["id"], "overlap": 90 * 86_400 + 1 }),
        )
        .await;
    assert!(long.contains("90 days"), "{long}");
    let update = "mutation($id:ID!$name:String$description:String){vcsAgentPoolUpdate(id: $id, name: $name, description: $description){name,description}}";
    let changed = world
        .admin
        .ok(
            update,
            json!({ "id": made["id"], "name": "outer", "description": "" }),
        )
        .await;
    assert_eq!(
        changed["vcsAgentPoolUpdate"],
        json!({ "name": "outer", "description": null })
    );
    // A stack whose code comes through it.
    world.stack().await;
    let mut tx = world.app().store.begin().await.unwrap();
    sqlx::query("UPDATE stacks SET url = 'private://outer/team/code' WHERE id = 'net'")
        .execute(&mut *tx)
        .await
        .unwrap();
    world.app().store.commit(tx).await.unwrap();
    let delete = "mutation($id:ID!){vcsAgentPoolDelete(id: $id){id}}";
    for (text, vars) in [
        (update, json!({ "id": made["id"], "name": "other" })),
        (delete, json!({ "id": made["id"] })),
    ] {
        let refused = world.admin.refused(text, vars).await;
        assert!(refused.contains("stack `net` goes through it"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_without_a_gateway_says_what_to_set() {
    let world = World::new().await;
    let refused = world
        .admin
        .refused(CREATE, json!({ "name": "inner" }))
        .await;
    assert!(refused.contains("GANTRY_VCS_GATEWAY_LISTEN"), "{refused}");
}
