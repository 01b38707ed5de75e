//! Integrations, targets, states and settings: what is sent, what is printed.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn integration() -> Value {
    json!({ "id": "github", "name": "GitHub", "space": "root", "vendor": "GITHUB",
        "urlPrefix": "https://github.com/acme/", "apiUrl": "https://api.github.com", "username": null,
        "hasToken": true, "webhookUrl": "https://gantry.example/webhooks/github", "pollSeconds": null,
        "updatedAt": 7 })
}

#[tokio::test]
async fn an_integration_s_token_comes_from_a_file_and_its_secret_goes_to_one() {
    let fake = Fake::start().await;
    fake.on("vcsIntegrationCreate", |_, _| {
        Answer::Data(
            json!({ "vcsIntegrationCreate": { "integration": integration(),
            "webhookSecret": "s3cret" } }),
        )
    });
    let path = |name: &str| fake.home.path().join(name).display().to_string();
    let (token, secret) = (path("token"), path("secret"));
    std::fs::write(&token, "hunter2\n").unwrap();
    let create = [
        "vcs-integration",
        "create",
        "--name",
        "GitHub",
        "--vendor",
        "github",
        "--url-prefix",
        "https://github.com/acme/",
        "--api-url",
        "https://api.github.com",
        "--token-file",
        &token,
    ];
    let to_file = ["--webhook-secret-file", &secret];
    let done = fake.gantry(&[&create[..], &to_file].concat()).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.out.contains("s3cret"), "{done:?}");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s3cret\n");
    let sent = &fake.asked("vcsIntegrationCreate")[0].vars["input"];
    assert_eq!(
        (&sent["token"], &sent["vendor"]),
        (&json!("hunter2"), &json!("GITHUB"))
    );
    let done = fake.gantry(&[&create[..], &["-o", "json"]].concat()).await;
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(printed["webhookSecret"], "s3cret");
    // A secret that can't be kept would be lost, so nothing is made.
    let done = fake.gantry(&[&create[..], &to_file].concat()).await;
    assert!(done.err.contains("exists already"), "{done:?}");
    assert_eq!(fake.asked("vcsIntegrationCreate").len(), 2);
}

#[tokio::test]
async fn lists_of_a_host_are_read_page_by_page() {
    let fake = Fake::start().await;
    fake.on("vcsIntegration", |vars, _| {
        let at = vars["after"].as_str().map_or(0, |at| at.parse().unwrap());
        let first = vars["first"].as_u64().unwrap();
        let one =
            |n: u64| json!({ "name": format!("acme/r{n}"), "url": "u", "defaultBranch": null });
        let nodes: Vec<Value> = (at..(at + first).min(150)).map(one).collect();
        let next = (at + first < 150).then(|| (at + first).to_string());
        Answer::Data(json!({ "vcsIntegration": { "list": { "nodes": nodes, "endCursor": next } } }))
    });
    let list = [
        "vcs-integration",
        "repositories",
        "--id",
        "github",
        "-o",
        "json",
    ];
    let done = fake.gantry(&list).await;
    assert_eq!((done.code, done.out.lines().count()), (0, 150), "{done:?}");
    assert_eq!(fake.asked("vcsIntegration").len(), 2);
    let done = fake.gantry(&[&list[..], &["--limit", "7"]].concat()).await;
    assert_eq!((done.code, done.out.lines().count()), (0, 7));
    assert!(done.err.contains("more than 7"), "{}", done.err);

    fake.on("vcsIntegration", |_, _| {
        Answer::Data(json!({ "vcsIntegration": { "apiUrl": "https://api.github.com", "viewer": "ann",
            "repositories": { "nodes": [{ "name": "acme/net", "url": "u", "defaultBranch": "main" }],
                "endCursor": null } } }))
    });
    let done = fake
        .gantry(&["vcs-integration", "test", "--id", "github"])
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.out.contains("token of  ann") && done.out.contains("acme/net"),
        "{}",
        done.out
    );
    fake.on("vcsIntegration", |_, _| {
        Answer::Data(json!({ "vcsIntegration": null }))
    });
    let done = fake
        .gantry(&["vcs-integration", "test", "--id", "nope"])
        .await;
    assert_eq!(done.code, 1);
    assert!(done.err.contains("`nope` is not found"), "{}", done.err);
}

