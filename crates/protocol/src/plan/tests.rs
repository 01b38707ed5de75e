//! What leaves a host of plans, and what does not.

use super::*;
use crate::plan::{HIDDEN, MAX_DOCUMENT};
use proptest::prelude::*;
use serde_json::{Map, json};

fn seen(plan: &Value) -> Value {
    let redacted = redact(plan.to_string().as_bytes(), MAX_DOCUMENT).unwrap();
    serde_json::from_slice(redacted.bytes()).unwrap()
}

/// A plan as Terraform 1.11 shows it, with a secret in every place that can have one.
fn plan() -> Value {
    let change = json!({
        "actions": ["delete", "create"], "before": {"id": "open-id", "password": "SECRET1"},
        "after": {"password": "SECRET2", "tags": ["open-tag", "SECRET3"]},
        "after_unknown": {"id": true, "map": {"SECRET4": true}},
        "before_sensitive": {"password": true}, "after_sensitive": {"password": true, "map": true, "tags": [false, true]},
        "replace_paths": [["password"], ["tags", 0]], "importing": {"id": "open-import", "identity": {"a": "SECRET5"}},
        "generated_config": "a = \"SECRET6\"", "before_identity": {"x": "SECRET7"},
    });
    let resource = json!({
        "address": "a.b", "mode": "managed", "type": "a", "name": "b", "index": "open-index",
        "provider_name": "p", "schema_version": 0, "values": {"password": "SECRET8", "id": "open-id"},
        "sensitive_values": {"password": true}, "depends_on": ["a.c"], "identity": {"x": "SECRET9"},
    });
    let unmarked = json!({ "address": "a.d", "values": { "password": "SECRET10" } });
    let changed =
        json!({ "address": "a.b", "previous_address": "a.old", "type": "a", "change": change });
    let outputs = json!({
        "open": {"sensitive": false, "type": "string", "value": "open-output"},
        "closed": {"sensitive": true, "type": ["object", {"SECRET11": "string"}], "value": {"SECRET11": "x"}},
        "unsaid": {"value": "SECRET12"},
    });
    let values = json!({ "outputs": outputs, "root_module": {
        "resources": [resource, unmarked],
        "child_modules": [{ "address": "module.m", "resources": [resource], "child_modules": [] }],
    }});
    json!({
        "format_version": "1.2", "terraform_version": "1.11.4", "timestamp": "open-time",
        "applyable": true, "complete": true, "errored": false,
        "variables": {"open": {"value": "open-variable"}, "closed": {"value": "SECRET13"}, "brief": {"value": "SECRET14"}, "undeclared": {"value": "SECRET15"}},
        "planned_values": values,
        "prior_state": { "format_version": "1.0", "terraform_version": "1.11.4", "values": values },
        "resource_changes": [changed], "resource_drift": [changed],
        "deferred_changes": [{ "reason": "open-reason", "resource_change": changed }],
        "output_changes": { "o": { "actions": ["create"], "before": null, "after": "SECRET16", "after_unknown": false, "before_sensitive": true, "after_sensitive": true } },
        "configuration": {
            "provider_config": {"p": {"name": "p", "full_name": "registry/p", "expressions": {"token": {"constant_value": "SECRET17"}, "region": {"references": ["var.open"]}}}},
            "root_module": {
                "variables": {"open": {"default": "open-default", "description": "open-words"}, "closed": {"default": "SECRET18", "sensitive": true}, "brief": {"ephemeral": true, "default": "SECRET19"}},
                "outputs": {"o": {"sensitive": true, "expression": {"constant_value": "SECRET20"}}},
                "resources": [{"address": "a.b", "mode": "managed", "type": "a", "name": "b", "expressions": {"password": {"constant_value": "SECRET21"}, "block": [{"references": [{"constant_value": "SECRET22"}]}]}, "provisioners": [{"type": "local-exec", "expressions": {"command": {"constant_value": "SECRET23"}}}]}],
                "module_calls": {"m": {"source": "./open-source", "expressions": {"key": {"constant_value": "SECRET24"}}, "module": {"variables": {"key": {"sensitive": true, "default": "SECRET25"}}, "later": "SECRET26"}}},
            },
        },
        "relevant_attributes": [{"resource": "a.b", "attribute": ["open-path", 0]}],
        "checks": [{"address": {"kind": "resource", "to_display": "a.b"}, "status": "pass", "instances": [{"address": {"to_display": "a.b"}, "status": "fail", "problems": [{"message": "open-problem"}]}]}],
        "action_invocations": [{ "config": "SECRET27" }],
    })
}

