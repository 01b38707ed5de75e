//! Pools: draining that waits, resets, rules for newcomers.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn worker(id: &str, busy: bool, drained: bool) -> Value {
    json!({ "id": id, "busy": busy, "drained": drained, "status": "DRAINED", "statusReason": null,
        "metadata": "{\"host\":\"dock\"}", "lastSeenAt": 7 })
}

fn pool(workers: &[Value]) -> Answer {
    Answer::Data(json!({ "workerPool": {
        "id": "P1", "name": "edge", "description": null, "labels": ["eu"], "space": "root",
        "createdAt": 1_700_000_000, "schedulable": true, "pendingRuns": 2, "busyWorkers": 1,
        "keys": [
            { "id": "K2", "createdAt": 1_700_000_000, "createdBy": "ann",
              "certificateExpiresAt": 1_800_000_000, "retiresAt": null },
            { "id": "K1", "createdAt": 1_600_000_000, "createdBy": "bob",
              "certificateExpiresAt": null, "retiresAt": 1_700_086_400 },
        ],
        "enrolment": { "approval": true, "addresses": ["10.0.0.0/8"], "maxWorkers": 4 },
        "workers": workers,
    } }))
}

fn takes_drains(fake: &Fake, busy: &'static [&'static str]) {
    fake.on("workerDrainSet", move |vars, _| {
        let id = vars["id"].as_str().unwrap().to_owned();
        let busy = busy.contains(&id.as_str());
        Answer::Data(
            json!({ "workerDrainSet": { "id": id, "busy": busy, "drained": vars["drain"] } }),
        )
    });
}

#[tokio::test]
async fn a_drain_waits_for_those_that_were_busy() {
    let fake = Fake::start().await;
    takes_drains(&fake, &["W2"]);
    fake.on("workerPool", |_, times| {
        // Once to know who there is, once while W2 still works, and once after.
        let busy = times < 2;
        pool(&[worker("W1", false, true), worker("W2", busy, true)])
    });
    let done = fake
        .gantry(&["pool", "drain", "--id", "P1", "--wait", "-o", "json"])
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        printed,
        json!({ "pool": "P1", "drained": ["W1", "W2"], "busy": [] })
    );
    assert_eq!(fake.asked("workerDrainSet").len(), 2);
    assert_eq!(fake.asked("workerPool").len(), 3);
}

#[tokio::test]
async fn a_drain_that_somebody_takes_back_is_no_success() {
    let fake = Fake::start().await;
    takes_drains(&fake, &["W1"]);
    fake.on("workerPool", |_, _| pool(&[worker("W1", true, false)]));
    let drain = ["pool", "drain", "--id", "P1", "--worker", "W1"];
    let done = fake.gantry(&[&drain[..], &["--wait"]].concat()).await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err.contains("`W1` of pool `P1` was opened"),
        "{}",
        done.err
    );

    let done = fake.gantry(&drain).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("still busy"), "{}", done.out);

    fake.on("workerPool", |_, _| pool(&[worker("W1", true, true)]));
    let impatient = [&drain[..], &["--wait", "--timeout", "0"]].concat();
    let done = fake.gantry(&impatient).await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err.contains("still have runs after 0 s: W1"),
        "{}",
        done.err
    );

    fake.on("workerPool", |_, _| pool(&[]));
    let done = fake.gantry(&[&drain[..], &["--wait"]].concat()).await;
    assert!(done.err.contains("`W1` left pool `P1`"), "{}", done.err);
}

#[tokio::test]
async fn a_reset_gives_its_token_once() {
    let fake = Fake::start().await;
    let csr = fake.home.path().join("new.csr");
    std::fs::write(&csr, "REQUEST").unwrap();
    fake.on("workerPoolReset", |_, _| {
        Answer::Data(
            json!({ "workerPoolReset": { "id": "P1", "name": "edge", "config": "TOKEN" } }),
        )
    });
    let token = fake.home.path().join("token").display().to_string();
    let csr = csr.display().to_string();
    let reset = [
        "pool",
        "reset",
        "--id",
        "P1",
        "--csr",
        &csr,
        "--token-file",
        &token,
    ];
    let done = fake
        .gantry(&[&reset[..], &["--overlap-hours", "2"]].concat())
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.out.contains("TOKEN"), "{done:?}");
    assert_eq!(std::fs::read_to_string(&token).unwrap(), "TOKEN\n");
    let sent = json!({ "id": "P1", "csr": "REQUEST", "overlap": 7200 });
    assert_eq!(fake.asked("workerPoolReset")[0].vars, sent);
}

