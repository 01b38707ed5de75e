//! Many requests at once: each is done once and answered once, with its own answer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::world::{World, until};

const REQUESTS: usize = 1000;
const LIMIT: Duration = Duration::from_secs(120);

async fn storm(parallelism: usize) {
    let world = World::new().await;
    let agent = world.agent("agent", parallelism).await;
    let world = &world;
    let all = stream::iter(0..REQUESTS).map(|number| async move {
        let target = format!("/api/v4/projects/team%2Fapp-{number}");
        let answer = world
            .send(&format!("r{number}"), &target, LIMIT)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        let body = answer.body.collect(1 << 20).await.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(said["path_with_namespace"], format!("team/app-{number}"));
    });
    // A little more than there are streams: the queue works too.
    let answered = all.buffer_unordered(parallelism + 8).count().await;
    assert_eq!(answered, REQUESTS);
    let seen = world.seen();
    assert_eq!(seen.len(), REQUESTS);
    assert!(seen.values().all(|times| *times == 1));
    // A line comes when the answer has gone out.
    until("every request has its line", || {
        agent.lines().len() >= REQUESTS
    })
    .await;
    let lines = agent.lines();
    assert_eq!(lines.len(), REQUESTS);
    assert!(lines.iter().all(|line| line["msg"] == "Request served."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_on_4_streams() {
    storm(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_on_64_streams() {
    storm(64).await;
}
