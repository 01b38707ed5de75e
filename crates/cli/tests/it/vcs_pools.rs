//! Pools of VCS agents: tokens once, pools by name, what their agents do.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn listed() -> Value {
    json!({ "id": "V1", "name": "inner", "description": null, "space": "root",
        "activeConnections": 4, "waitingRequests": 1 })
}

async fn fake() -> Fake {
    let fake = Fake::start().await;
    fake.on("vcsAgentPools", |_, _| {
        Answer::Data(json!({ "vcsAgentPools": [listed()] }))
    });
    fake
}

#[tokio::test]
async fn a_token_is_printed_once_or_kept_in_a_new_file() {
    let fake = fake().await;
    let made = json!({ "id": "V1", "name": "inner", "config": "TOKEN" });
    let answer = made.clone();
    fake.on("vcsAgentPoolCreate", move |_, _| {
        Answer::Data(json!({ "vcsAgentPoolCreate": answer }))
    });
    fake.on("vcsAgentPoolReset", move |_, _| {
        Answer::Data(json!({ "vcsAgentPoolReset": made }))
    });
    let create = ["vcs-agent-pool", "create", "--name", "inner"];
    let done = fake.gantry(&[&create[..], &["-o", "json"]].concat()).await;
    assert_eq!(done.code, 0, "{done:?}");
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        printed,
        json!({ "id": "V1", "name": "inner", "token": "TOKEN" })
    );
    assert!(
        done.err.contains("SPACELIFT_VCS_AGENT_POOL_TOKEN"),
        "{done:?}"
    );
    let file = fake.home.path().join("token").display().to_string();
    let reset = [
        "vcs-agent-pool",
        "reset",
        "--id",
        "inner",
        "--overlap-hours",
        "2",
    ];
    let done = fake
        .gantry(&[&reset[..], &["--token-file", &file]].concat())
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.out.contains("TOKEN"), "{done:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "TOKEN\n");
    let sent = json!({ "id": "V1", "overlap": 7200 });
    assert_eq!(fake.asked("vcsAgentPoolReset")[0].vars, sent);
    // A file that is there stays, and no key is made.
    let done = fake
        .gantry(&[&create[..], &["--token-file", &file]].concat())
        .await;
    assert_eq!(done.code, 1, "{done:?}");
    assert_eq!(fake.asked("vcsAgentPoolCreate").len(), 1);
}

#[tokio::test]
async fn a_pool_is_shown_with_its_agents_and_what_went_through_it() {
    let fake = fake().await;
    fake.on("vcsAgentPool", |vars, _| {
        assert_eq!(vars["id"], "V1");
        let mut pool = listed();
        pool["createdBy"] = "ann".into();
        pool["createdAt"] = 1_700_000_000.into();
        pool["keys"] = json!([{ "id": "K1", "createdAt": 1_700_000_000, "createdBy": "ann", "retiresAt": null }]);
        pool["connections"] = json!([{ "id": "p-1", "version": "9.9", "metadata": "{\"host\":\"a\"}",
            "address": "10.0.0.7", "connectedAt": 1_700_000_000, "streaming": true, "streams": 4,
            "requestsInFlight": 1, "served": 12, "strays": 0 }]);
        pool["accessLog"] = json!([{ "id": "R1", "at": 1_700_000_000, "purpose": "List branches", "method": "GET",
            "path": "/api/v4/projects/1", "outcome": "REFUSED", "detail": "no match", "status": null,
            "bytesSent": 0, "bytesReceived": 0, "milliseconds": 3, "agent": "p-1" }]);
        Answer::Data(json!({ "vcsAgentPool": pool }))
    });
    let done = fake.gantry(&["vcs-agent-pool", "list"]).await;
    assert!(done.out.contains("inner  4        1"), "{done:?}");
    let done = fake
        .gantry(&["vcs-agent-pool", "show", "--id", "inner"])
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    for words in [
        "private://inner/",
        "v9.9 from 10.0.0.7",
        "1 of 4 streams busy",
        "{\"host\":\"a\"}",
        "current",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let done = fake
        .gantry(&["vcs-agent-pool", "log", "--id", "V1", "--limit", "5"])
        .await;
    for words in [
        "R1",
        "List branches",
        "/api/v4/projects/1",
        "refused",
        "no match",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let done = fake
        .gantry(&["vcs-agent-pool", "delete", "--id", "other"])
        .await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("no VCS agent pool `other`"), "{done:?}");
}
