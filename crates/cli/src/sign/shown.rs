//! A run as its signer reads it: a line for each part, or only what changed.
//!
//! Takes documents, gives lines. Pure. Never: a part of the document without a line.

use std::collections::BTreeMap;

use gantry_protocol::signature::RunDocument;
use serde_json::Value;

/// Width of the names.
const NAMES: usize = 18;

/// Every part.
pub fn whole(document: &RunDocument) -> Vec<String> {
    let parts = parts(document).into_iter();
    parts
        .map(|(name, value)| format!("  {name:NAMES$}  {value}"))
        .collect()
}

/// What is new, gone or other than in `before`; nothing where the two are the same.
pub fn difference(before: &RunDocument, after: &RunDocument) -> Vec<String> {
    let index = |document| parts(document).into_iter().collect::<BTreeMap<_, _>>();
    let (old, new) = (index(before), index(after));
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let gone = gone.map(|(name, value)| format!("- {name:NAMES$}  {value}"));
    let rest = new.iter().filter_map(|(name, value)| match old.get(name) {
        None => Some(format!("+ {name:NAMES$}  {value}")),
        Some(before) if before != value => Some(format!("~ {name:NAMES$}  {before}  →  {value}")),
        Some(_) => None,
    });
    let mut lines: Vec<_> = gone.chain(rest).collect();
    if lines.is_empty() && before != after {
        // The same parts: only the order in which variables or files are set can differ.
        lines.push(format!(
            "~ {:NAMES$}  variables or files are set in another order",
            "order"
        ));
    }
    lines
}

/// Names and values, in the document's order. A name that comes again is numbered.
fn parts(document: &RunDocument) -> Vec<(String, String)> {
    let Ok(Value::Object(members)) = serde_json::to_value(document) else {
        unreachable!("invariant: a document is an object")
    };
    let mut parts = Vec::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("environment" | "files", Value::Array(entries)) => {
                parts.extend(entries.iter().map(|entry| named(&name, entry)));
            }
            ("hooks", Value::Object(lists)) => {
                let lists = lists
                    .into_iter()
                    .filter_map(|(list, commands)| Some((list, commands.as_array()?.clone())));
                for (list, commands) in lists {
                    let commands = commands.iter().enumerate();
                    parts.extend(
                        commands.map(|(at, command)| (format!("{list} {}", at + 1), text(command))),
                    );
                }
            }
            (_, value) => parts.push((name, text(&value))),
        }
    }
    numbered(parts)
}

/// A variable or file by its name, with what stands for its value.
fn named(kind: &str, entry: &Value) -> (String, String) {
    let (name, value) = match kind {
        "environment" => (&entry["name"], &entry["value"]),
        _ => (&entry["path"], &entry["content"]),
    };
    let mark = match entry["secret"] == Value::Bool(true) {
        true => " (secret)",
        false => "",
    };
    let kind = if kind == "files" { "file" } else { "variable" };
    (
        format!("{kind} {}", text(name)),
        format!("{}{mark}", text(value)),
    )
}

fn numbered(parts: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let number = |(name, value): (String, String)| {
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        match *times {
            1 => (name, value),
            times => (format!("{name} ({times})"), value),
        }
    };
    parts.into_iter().map(number).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}
