//! Bounds of the API: size, shape, number of requests, guessing of secrets; and whose address counts.

use gantry_server::auth::{Role, create_key};
use serde_json::json;

use crate::world::{Client, KEY_TEXT, World};

async fn guess(client: &Client, id: &str, from: &str) -> String {
    let headers = [("x-forwarded-for", from.as_bytes())];
    let variables = json!({ "id": id, "secret": "wrong" });
    let answer = client.post_with(KEY_TEXT, variables, &headers).await;
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_guesses_secrets_is_told_when_to_come_back_and_nobody_else() {
    let world = World::with(&["--trusted-proxies", "127.0.0.1"]).await;
    let key = create_key(&world.app().store, "ci", Role::Reader)
        .await
        .unwrap();
    let nobody = world.nobody();
    for _ in 0..10 {
        assert_eq!(guess(&nobody, &key.id, "192.0.2.1").await, "unauthorized");
    }
    let refused = guess(&nobody, &key.id, "192.0.2.1").await;
    let seconds = refused.strip_prefix("too many requests: try again in ");
    let seconds: u64 = seconds
        .and_then(|rest| rest.strip_suffix(" s"))
        .unwrap_or_else(|| panic!("{refused}"))
        .parse()
        .unwrap();
    assert!((1..=6).contains(&seconds), "{refused}");
    // The right secret is not looked at there and now; from elsewhere it works.
    let right = json!({ "id": key.id, "secret": key.secret.expose() });
    let here = [("x-forwarded-for", b"192.0.2.1".as_slice())];
    let answer = nobody.post_with(KEY_TEXT, right.clone(), &here).await;
    assert!(
        answer["errors"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("too many")
    );
    let elsewhere = [("x-forwarded-for", b"192.0.2.2".as_slice())];
    let answer = nobody.post_with(KEY_TEXT, right, &elsewhere).await;
    assert!(answer["data"]["apiKeyUser"]["jwt"].is_string(), "{answer}");
}

#[tokio::test]
async fn a_sender_that_is_no_proxy_is_not_believed() {
    let world = World::new().await;
    for n in 0..10 {
        let from = format!("192.0.2.{n}");
        assert_eq!(guess(&world.nobody(), "K", &from).await, "unauthorized");
    }
    let refused = guess(&world.nobody(), "K", "192.0.2.99").await;
    assert!(refused.starts_with("too many requests"), "{refused}");
}

#[tokio::test]
async fn one_key_sends_so_many_requests_and_others_go_on() {
    let world = World::with(&["--api-rate", "2"]).await;
    let mut refused = None;
    for _ in 0..60 {
        let answer = world.reader.post("{viewer{id}}", json!({})).await;
        if let Some(message) = answer["errors"][0]["message"].as_str() {
            refused = Some(message.to_owned());
            break;
        }
    }
    let refused = refused.expect("a burst of sixty is too much for two in a second");
    assert!(
        refused.starts_with("too many requests: try again in "),
        "{refused}"
    );
    world.writer.ok("{viewer{id}}", json!({})).await;
}

#[tokio::test]
async fn what_is_too_large_or_too_costly_is_refused_with_status_200() {
    let world = World::new().await;
    let long = "x".repeat(9 * 1024 * 1024);
    let refused = world
        .reader
        .refused("query($x:ID!){stack(id: $x){id}}", json!({ "x": long }))
        .await;
    assert_eq!(refused, "the request is larger than 8 MiB");
    let aliases: String = (0..41).map(|n| format!("a{n}:viewer{{id}},")).collect();
    let refused = world
        .reader
        .refused(&format!("{{{aliases}}}"), json!({}))
        .await;
    assert_eq!(refused, "the operation has 41 aliases: expected at most 40");
    let costly = "{searchStacks(input: {first: 100}){edges{node{runs{history{state,note}}}}}}";
    let refused = world.reader.refused(costly, json!({})).await;
    assert!(refused.contains("too complex"), "{refused}");
    // What clients do send fits.
    let page = "{searchStacks(input: {first: 50}){edges{node{id,name,state,blocker{id},spaceDetails{id,name},workerPool{id,name},runs{id,state,commit{hash},delta{addCount}}}}}}";
    world.reader.ok(page, json!({})).await;
}