#[test]
fn everything_that_may_be_seen_is_and_nothing_else() {
    let seen = seen(&plan());
    let text = seen.to_string();
    assert!(!text.contains("SECRET"), "{text}");
    for open in [
        "id", "tag", "import", "index", "output", "variable", "default", "words", "source", "path",
        "problem", "reason", "time",
    ] {
        let open = format!("open-{open}");
        assert!(text.contains(&open), "{open}: {text}");
    }
    let change = &seen["resource_changes"][0]["change"];
    assert_eq!(change["after"]["tags"], json!(["open-tag", HIDDEN]));
    assert_eq!(change["after_unknown"], json!({"id": true, "map": true}));
    assert_eq!(change["replace_paths"], json!([["password"], ["tags", 0]]));
    assert_eq!(seen["output_changes"]["o"]["before"], HIDDEN);
    let code = &seen["configuration"]["root_module"]["resources"][0]["expressions"];
    assert_eq!(code["password"], json!({"constant_value": HIDDEN}));
    assert_eq!(seen["format_version"], "1.2");
}

#[test]
fn done_twice_it_is_the_same() {
    let once = redact(plan().to_string().as_bytes(), MAX_DOCUMENT).unwrap();
    let twice = redact(once.bytes(), MAX_DOCUMENT).unwrap();
    assert_eq!(once, twice);
}

