//! What is kept with a run: sent by every command that makes or moves one, shown with the run.

use serde_json::json;

use crate::fake::{Answer, Fake};
use crate::manage;

#[tokio::test]
async fn every_command_about_a_run_carries_the_text() {
    let fake = Fake::start().await;
    for field in [
        "runTrigger",
        "taskCreate",
        "runConfirm",
        "runDiscard",
        "runRetry",
        "runCancel",
        "runStop",
    ] {
        fake.on(field, move |_, _| {
            Answer::Data(json!({ field: { "id": "R1", "state": "QUEUED" } }))
        });
    }
    let run = ["--run", "R0"];
    let rows: [(&str, &[&str], &str); 8] = [
        ("deploy", &[], "runTrigger"),
        ("preview", &[], "runTrigger"),
        ("confirm", &run, "runConfirm"),
        ("discard", &run, "runDiscard"),
        ("retry", &run, "runRetry"),
        ("cancel", &run, "runCancel"),
        ("stop", &run, "runStop"),
        ("task", &["--", "ls"], "taskCreate"),
    ];
    for (command, more, field) in rows {
        let words = ["stack", command, "--id", "net", "--run-metadata", command];
        let done = fake.gantry(&[&words[..], more].concat()).await;
        assert_eq!(done.code, 0, "{command}: {done:?}");
        let asked = fake.asked(field);
        let last = asked.last().unwrap();
        assert_eq!(last.metadata.as_deref(), Some(command));
        assert_eq!(last.vars["stack"], "net");
        if more == run {
            assert_eq!(last.vars["run"], "R0", "{command}");
        }
    }
    fake.on("runReview", |_, _| {
        Answer::Data(json!({ "runReview": { "id": "V1" } }))
    });
    for (command, decision) in [("approve", "APPROVE"), ("reject", "REJECT")] {
        let words = ["stack", command, "--id", "net", "--run-metadata", "seen"];
        let done = fake.gantry(&words).await;
        assert_eq!(done.code, 0, "{command}: {done:?}");
        let last = fake.asked("runReview").pop().unwrap();
        assert_eq!(last.metadata.as_deref(), Some("seen"));
        let expected = json!({ "stack": "net", "run": null, "decision": decision, "note": "" });
        assert_eq!(last.vars, expected);
    }
    let kinds: Vec<_> = fake
        .asked("runTrigger")
        .iter()
        .map(|request| request.vars["type"].clone())
        .collect();
    assert_eq!(kinds, ["TRACKED", "PROPOSED"]);
    let done = fake
        .gantry(&["stack", "retry", "--id", "net", "--run", "R0"])
        .await;
    assert_eq!(done.out, "R1\n", "{done:?}");
}

#[tokio::test]
async fn a_text_of_two_lines_is_refused_before_anything_is_sent() {
    let fake = Fake::start().await;
    let words = ["stack", "deploy", "--id", "net", "--run-metadata", "a\nb"];
    let done = fake.gantry(&words).await;
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("--run-metadata"), "{}", done.err);
    assert!(done.err.contains("one line of text"), "{}", done.err);
    assert!(fake.asked("apiKeyUser").is_empty());
}

#[tokio::test]
async fn a_run_is_shown_with_what_is_kept_with_it() {
    let fake = Fake::start().await;
    fake.on("stack.run.id", |_, _| {
        let mut run = manage::run(7);
        run["userProvidedMetadata"] = json!(["ticket 1", "a\u{1b}[2Jb"]);
        run["commit"]["timestamp"] = json!(1_700_000_000);
        Answer::Data(json!({ "stack": { "run": run } }))
    });
    let show = ["run", "show", "--stack", "net", "--run", "7"];
    let done = fake.gantry(&show).await;
    assert_eq!(done.code, 0, "{done:?}");
    let lines: Vec<_> = done
        .out
        .lines()
        .filter(|line| line.starts_with("metadata") || line.starts_with("author"))
        .collect();
    assert_eq!(
        lines,
        [
            "author        a, 2023-11-14 22:13:20 UTC",
            "metadata      ticket 1",
            "metadata      a\u{fffd}[2Jb",
        ]
    );
    let done = fake.gantry(&[&show[..], &["-o", "json"]].concat()).await;
    let shown: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(shown["userProvidedMetadata"][0], "ticket 1");
}
