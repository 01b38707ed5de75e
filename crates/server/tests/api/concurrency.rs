//! Decisions at one instant: one of them wins, and nobody waits for ever.

use futures_util::future::join_all;
use gantry_protocol::{Attempt, RunType};
use gantry_server::domain::{GrantedPhase, RunEnd, RunEvent};
use serde_json::{Value, json};

use crate::approval::{self, REVIEW, says};
use crate::policies::TWO_EYES;
use crate::runs::{CANCEL, CONFIRM, DISCARD, TRIGGER, deploy, of, trigger};
use crate::world::{Client, World};

/// How often two people decide at once: which of them is first changes from time to time.
const ROUNDS: usize = 12;

const STATES: &str =
    "query($stack:ID!$before:ID){stack(id: $stack){runs(before: $before){id,state}}}";

fn won(answer: &Value) -> bool {
    answer.get("errors").is_none()
}

/// Two decisions about one waiting run; which of them won.
async fn at_once(world: &World, run: &str, texts: [&str; 2]) -> usize {
    let (first, second) = tokio::join!(
        world.writer.post(texts[0], of(run)),
        world.admin.post(texts[1], of(run))
    );
    assert_ne!(won(&first), won(&second), "{first} {second}");
    let lost = if won(&first) { &second } else { &first };
    let words = lost["errors"][0]["message"].as_str().unwrap();
    assert!(words.contains(run) && words.contains("cannot"), "{words}");
    usize::from(won(&second))
}

async fn state(world: &World, run: &str) -> String {
    let text = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){state}}}";
    let found = world.reader.ok(text, of(run)).await;
    found["stack"]["run"]["state"].as_str().unwrap().to_owned()
}

/// Plays the launcher from a confirm to the end.
async fn applies(world: &World, run: &str) {
    let two = Attempt(2);
    for event in [
        RunEvent::Leased,
        RunEvent::Granted(two, GrantedPhase::Apply),
        RunEvent::Ended(two, RunEnd::Succeeded),
    ] {
        world.happens(run, event).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_confirms_at_one_instant_one_wins() {
    let world = World::new().await;
    world.stack().await;
    for _ in 0..ROUNDS {
        let run = deploy(&world.writer).await;
        world.plans_changes(&run).await;
        at_once(&world, &run, [CONFIRM, CONFIRM]).await;
        assert_eq!(state(&world, &run).await, "CONFIRMED");
        let text = "query($run:ID!$stack:ID!){stack(id: $stack){run(id: $run){history{state}}}}";
        let history = world.reader.ok(text, of(&run)).await;
        let history = history["stack"]["run"]["history"]
            .as_array()
            .unwrap()
            .clone();
        let confirms = history.iter().filter(|row| row["state"] == "CONFIRMED");
        assert_eq!(confirms.count(), 1);
        applies(&world, &run).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_confirm_and_a_discard_one_wins() {
    let world = World::new().await;
    world.stack().await;
    for _ in 0..ROUNDS {
        let run = deploy(&world.writer).await;
        world.plans_changes(&run).await;
        let winner = at_once(&world, &run, [CONFIRM, DISCARD]).await;
        let expected = ["CONFIRMED", "DISCARDED"][winner];
        assert_eq!(state(&world, &run).await, expected);
        if winner == 0 {
            applies(&world, &run).await;
        }
    }
}

/// What one person does with a run that waits for reviews.
async fn decides(client: &Client, run: &str, decision: &str) -> bool {
    won(&client.post(REVIEW, says(run, decision, "")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_approval_and_a_rejection_at_one_instant_none_is_taken_and_forgotten() {
    let world = approval::world(TWO_EYES).await;
    for _ in 0..ROUNDS {
        let run = deploy(&world.writer).await;
        let (approved, rejected) = tokio::join!(
            decides(&world.writer, &run, "APPROVE"),
            decides(&world.admin, &run, "REJECT")
        );
        let shown = approval::shown(&world, &run).await;
        let reviews = shown["reviews"].as_array().unwrap();
        assert_eq!(reviews.len(), usize::from(approved) + usize::from(rejected));
        // A rejection that was taken counts, also beside an approval.
        let expected = if rejected { "FAILED" } else { "READY" };
        assert_eq!(shown["state"], expected, "{shown}");
        if !rejected {
            world.writer.ok(CANCEL, of(&run)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_approve_and_two_confirm_at_one_instant() {
    let both = "package spacelift\nnames := {a.author | a := input.reviews.current.approvals[_]}\napprove { count(names) >= 2 }\n";
    let world = approval::world(both).await;
    for _ in 0..ROUNDS {
        let run = deploy(&world.writer).await;
        let (first, second) = tokio::join!(
            decides(&world.writer, &run, "APPROVE"),
            decides(&world.admin, &run, "APPROVE")
        );
        assert!(first && second, "both are heard");
        assert_eq!(state(&world, &run).await, "READY");
        world.plans_changes(&run).await;
        let (first, second, one, other) = tokio::join!(
            decides(&world.writer, &run, "APPROVE"),
            decides(&world.admin, &run, "APPROVE"),
            world.writer.post(CONFIRM, of(&run)),
            world.admin.post(CONFIRM, of(&run))
        );
        assert!(first && second, "both are heard");
        assert!(!(won(&one) && won(&other)), "{one} {other}");
        if !won(&one) && !won(&other) {
            world.writer.ok(CONFIRM, of(&run)).await;
        }
        assert_eq!(state(&world, &run).await, "CONFIRMED");
        applies(&world, &run).await;
    }
}

/// The one run of the stack that waits for nothing.
async fn ahead(world: &World) -> String {
    let asked = json!({ "stack": "net", "before": null });
    let shown = world.reader.ok(STATES, asked).await;
    let shown = shown["stack"]["runs"].as_array().unwrap().clone();
    let mut ready = shown.iter().filter(|run| run["state"] == "READY");
    let (Some(run), None) = (ready.next(), ready.next()) else {
        panic!("not one run is ahead: {shown:?}");
    };
    run["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_triggers_at_once_have_one_lock_and_one_order() {
    let world = World::new().await;
    let head = world.stack().await;
    let made = join_all((0..50).map(|n| {
        let client = if n % 2 == 0 {
            &world.writer
        } else {
            &world.admin
        };
        client.ok(TRIGGER, trigger(RunType::Tracked, Some(&head)))
    }))
    .await;
    let id = |answer: &Value| answer["runTrigger"]["id"].as_str().unwrap().to_owned();
    let mut waiting: Vec<String> = made.iter().map(id).collect();
    waiting.sort();
    waiting.dedup();
    assert_eq!(waiting.len(), 50);
    // Requests at one instant have no order among them: whichever was written first is ahead, and the others wait
    // in the order of their ids.
    let first = ahead(&world).await;
    waiting.retain(|id| *id != first);
    waiting.insert(0, first);
    for (n, next) in waiting.iter().enumerate() {
        // Every few runs all of them are looked at: one is ahead, all others wait for it.
        if n % 10 == 0 {
            assert_eq!(ahead(&world).await, *next);
        }
        assert_eq!(state(&world, next).await, "READY", "run {n} of the queue");
        world.plans_changes(next).await;
        world.writer.ok(DISCARD, of(next)).await;
    }
}
