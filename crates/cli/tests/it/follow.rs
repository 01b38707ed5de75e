//! Following runs: what goes to which stream, how each end is told by the exit code.

use serde_json::{Value, json};

use crate::fake::{Answer, Done, Fake};

/// A run that moves one state further each time its history is asked for.
struct Run {
    /// States in order; each with its logs.
    states: Vec<(&'static str, &'static [&'static str])>,
    /// How many are there before anything moves.
    at_first: usize,
}

const TERMINAL: [&str; 5] = ["FINISHED", "FAILED", "DISCARDED", "CANCELED", "STOPPED"];

impl Run {
    /// Scripts history and logs; the run waits at `UNCONFIRMED` until `confirmed` says so.
    fn install(self, fake: &Fake) {
        let waits = self
            .states
            .iter()
            .position(|(state, _)| *state == "UNCONFIRMED");
        let confirmed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let by_mutation = std::sync::Arc::clone(&confirmed);
        fake.on("runConfirm", move |_, _| {
            by_mutation.store(true, std::sync::atomic::Ordering::SeqCst);
            Answer::Data(json!({ "runConfirm": { "id": "R1", "state": "CONFIRMED" } }))
        });
        fake.on("runTrigger", |_, _| {
            Answer::Data(json!({ "runTrigger": { "id": "R1", "state": "QUEUED" } }))
        });
        let names: Vec<_> = self.states.iter().map(|(state, _)| *state).collect();
        let with_logs: Vec<_> = self
            .states
            .iter()
            .map(|(_, logs)| !logs.is_empty())
            .collect();
        let mut seen = self.at_first;
        fake.on("stack.run.history", move |_, _| {
            let stop = waits.filter(|_| !confirmed.load(std::sync::atomic::Ordering::SeqCst));
            let history: Vec<_> = (0..seen)
                .rev()
                .map(|i| transition(i, names[i], with_logs[i]))
                .collect();
            seen = (seen + 1).min(stop.map_or(names.len(), |stop| stop + 1));
            Answer::Data(json!({ "stack": { "run": { "history": history } } }))
        });
        let logs = self.states;
        fake.on("stack.run.logs", move |vars, _| {
            let (state, lines) = logs[usize::try_from(vars["version"].as_i64().unwrap()).unwrap()];
            assert_eq!(vars["state"], state);
            Answer::Data(json!({ "stack": { "run": { "logs": page(lines, &vars["token"]) } } }))
        });
    }
}

fn transition(version: usize, state: &str, has_logs: bool) -> Value {
    json!({
        "hasLogs": has_logs, "note": null, "state": state, "stateVersion": version,
        "terminal": TERMINAL.contains(&state), "timestamp": 1_700_000_000, "username": null,
    })
}

/// One line per page, an empty page before the last, and the token is the next line's number.
fn page(lines: &[&str], token: &Value) -> Value {
    let at: usize = token
        .as_str()
        .map_or(0, |token| token.trim_end_matches('w').parse().unwrap());
    let waited = token.as_str().is_some_and(|token| token.ends_with('w'));
    let last = at + 1 == lines.len();
    if last && !waited {
        return json!({ "exists": true, "finished": false, "hasMore": false, "messages": [], "nextToken": format!("{at}w") });
    }
    json!({
        "exists": true, "finished": last, "hasMore": !last,
        "messages": [{ "message": lines[at] }], "nextToken": (at + 1).to_string(),
    })
}

const PLAN: &[&str] = &[
    "Terraform will\n",
    "  \x1b[32m+\x1b[0m create\n",
    "no line end",
];
const APPLY: &[&str] = &["\nApply complete!\n"];

fn to_the_end(last: &'static str) -> Run {
    let states = vec![
        ("QUEUED", &[][..]),
        ("PLANNING", PLAN),
        ("UNCONFIRMED", &[]),
        ("APPLYING", APPLY),
        (last, &[]),
    ];
    Run {
        states,
        at_first: 1,
    }
}

async fn deploy(fake: &Fake, more: &[&str]) -> Done {
    fake.gantry(&[&["stack", "deploy", "--id", "net"], more].concat())
        .await
}

#[tokio::test]
async fn without_tail_the_run_s_id_is_all() {
    let fake = Fake::start().await;
    to_the_end("FINISHED").install(&fake);
    let done = deploy(&fake, &["--sha", "abc", "--run-metadata", "from a ticket"]).await;
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (0, "R1\n", "")
    );
    let asked = fake.asked("runTrigger");
    assert_eq!(
        asked[0].vars,
        json!({ "stack": "net", "sha": "abc", "type": "TRACKED" })
    );
    assert_eq!(asked[0].metadata.as_deref(), Some("from a ticket"));
}

#[tokio::test]
async fn a_plan_that_waits_ends_following_with_its_own_code() {
    let fake = Fake::start().await;
    to_the_end("FINISHED").install(&fake);
    let done = deploy(&fake, &["--tail"]).await;
    assert_eq!(done.code, 5, "{done:?}");
    assert_eq!(
        done.out,
        PLAN.concat(),
        "standard output is the log, byte for byte"
    );
    assert!(
        done.err.contains("gantry stack confirm --id net --run R1"),
        "{}",
        done.err
    );
    assert!(
        !done.err.contains('\x1b'),
        "colour without a terminal: {}",
        done.err
    );
    assert!(fake.asked("runConfirm").is_empty());
}

#[tokio::test]
async fn auto_confirm_goes_through_and_confirms_once() {
    let fake = Fake::start().await;
    to_the_end("FINISHED").install(&fake);
    let done = deploy(&fake, &["--auto-confirm"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.out, [PLAN, APPLY].concat().concat());
    assert_eq!(fake.asked("runConfirm").len(), 1);
}

#[tokio::test]
async fn each_end_has_its_code() {
    let rows = [
        ("FAILED", 3),
        ("DISCARDED", 4),
        ("CANCELED", 4),
        ("STOPPED", 4),
        ("FINISHED", 0),
    ];
    for (last, code) in rows {
        let fake = Fake::start().await;
        Run {
            states: vec![("QUEUED", &[]), (last, &[])],
            at_first: 1,
        }
        .install(&fake);
        let done = deploy(&fake, &["--tail"]).await;
        assert_eq!(done.code, code, "{last}: {done:?}");
        assert!(done.err.contains(last), "{}", done.err);
    }
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_does_not_end_following() {
    let fake = Fake::start().await;
    fake.on("stack.run.history", |_, before| match before {
        0 | 1 => Answer::Status(503),
        _ => Answer::Data(
            json!({ "stack": { "run": { "history": [transition(0, "FINISHED", false)] } } }),
        ),
    });
    let done = fake
        .gantry(&["stack", "logs", "--id", "net", "--run", "R1", "--tail"])
        .await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(fake.asked("stack.run.history").len(), 3);
}

#[tokio::test]
async fn someone_else_s_decision_is_not_an_error() {
    let fake = Fake::start().await;
    fake.on("runTrigger", |_, _| {
        Answer::Data(json!({ "runTrigger": { "id": "R1", "state": "QUEUED" } }))
    });
    fake.on("runConfirm", |_, _| Answer::Error("run R1 is DISCARDED"));
    fake.on("stack.run.history", |_, before| {
        let mut history = vec![transition(0, "UNCONFIRMED", false)];
        if before > 0 {
            history.insert(0, transition(1, "DISCARDED", false));
        }
        Answer::Data(json!({ "stack": { "run": { "history": history } } }))
    });
    let done = deploy(&fake, &["--auto-confirm"]).await;
    assert_eq!(done.code, 4, "{done:?}");
}

#[tokio::test]
async fn json_is_one_event_per_line() {
    let fake = Fake::start().await;
    to_the_end("FINISHED").install(&fake);
    let done = deploy(&fake, &["--auto-confirm", "--output", "json"]).await;
    let events: Vec<Value> = done
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let logs = events.iter().filter(|event| event["event"] == "log");
    let logs: String = logs
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    assert_eq!(logs, [PLAN, APPLY].concat().concat());
    assert_eq!(
        *events.last().unwrap(),
        json!({ "event": "end", "run": "R1", "state": "FINISHED" })
    );
}

#[tokio::test]
async fn one_phase_s_logs_come_alone() {
    let fake = Fake::start().await;
    let run = to_the_end("FINISHED");
    Run {
        at_first: run.states.len(),
        ..run
    }
    .install(&fake);
    let args = [
        "stack", "logs", "--id", "net", "--run", "R1", "--phase", "planning", "--tail",
    ];
    let done = fake.gantry(&args).await;
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (0, PLAN.concat().as_str(), "")
    );
}

#[tokio::test]
async fn after_a_confirm_only_what_follows_is_told() {
    let fake = Fake::start().await;
    let run = to_the_end("FINISHED");
    Run { at_first: 3, ..run }.install(&fake);
    let args = ["stack", "confirm", "--id", "net", "--run", "R1", "--tail"];
    let done = fake.gantry(&args).await;
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, APPLY.concat().as_str()),
        "{done:?}"
    );
    assert!(!done.err.contains("PLANNING"), "{}", done.err);
}