#[test]
fn what_is_no_plan_gives_nothing_and_shows_nothing() {
    let deep = format!(
        r#"{{"format_version":"1.2","prior_state":{}1{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let table = [
        ("", "not the JSON"),
        ("[]", "not the JSON"),
        ("{}", "not the JSON"),
        (r#"{"format_version":1}"#, "not the JSON"),
        (r#"{"format_version":"2.0","variables":{}}"#, "version 2.0"),
        (
            r#"{"format_version":"1.2"} {"password":"hunter2"}"#,
            "not the JSON",
        ),
        (
            r#"{"format_version":"1.2","resource_changes":"hunter2"}"#,
            "not the JSON",
        ),
        (
            r#"{"format_version":"1.2","configuration":{},"configuration":"hunter2"}"#,
            "not the JSON",
        ),
        (&deep, "not the JSON"),
    ];
    for (text, expected) in table {
        let error = redact(text.as_bytes(), MAX_DOCUMENT).unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains(expected) && !told.contains("hunter2"),
            "{text}: {told}"
        );
        assert!(std::error::Error::source(&error).is_none());
    }
}

#[test]
fn both_limits_hold() {
    let long = plan().to_string();
    let most = redact(long.as_bytes(), MAX_DOCUMENT).unwrap().bytes().len();
    assert!(redact(long.as_bytes(), most + 500).is_ok());
    let refused = redact(long.as_bytes(), most - 500).unwrap_err();
    assert!(matches!(refused, PlanError::TooLong(_)), "{refused}");
    let hidden = " ".repeat(usize::try_from(MAX_SHOWN).unwrap());
    let refused = redact(format!("{hidden}{long}").as_bytes(), MAX_DOCUMENT).unwrap_err();
    assert!(matches!(refused, PlanError::TooMuchShown(_)), "{refused}");
}

/// A value, its mark, and whether what is below is marked.
#[derive(Clone, Debug)]
enum Node {
    Leaf(bool),
    List(bool, Vec<Node>),
    Object(bool, Vec<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = any::<bool>().prop_map(Node::Leaf);
    leaf.prop_recursive(5, 60, 6, |inner| {
        let many = prop::collection::vec(inner, 0..6);
        let marked = prop::bool::weighted(0.2);
        prop_oneof![
            (marked, many.clone()).prop_map(|(marked, items)| Node::List(marked, items)),
            (marked, many).prop_map(|(marked, items)| Node::Object(marked, items)),
        ]
    })
}

/// Builds value and mark; each leaf is a text of its own that tells whether it is marked.
fn built(node: &Node, above: bool, count: &mut u32) -> (Value, Value) {
    *count += 1;
    let word = |marked: bool| if marked { "SECRET" } else { "open" };
    match node {
        Node::Leaf(marked) => {
            let text = format!("{}-{count}.", word(above || *marked));
            (Value::from(text), Value::Bool(*marked))
        }
        Node::List(marked, items) => {
            let below = above || *marked;
            let pairs: Vec<_> = items.iter().map(|item| built(item, below, count)).collect();
            let (values, marks): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let mark = if *marked {
                Value::Bool(true)
            } else {
                Value::Array(marks)
            };
            (Value::Array(values), mark)
        }
        Node::Object(marked, items) => {
            let below = above || *marked;
            let (mut values, mut marks) = (Map::new(), Map::new());
            for item in items {
                let (value, mark) = built(item, below, count);
                let name = format!("{}-{count}:", word(below));
                // As the tools do: what is not marked is not mentioned.
                if mark != Value::Bool(false) {
                    marks.insert(name.clone(), mark);
                }
                values.insert(name, value);
            }
            let mark = if *marked {
                Value::Bool(true)
            } else {
                Value::Object(marks)
            };
            (Value::Object(values), mark)
        }
    }
}

proptest! {
    #[test]
    fn no_marked_leaf_survives_and_no_other_is_lost(node in node()) {
        let (value, mark) = built(&node, false, &mut 0);
        let open = value.to_string().matches("open").count();
        let change = json!({ "actions": ["update"], "before": value, "before_sensitive": mark, "after": value, "after_sensitive": mark, "after_unknown": mark });
        let resource = json!({ "values": value, "sensitive_values": mark });
        let of = |plan: &Value| seen(plan).to_string();
        let in_change = of(&json!({ "format_version": "1.2", "resource_changes": [{ "change": change }] }));
        prop_assert!(!in_change.contains("SECRET"), "{in_change}");
        let in_values = of(&json!({ "format_version": "1.2", "planned_values": { "root_module": { "resources": [resource] } } }));
        prop_assert!(!in_values.contains("SECRET"), "{in_values}");
        let shown: Value = serde_json::from_str(&in_values).unwrap();
        let values = &shown["planned_values"]["root_module"]["resources"][0]["values"];
        prop_assert_eq!(values.to_string().matches("open").count(), open);
    }

    #[test]
    fn whatever_comes_is_read_without_harm_and_is_the_same_twice(text in "[\\[\\]{}:,a-z0-9\"]{0,60}", plan in any_json()) {
        let _ = redact(text.as_bytes(), MAX_DOCUMENT);
        if let Ok(once) = redact(plan.to_string().as_bytes(), MAX_DOCUMENT) {
            let twice = redact(once.bytes(), MAX_DOCUMENT).unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}

/// JSON under the names that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 22] = [
        "resource_changes",
        "output_changes",
        "change",
        "before",
        "after",
        "before_sensitive",
        "after_sensitive",
        "after_unknown",
        "planned_values",
        "prior_state",
        "values",
        "root_module",
        "child_modules",
        "resources",
        "sensitive_values",
        "configuration",
        "variables",
        "sensitive",
        "default",
        "expressions",
        "constant_value",
        "references",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(6, 80, 6, |inner| {
        let named = (prop::sample::select(NAMES.to_vec()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(named, 0..6).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    });
    tree.prop_map(|mut tree| {
        if let Value::Object(members) = &mut tree {
            members.insert("format_version".to_owned(), json!("1.2"));
        }
        tree
    })
}
