//! Every run that the server knows of a stack.

use gantry_test_support::{Run, SHORT, World, wait_for};
use serde_json::{Value, json};

/// A run that has ended.
pub(super) struct Ended {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) note: String,
    pub(super) attempt: u64,
    pub(super) applies: usize,
}

/// All of them, previews too.
pub(super) fn every(world: &World, stack: &str) -> Vec<Ended> {
    let mut ended = Vec::new();
    let mut before = Value::Null;
    loop {
        let page = page(world, stack, &before);
        let Some(last) = page.last() else {
            return ended;
        };
        before = Value::from(last.as_str());
        ended.extend(page.iter().map(|id| look(world, stack, id)));
    }
}

fn page(world: &World, stack: &str, before: &Value) -> Vec<String> {
    let query =
        "query($stack: ID!, $before: ID) { stack(id: $stack) { runs(before: $before) { id } } }";
    let data = wait_for("a page of runs", SHORT, || {
        world
            .api()
            .ask(query, json!({ "stack": stack, "before": before }))
    });
    let rows = data["stack"]["runs"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ids = rows.iter().filter_map(|row| row["id"].as_str());
    ids.map(str::to_owned).collect()
}

fn look(world: &World, stack: &str, id: &str) -> Ended {
    let run = Run::of(world, stack, id);
    let seen = wait_for("a run", SHORT, || run.try_look());
    Ended {
        id: id.to_owned(),
        note: seen.reasons(),
        attempt: seen.attempt,
        applies: seen.times("APPLYING"),
        state: seen.state,
    }
}
