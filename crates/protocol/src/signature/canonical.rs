//! JSON with one spelling: members sorted by name, no white space.
//!
//! Takes a JSON value, gives its bytes. Never: two spellings of one value, because digests are made of them.
//! (RFC 8785 for values without fractions, whose names sort the same in UTF-8 and UTF-16 below U+10000.)

use serde::Serialize;
use serde_json::{Map, Value};

/// The one spelling of `value`.
pub fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(&sorted(value)).expect("invariant: a JSON value serialises")
}

/// The one spelling of what `value` serialises to.
pub fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    bytes(&value_of(value))
}

/// `value` as JSON.
pub(super) fn value_of<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("invariant: plain data serialises")
}

/// Other crates of a build can make `Map` keep the order of insertion: then this is what sorts.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let sorted = members
                .into_iter()
                .map(|(name, value)| (name.clone(), sorted(value)));
            Value::Object(sorted.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_sorted_at_every_depth() {
        let value: Value =
            serde_json::from_str(r#"{ "b": [ {"z": 1, "a": "é\n"} ], "a": null }"#).unwrap();
        let text = String::from_utf8(bytes(&value)).unwrap();
        assert_eq!(text, r#"{"a":null,"b":[{"a":"é\n","z":1}]}"#);
    }
}