#[tokio::test]
async fn a_target_can_be_made_looked_at_and_told_again() {
    let fake = Fake::start().await;
    let target = || {
        json!({ "id": "T1", "name": "chat", "space": "root", "url": "https://hooks.example/",
            "states": ["FAILED"], "enabled": true, "updatedAt": 7 })
    };
    fake.on("notificationTargetCreate", move |_, _| {
        Answer::Data(
            json!({ "notificationTargetCreate": { "target": target(), "secret": "s3cret" } }),
        )
    });
    let create = [
        "notification-target",
        "create",
        "--name",
        "chat",
        "--url",
        "https://hooks.example/",
    ];
    let done = fake
        .gantry(&[&create[..], &["--state", "FAILED"]].concat())
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("s3cret"), "{}", done.out);
    assert_eq!(
        fake.asked("notificationTargetCreate")[0].vars["states"],
        json!(["FAILED"])
    );
    fake.on("notificationTarget", move |_, _| {
        let mut target = target();
        target["deliveries"] = json!([{ "id": "D1", "runId": "R1", "state": "FAILED",
            "standing": "GIVEN_UP", "attempts": 14, "answer": "status 500", "createdAt": 7 }]);
        Answer::Data(json!({ "notificationTarget": target }))
    });
    let done = fake
        .gantry(&["notification-target", "show", "--id", "T1"])
        .await;
    assert!(
        done.out.contains("given_up") && done.out.contains("status 500"),
        "{done:?}"
    );
    fake.on("notificationRedeliver", |_, _| {
        Answer::Data(json!({ "notificationRedeliver": { "id": "T1" } }))
    });
    let again = [
        "notification-target",
        "redeliver",
        "--id",
        "T1",
        "--delivery",
        "D1",
    ];
    let done = fake.gantry(&again).await;
    assert_eq!(done.code, 0, "{done:?}");
    let sent = &fake.asked("notificationRedeliver")[0].vars;
    assert_eq!(sent, &json!({ "target": "T1", "delivery": "D1" }));
}

#[tokio::test]
async fn a_setting_that_is_not_named_stays_as_it_is() {
    let fake = Fake::start().await;
    let settings = |pool: Value| {
        json!({ "name": "Net", "repository": "https://git.example/acme/net.git", "namespace": "acme",
            "branch": "main", "projectRoot": "infra", "runnerImage": null, "autodeploy": true,
            "labels": ["a"], "description": "d", "space": "root", "administrative": false,
            "localPreviewEnabled": false, "workerPool": pool, "beforeInit": ["echo 1"],
            "vendorConfig": { "__typename": "StackConfigVendorTerraform", "version": "1.11.4",
                "workflowTool": "TERRAFORM_FOSS" } })
    };
    fake.on("stack.name", move |_, _| {
        Answer::Data(json!({ "stack": settings(json!({ "id": "P1" })) }))
    });
    fake.on("stackUpdate", |_, _| {
        Answer::Data(json!({ "stackUpdate": { "id": "net", "name": "Net" } }))
    });
    let update = [
        "stack",
        "update",
        "--id",
        "net",
        "--local-preview",
        "true",
        "--project-root",
        "",
    ];
    let done = fake.gantry(&update).await;
    assert_eq!(done.code, 0, "{done:?}");
    let expected = json!({ "name": "Net", "repository": "https://git.example/acme/net.git",
        "namespace": "acme", "branch": "main", "projectRoot": null, "runnerImage": null,
        "autodeploy": true, "labels": ["a"], "description": "d", "space": "root",
        "administrative": false, "localPreviewEnabled": true, "workerPool": "P1",
        "beforeInit": ["echo 1"],
        "vendorConfig": { "terraform": { "version": "1.11.4", "workflowTool": "TERRAFORM_FOSS" } } });
    assert_eq!(fake.asked("stackUpdate")[0].vars["input"], expected);
    // A pool that one does not see would be taken away.
    fake.on("stack.name", move |_, _| {
        Answer::Data(json!({ "stack": settings(Value::Null) }))
    });
    let done = fake.gantry(&update).await;
    assert!(done.code == 1 && done.err.contains("--pool"), "{done:?}");
    let done = fake.gantry(&["stack", "update", "--id", "net"]).await;
    assert_ne!(done.code, 0, "nothing was named");
}

#[tokio::test]
async fn versions_of_a_state_are_listed_and_gone_back_to() {
    let fake = Fake::start().await;
    let version = |n: u64| json!({ "version": n, "serial": n + 3, "lineage": "l", "size": 9, "createdAt": 7, "runId": "R1" });
    fake.on("stack.stateVersions", move |vars, _| {
        let before = vars["before"].as_u64().unwrap_or(61);
        let all: Vec<Value> = (1..before).rev().take(50).map(version).collect();
        Answer::Data(json!({ "stack": { "stateVersions": all } }))
    });
    let list = [
        "stack", "state", "list", "--id", "net", "--limit", "100", "-o", "json",
    ];
    let done = fake.gantry(&list).await;
    assert_eq!((done.code, done.out.lines().count()), (0, 60), "{done:?}");
    let (url, out) = (fake.url.clone(), fake.home.path().join("state"));
    fake.on("stateDownloadUrl", move |_, _| {
        let url = format!("{url}/api/states/net/60?permission=may");
        Answer::Data(json!({ "stateDownloadUrl": { "url": url } }))
    });
    let out = out.display().to_string();
    let pull = ["stack", "state", "pull", "--id", "net", "--out", &out];
    let done = fake.gantry(&pull).await;
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "state 60 of net");
    let done = fake.gantry(&pull).await;
    assert!(done.err.contains("exists already"), "{done:?}");
    fake.on("stackStateRollback", move |_, _| {
        Answer::Data(json!({ "stackStateRollback": version(61) }))
    });
    let back = [
        "stack",
        "state",
        "rollback",
        "--id",
        "net",
        "--version",
        "4",
    ];
    let done = fake.gantry(&back).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.err.contains("version 61 of net is what version 4 was"),
        "{}",
        done.err
    );
}
