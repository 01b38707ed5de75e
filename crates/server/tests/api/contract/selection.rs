//! Whether an answer has the keys that an operation selected, and no others: clients fail on both.
//!
//! Takes an operation's text and its data. A null is right everywhere.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is selected of an object. A field of a fragment may be missing: the object may be of another type.
#[derive(Debug, Default)]
struct Selected {
    fields: BTreeMap<String, Selected>,
    in_fragments: BTreeMap<String, Selected>,
}

/// Panics with the path of the first key that is missing or too many.
pub(super) fn check(text: &str, data: &Value) {
    let start = text.find('{').expect("an operation has braces");
    let mut rest = &text[start..];
    let selected = parse(&mut rest);
    compare(&selected, data, "data");
}

fn parse(rest: &mut &str) -> Selected {
    let mut selected = Selected::default();
    *rest = &rest[1..];
    loop {
        *rest = rest.trim_start_matches([',', ' ', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            return selected;
        }
        if let Some(after) = rest.strip_prefix("... on ") {
            *rest = &after[after.find('{').expect("a fragment has braces")..];
            let inner = parse(rest);
            selected.in_fragments.extend(inner.fields);
            selected.in_fragments.extend(inner.in_fragments);
            continue;
        }
        let end = rest.find([',', '(', '{', '}', ':']).expect("a field ends");
        let key = rest[..end].trim().to_owned();
        *rest = &rest[end..];
        if let Some(after) = rest.strip_prefix(':') {
            let after = after.trim_start();
            *rest = &after[after.find([',', '(', '{', '}']).expect("a field ends")..];
        }
        if rest.starts_with('(') {
            *rest = &rest[rest.find(')').expect("arguments end") + 1..];
        }
        let inner = if rest.starts_with('{') {
            parse(rest)
        } else {
            Selected::default()
        };
        selected.fields.insert(key, inner);
    }
}

fn compare(selected: &Selected, value: &Value, path: &str) {
    match value {
        Value::Array(all) => {
            for (n, one) in all.iter().enumerate() {
                compare(selected, one, &format!("{path}[{n}]"));
            }
        }
        Value::Object(object) => {
            for (key, inner) in &selected.fields {
                let value = object.get(key);
                let value = value.unwrap_or_else(|| panic!("{path}.{key} is missing"));
                compare(inner, value, &format!("{path}.{key}"));
            }
            for (key, value) in object {
                if selected.fields.contains_key(key) {
                    continue;
                }
                let inner = selected.in_fragments.get(key);
                let inner = inner.unwrap_or_else(|| panic!("{path}.{key} was not asked for"));
                compare(inner, value, &format!("{path}.{key}"));
            }
        }
        _ => {}
    }
}

#[test]
#[should_panic(expected = "data.a[1].c is missing")]
fn a_missing_key_is_named() {
    let data = serde_json::json!({ "a": [{ "b": null, "c": 1 }, { "b": 2 }] });
    check("query($x:ID!){a(x: $x){b{d},c}}", &data);
}

#[test]
#[should_panic(expected = "data.a.z was not asked for")]
fn a_key_too_many_is_named() {
    let data = serde_json::json!({ "a": { "t": "X", "n": 1, "z": 2 } });
    check("{a{t: __typename,... on X{n: number},... on Y{m}}}", &data);
}
