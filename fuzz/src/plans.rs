//! Plans as a tool shows them.

use gantry_protocol::plan::{HIDDEN, MAX_DOCUMENT, redact};
use serde_json::Value;

/// Plans: whatever comes is read without harm; what is given out is the same when it is done again, no longer than it may
/// be, and holds nothing where a mark says that all of it is sensitive.
pub fn plan_json(data: &[u8]) {
    let Ok(once) = redact(data, MAX_DOCUMENT) else {
        return;
    };
    assert!(once.bytes().len() <= MAX_DOCUMENT + 2);
    let twice = redact(once.bytes(), MAX_DOCUMENT).expect("what is given out is a plan");
    assert_eq!(once, twice);
    let shown: Value = serde_json::from_slice(once.bytes()).expect("what is given out is JSON");
    look(&shown);
}

fn look(value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(look),
        Value::Object(members) => {
            for (mark, marked) in [
                ("before_sensitive", "before"),
                ("after_sensitive", "after"),
                ("sensitive_values", "values"),
            ] {
                // The same words may be names of what a resource has.
                let is_change = members.contains_key("actions") || marked == "values";
                if is_change && members.get(mark) == Some(&Value::Bool(true)) {
                    let shown = members.get(marked);
                    assert!(shown.is_none_or(|shown| shown == HIDDEN), "{value}");
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    for part in [
        "change",
        "resource_changes",
        "resource_drift",
        "resource_change",
    ] {
        if let Some(below) = value.get(part) {
            look(below);
        }
    }
}
