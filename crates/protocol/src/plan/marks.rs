//! Values beside their marks, as a tool writes the two.
//!
//! A mark is `true` (all of it is sensitive), `false` (nothing is), or an object or list with marks of the parts. In an
//! object what is not mentioned is not sensitive; in a list every part is mentioned. Never: a value given out whose mark
//! does not fit it.

use serde_json::Value;

use super::HIDDEN;

/// What stands in a hidden value's place.
pub(super) fn hidden() -> Value {
    Value::String(HIDDEN.to_owned())
}

/// `value` without what `mark` marks; without a mark nothing of it.
pub(super) fn hide(value: Value, mark: Option<&Value>) -> Value {
    match (mark, value) {
        (Some(Value::Bool(true)), _) => hidden(),
        (_, Value::Null) => Value::Null,
        (Some(Value::Bool(false)), value) => value,
        (Some(Value::Object(marks)), Value::Object(members)) => {
            let shown = members
                .into_iter()
                .map(|(name, member)| match marks.get(&name) {
                    Some(mark) => (name, hide(member, Some(mark))),
                    None => (name, member),
                });
            Value::Object(shown.collect())
        }
        (Some(Value::Array(marks)), Value::Array(items)) => {
            let shown = items.into_iter().enumerate();
            shown.map(|(at, item)| hide(item, marks.get(at))).collect()
        }
        _ => hidden(),
    }
}

/// A mark with nothing but marks in it: what is none counts as `true`.
pub(super) fn only_marks(mark: Value) -> Value {
    match mark {
        Value::Bool(_) | Value::Null => mark,
        Value::Array(items) => items.into_iter().map(only_marks).collect(),
        Value::Object(members) => {
            let marks = members.into_iter();
            Value::Object(marks.map(|(name, mark)| (name, only_marks(mark))).collect())
        }
        Value::Number(_) | Value::String(_) => Value::Bool(true),
    }
}

/// Which parts are known after the apply only, without the names of parts of what is marked.
pub(super) fn unknown(parts: Value, mark: Option<&Value>) -> Value {
    match (mark, parts) {
        (Some(Value::Bool(true)) | None, parts) => Value::Bool(any(&parts)),
        (Some(Value::Object(marks)), Value::Object(parts)) => {
            let none = Value::Bool(false);
            let shown = parts.into_iter().map(|(name, part)| {
                let mark = marks.get(&name).unwrap_or(&none);
                let shown = unknown(part, Some(mark));
                (name, shown)
            });
            Value::Object(shown.collect())
        }
        (Some(Value::Array(marks)), Value::Array(parts)) => {
            let shown = parts.into_iter().enumerate();
            shown
                .map(|(at, part)| unknown(part, marks.get(at)))
                .collect()
        }
        (Some(Value::Bool(false)), parts) => only_marks(parts),
        (Some(_), parts) => Value::Bool(any(&parts)),
    }
}

fn any(parts: &Value) -> bool {
    match parts {
        Value::Bool(known_later) => *known_later,
        Value::Array(items) => items.iter().any(any),
        Value::Object(members) => members.values().any(any),
        Value::Null => false,
        Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mark_that_does_not_fit_hides() {
        let h = HIDDEN;
        let table = [
            (json!("x"), json!(true), json!(h)),
            (json!(null), json!(true), json!(h)),
            (json!("x"), json!(false), json!("x")),
            (
                json!({"a": 1, "b": 2}),
                json!({"a": true}),
                json!({"a": h, "b": 2}),
            ),
            (
                json!({"a": {"c": [1, 2]}}),
                json!({"a": {"c": [false, true]}}),
                json!({"a": {"c": [1, h]}}),
            ),
            (json!({"a": null}), json!({"a": {}}), json!({"a": null})),
            (json!([1, 2]), json!([false]), json!([1, h])),
            (json!([1, 2]), json!([]), json!([h, h])),
            (json!([1]), json!({}), json!(h)),
            (json!({"a": 1}), json!([]), json!(h)),
            (json!("x"), json!({}), json!(h)),
            (json!("x"), json!("no"), json!(h)),
            (json!("x"), json!(null), json!(h)),
        ];
        for (value, mark, expected) in table {
            let name = format!("{value} {mark}");
            assert_eq!(hide(value, Some(&mark)), expected, "{name}");
        }
        assert_eq!(hide(json!({"a": 1}), None), json!(h));
        assert_eq!(hide(json!(null), None), json!(null));
    }

    #[test]
    fn names_of_parts_of_what_is_marked_are_not_told() {
        let parts = json!({"m": {"key": true}, "o": {"key": true}, "s": "odd", "l": [true, {}]});
        let mark = json!({"m": true, "l": [false, true]});
        let expected = json!({"m": true, "o": {"key": true}, "s": true, "l": [true, false]});
        assert_eq!(unknown(parts, Some(&mark)), expected);
        assert_eq!(
            only_marks(json!({"a": ["b", false]})),
            json!({"a": [true, false]})
        );
    }
}