#[tokio::test]
async fn what_the_launcher_says_at_the_end_is_told_before_the_end() {
    let fake = Fake::start().await;
    let run = Run {
        states: vec![
            ("QUEUED", &[][..]),
            ("PREPARING", &["Preparing.\n"]),
            ("PERFORMING", APPLY),
            ("FAILED", &[]),
        ],
        at_first: 1,
    };
    run.install(&fake);
    fake.on("stack.run.logs", |vars, _| {
        let logs = match (vars["state"].as_str(), vars["token"].as_str()) {
            // Complete as soon as a phase begins; what is said after the container's end comes later.
            (Some("PREPARING"), None) => said("Preparing.\n", "1"),
            (Some("PREPARING"), Some("1")) => said("Failed: out of memory\n", "2"),
            (_, token) => page(APPLY, &json!(token)),
        };
        Answer::Data(json!({ "stack": { "run": { "logs": logs } } }))
    });
    let done = deploy(&fake, &["--tail"]).await;
    assert_eq!(
        done.out,
        "Preparing.\n\nApply complete!\nFailed: out of memory\n"
    );
}

fn said(message: &str, next: &str) -> Value {
    json!({
        "exists": true, "finished": true, "hasMore": false,
        "messages": [{ "message": message }], "nextToken": next,
    })
}