#[tokio::test]
async fn rules_for_newcomers_are_sent_only_when_given() {
    let fake = Fake::start().await;
    fake.on("workerPoolUpdate", |_, _| {
        Answer::Data(json!({ "workerPoolUpdate": { "id": "P1" } }))
    });
    let update = ["pool", "update", "--id", "P1"];
    #[rustfmt::skip]
    let rows: [(&[&str], Value); 4] = [
        (&["--name", "dock"], json!(null)),
        (&["--enrol-by-approval"], json!({ "approval": true, "addresses": [], "maxWorkers": null })),
        (&["--enrol-from", "10.0.0.0/8", "--max-launchers", "3"],
         json!({ "approval": false, "addresses": ["10.0.0.0/8"], "maxWorkers": 3 })),
        (&["--enrol-freely"], json!({ "approval": false, "addresses": [], "maxWorkers": null })),
    ];
    for (n, (more, enrolment)) in rows.into_iter().enumerate() {
        let done = fake.gantry(&[&update[..], more].concat()).await;
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(
            fake.asked("workerPoolUpdate")[n].vars["enrolment"],
            enrolment
        );
    }
}

#[tokio::test]
async fn a_pool_shows_its_keys_and_rules() {
    let fake = Fake::start().await;
    fake.on("workerPool", |_, _| pool(&[worker("W1", true, false)]));
    let done = fake.gantry(&["pool", "show", "--id", "P1"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    for words in [
        "wait to be let in; from 10.0.0.0/8; at most 4 in all",
        "certificate until 2027-01-15 08:00:00 UTC; current",
        "by bob at 2020-09-13 12:26:40 UTC, certificate until ?; counts until 2023-11-15",
        "1, 1 busy",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    for (command, operation) in [
        ("undrain", "workerDrainSet"),
        ("approve", "workerApprove"),
        ("revoke", "workerRevoke"),
        ("clear-quarantine", "workerQuarantineClear"),
    ] {
        fake.on(operation, move |vars, _| {
            let gone = json!({ "id": vars["id"], "busy": false, "drained": false });
            Answer::Data(json!({ operation: gone }))
        });
        let done = fake
            .gantry(&["pool", command, "--id", "P1", "--worker", "W1"])
            .await;
        assert_eq!(done.code, 0, "{command}: {done:?}");
        let vars = &fake.asked(operation)[0].vars;
        assert_eq!((&vars["pool"], &vars["id"]), (&json!("P1"), &json!("W1")));
    }
}

#[tokio::test]
async fn an_autoscaler_is_told_a_size_and_why() {
    let fake = Fake::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    fake.on("workerPool", move |_, _| {
        let worker = |id: &str, busy: bool, seen: u64| {
            let status = if busy { "BUSY" } else { "IDLE" };
            json!({ "id": id, "busy": busy, "drained": false, "status": status, "createdAt": now - 900, "lastSeenAt": seen })
        };
        Answer::Data(json!({ "workerPool": { "id": "P1", "schedulable": true, "pendingRuns": 0,
            "workers": [worker("W1", false, now), worker("W2", true, now), worker("W3", false, now - 900)] } }))
    });
    let hint = ["autoscale-hint", "--pool", "P1", "-o", "json"];
    let done = fake.gantry(&hint).await;
    assert_eq!(done.code, 0, "{done:?}");
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    let expected = json!({ "pool": "P1", "wanted": 1, "now": 2, "pendingRuns": 0, "busy": 1, "mayGo": ["W1"],
        "reason": "1 busy, 0 pending" });
    assert_eq!(printed, expected);

    let bad = [&hint[..], &["--min", "3", "--max", "2"]].concat();
    let done = fake.gantry(&bad).await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err.contains("--min 3 is more than --max 2"),
        "{}",
        done.err
    );
    fake.on("workerPool", |_, _| {
        Answer::Data(json!({ "workerPool": null }))
    });
    let done = fake.gantry(&hint).await;
    assert!(done.err.contains("there is no pool `P1`"), "{}", done.err);
}
