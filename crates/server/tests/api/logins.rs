//! Logging in, being nobody, and being of too low a role.

use gantry_server::auth::{Role, create_key};
use serde_json::json;

use crate::world::{KEY_TEXT, World};

#[tokio::test]
async fn a_key_is_exchanged_and_the_preamble_of_every_client_works() {
    let world = World::new().await;
    let key = create_key(&world.app().store, "ci", Role::Reader)
        .await
        .unwrap();
    let variables = json!({ "id": key.id, "secret": key.secret.expose() });
    let session = world.nobody().ok(KEY_TEXT, variables).await["apiKeyUser"].clone();
    let now = gantry_server::clock::UnixMillis::now().seconds();
    let left = session["validUntil"].as_i64().unwrap() - now;
    assert!((3500..=3600).contains(&left), "{left}");
    let client = world.nobody().with_token(session["jwt"].as_str().unwrap());
    let probe = client.ok("{debugInfo{selfHostedVersion}}", json!({})).await;
    assert_eq!(probe["debugInfo"]["selfHostedVersion"], "6.1.0");
    let viewer = client.ok("{viewer{id,name}}", json!({})).await;
    assert_eq!(viewer["viewer"], json!({ "id": key.id, "name": "ci" }));
}

#[tokio::test]
async fn without_a_valid_token_everything_but_viewer_is_unauthorized() {
    let world = World::new().await;
    let wrong = json!({ "id": "01JB8M6Q7N4T0V2X5Y8Z9A1B2C", "secret": "x" });
    assert_eq!(
        world.nobody().refused(KEY_TEXT, wrong).await,
        "unauthorized"
    );
    let oauth = "mutation($token:String!){oauthUser(token: $token){jwt,validUntil}}";
    let refused = world
        .nobody()
        .refused(oauth, json!({ "token": "gho_hunter2" }))
        .await;
    assert!(
        refused.starts_with("unauthorized") && !refused.contains("hunter2"),
        "{refused}"
    );

    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
    for nobody in [
        world.nobody(),
        world.nobody().with_token("x"),
        world.nobody().with_token(forged),
    ] {
        let viewer = nobody.ok("{viewer{id,name}}", json!({})).await;
        assert_eq!(viewer["viewer"], json!(null));
        for text in [
            "{debugInfo{selfHostedVersion}}",
            "{stack(id: \"a\"){id}}",
            "{workerPools{id}}",
            "mutation{runConfirm(stack: \"a\", run: \"b\"){id}}",
            "mutation{workerPoolCreate(name: \"a\", certificateSigningRequest: \"b\"){id}}",
        ] {
            assert_eq!(
                nobody.refused(text, json!({})).await,
                "unauthorized",
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn roles_are_enforced_field_by_field() {
    let world = World::new().await;
    world.stack().await;
    let operate = [
        "mutation{runTrigger(stack: \"net\"){id}}",
        "mutation{taskCreate(stack: \"net\", command: \"ls\"){id}}",
        "mutation{runConfirm(stack: \"net\", run: \"x\"){id}}",
        "mutation{runDiscard(stack: \"net\", run: \"x\"){id}}",
        "mutation{runCancel(stack: \"net\", run: \"x\"){id}}",
        "mutation{runStop(stack: \"net\", run: \"x\"){id}}",
        "mutation{stackConfigDelete(stack: \"net\", id: \"x\"){id}}",
    ];
    let manage = [
        "mutation{stackDelete(id: \"net\"){id}}",
        "mutation{workerPoolDelete(id: \"x\"){id}}",
        "mutation{workerPoolCreate(name: \"a\", certificateSigningRequest: \"b\"){id}}",
        "mutation{workerPoolCycle(id: \"x\")}",
        "mutation{workerDrainSet(workerPool: \"x\", id: \"y\", drain: true){id}}",
        "mutation{workerRevoke(workerPool: \"x\", id: \"y\"){id}}",
    ];
    for text in operate.iter().chain(&manage) {
        let refused = world.reader.refused(text, json!({})).await;
        assert!(
            refused.starts_with("unauthorized: this needs"),
            "{text}: {refused}"
        );
    }
    for text in manage {
        let refused = world.writer.refused(text, json!({})).await;
        assert!(
            refused.contains("role `admin`, and `writer` is a `writer`"),
            "{text}: {refused}"
        );
    }
    let can = |client: &crate::world::Client| {
        let client = client.clone();
        async move { client.ok("{stack(id: \"net\"){canWrite}}", json!({})).await }
    };
    assert_eq!(can(&world.reader).await["stack"]["canWrite"], false);
    assert_eq!(can(&world.writer).await["stack"]["canWrite"], true);
    // The reader changed nothing.
    let runs = world
        .reader
        .ok("{stack(id: \"net\"){runs{id}}}", json!({}))
        .await;
    assert_eq!(runs["stack"]["runs"], json!([]));
}

#[tokio::test]
async fn operations_without_bounds_are_refused() {
    let world = World::new().await;
    let deep = format!(
        "{}__typename{}",
        "{stack(id:\"a\"){blocker".repeat(40),
        "}}".repeat(40)
    );
    let refused = world
        .reader
        .refused(&format!("{{{deep}}}"), json!({}))
        .await;
    assert!(!refused.is_empty());
    let wide = (0..3000)
        .map(|n| format!("a{n}:viewer{{id}}"))
        .collect::<Vec<_>>()
        .join(",");
    let refused = world
        .reader
        .refused(&format!("{{{wide}}}"), json!({}))
        .await;
    assert!(refused.contains("3000 aliases"), "{refused}");
    for body in [
        "",
        "[]",
        "{",
        "{\"variables\":{}}",
        "[{\"query\":\"{viewer{id}}\"}]",
    ] {
        let url = format!("{}/graphql", world.app().base_url);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert!(
            answer["errors"][0]["message"].is_string(),
            "{body}: {answer}"
        );
    }
}
