//! Pools and stacks: what is sent, what is printed.

use serde_json::json;

use crate::fake::{Answer, Fake};

fn with_csr(fake: &Fake) -> String {
    let path = fake.home.path().join("pool.csr");
    std::fs::write(&path, "-----BEGIN CERTIFICATE REQUEST-----\n").unwrap();
    fake.on("workerPoolCreate", |_, _| {
        Answer::Data(
            json!({ "workerPoolCreate": { "id": "P1", "name": "edge", "config": "TOKEN" } }),
        )
    });
    path.display().to_string()
}

#[tokio::test]
async fn a_pool_s_token_goes_where_it_is_asked_to() {
    let fake = Fake::start().await;
    let csr = with_csr(&fake);
    let token = fake.home.path().join("token").display().to_string();
    let create = ["pool", "create", "--name", "edge", "--csr", &csr];

    let done = fake
        .gantry(&[&create[..], &["--token-file", &token]].concat())
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.out.contains("TOKEN"), "{done:?}");
    assert_eq!(std::fs::read_to_string(&token).unwrap(), "TOKEN\n");
    assert_eq!(
        fake.asked("workerPoolCreate")[0].vars["csr"],
        "-----BEGIN CERTIFICATE REQUEST-----\n"
    );

    let done = fake.gantry(&[&create[..], &["-o", "json"]].concat()).await;
    assert_eq!(
        done.out,
        "{\"id\":\"P1\",\"name\":\"edge\",\"token\":\"TOKEN\"}\n"
    );

    // A token that can't be kept would be lost, so no pool is made.
    let done = fake
        .gantry(&[&create[..], &["--token-file", &token]].concat())
        .await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("exists already"), "{}", done.err);
    assert_eq!(fake.asked("workerPoolCreate").len(), 2);
}

#[tokio::test]
async fn a_stack_is_what_the_options_say() {
    let fake = Fake::start().await;
    fake.on("stackCreate", |_, _| {
        Answer::Data(json!({ "stackCreate": { "id": "net", "name": "Net" } }))
    });
    let args = [
        "stack",
        "create",
        "--name",
        "Net",
        "--repository",
        "https://git.example.org/net.git",
        "--pool",
        "P1",
        "--tool",
        "terraform",
        "--tool-version",
        "1.11.4",
        "--autodeploy",
        "--no-manage-state",
        "--label",
        "a",
        "--label",
        "b",
        "--before-init",
        "echo 1",
        "--before-init",
        "echo 2",
        "-o",
        "json",
    ];
    let done = fake.gantry(&args).await;
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "{\"id\":\"net\",\"name\":\"Net\"}\n"),
        "{done:?}"
    );
    let expected = json!({
        "slug": null,
        "manageState": false,
        "input": {
            "name": "Net", "repository": "https://git.example.org/net.git", "branch": "main",
            "projectRoot": null, "runnerImage": null, "workerPool": "P1", "autodeploy": true,
            "labels": ["a", "b"], "description": null, "localPreviewEnabled": false,
            "vendorConfig": { "terraform": { "version": "1.11.4" } },
            "beforeInit": ["echo 1", "echo 2"],
        },
    });
    assert_eq!(fake.asked("stackCreate")[0].vars, expected);
}

#[tokio::test]
async fn a_variable_s_value_may_come_from_standard_input() {
    let fake = Fake::start().await;
    fake.on("stackConfigAdd", |vars, _| {
        let id = vars["config"]["id"].clone();
        Answer::Data(json!({
            "stackConfigAdd": { "id": id, "type": "ENVIRONMENT_VARIABLE", "writeOnly": true, "checksum": "c" },
        }))
    });
    let rows = [
        (
            &["A=b=c"][..],
            "",
            json!({ "id": "A", "value": "b=c", "writeOnly": false }),
        ),
        (
            &["A="],
            "",
            json!({ "id": "A", "value": "", "writeOnly": false }),
        ),
        (
            &["TOKEN", "--secret"],
            "two\nlines\n",
            json!({ "id": "TOKEN", "value": "two\nlines", "writeOnly": true }),
        ),
    ];
    for (more, stdin, mut expected) in rows {
        let done = fake
            .gantry_with(
                &[&["stack", "set-env", "--id", "net"], more].concat(),
                stdin,
                true,
            )
            .await;
        assert_eq!(done.code, 0, "{done:?}");
        assert!(!done.err.contains("lines"), "{done:?}");
        expected["type"] = json!("ENVIRONMENT_VARIABLE");
        assert_eq!(
            fake.asked("stackConfigAdd").last().unwrap().vars["config"],
            expected
        );
    }
    let done = fake
        .gantry(&["stack", "set-env", "--id", "net", "=x"])
        .await;
    assert_eq!(done.code, 1, "{done:?}");
}

#[tokio::test]
async fn runs_come_page_by_page_up_to_the_limit() {
    let fake = Fake::start().await;
    fake.on("stack.runs", |vars, _| {
        let newest = vars["before"]
            .as_str()
            .map_or(5, |before| before.parse::<i64>().unwrap() - 1);
        let runs: Vec<_> = (newest - 1..=newest)
            .rev()
            .filter(|n| *n > 0)
            .map(run)
            .collect();
        Answer::Data(json!({ "stack": { "runs": runs } }))
    });
    for (limit, lines) in [("3", 3), ("100", 5)] {
        let args = [
            "run", "list", "--stack", "net", "--limit", limit, "-o", "json",
        ];
        let done = fake.gantry(&args).await;
        assert_eq!(done.out.lines().count(), lines, "{done:?}");
    }
    let done = fake
        .gantry(&["run", "list", "--stack", "net", "--limit", "1"])
        .await;
    let lines: Vec<_> = done.out.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(
        lines[1].starts_with("5   TRACKED  FINISHED  +1 ~0 -0  abcdef01"),
        "{done:?}"
    );
}

pub(crate) fn run(number: i64) -> serde_json::Value {
    json!({
        "id": number.to_string(), "type": "TRACKED", "state": "FINISHED", "title": "t", "branch": "main",
        "command": null, "createdAt": 1_700_000_000, "triggeredBy": "ada", "finished": true, "attempt": 1,
        "note": null, "imageDigest": null, "userProvidedMetadata": [],
        "commit": { "hash": "abcdef0123456789", "message": "m", "authorName": "a", "timestamp": 0 },
        "delta": { "addCount": 1, "changeCount": 0, "deleteCount": 0, "resources": 1 },
    })
}

#[tokio::test]
async fn a_refusal_is_the_server_s_own_sentence() {
    let fake = Fake::start().await;
    fake.on("runConfirm", |_, _| {
        Answer::Error("run R1 is PLANNING, only UNCONFIRMED runs can be confirmed")
    });
    fake.on("runStop", |_, _| {
        Answer::Error("unauthorized: this needs the role `writer`")
    });
    fake.on("stack.id", |_, _| Answer::Data(json!({ "stack": null })));
    let rows: [(&[&str], i32, &str); 3] = [
        (
            &["stack", "confirm", "--id", "net", "--run", "R1"],
            1,
            "error: run R1 is PLANNING",
        ),
        (
            &["stack", "stop", "--id", "net", "--run", "R1"],
            6,
            "error: not allowed: this needs the role `writer`",
        ),
        (
            &["stack", "show", "--id", "net"],
            1,
            "stack `net` is not found",
        ),
    ];
    for (args, code, text) in rows {
        let done = fake.gantry(args).await;
        assert_eq!(done.code, code, "{args:?}: {done:?}");
        assert!(done.err.contains(text), "{args:?}: {}", done.err);
    }
}
