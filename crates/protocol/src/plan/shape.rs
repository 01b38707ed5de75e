//! What a plan's document may look like: tables of its members.
//!
//! Takes values and [`Shape`]s, gives what fits; everything else is hidden, so a member that a later version of a tool
//! adds does not leave before somebody looked at it here. Never: a constant of the code, because nothing in the document
//! tells which of those are sensitive.

use serde_json::{Map, Value};

use super::marks::{hidden, hide, only_marks, unknown};

/// What a value may be.
pub(super) enum Shape {
    /// A text.
    Text,
    /// A number.
    Number,
    /// A boolean.
    Flag,
    /// An index of a list or of a map.
    Key,
    /// A list of these.
    List(&'static Shape),
    /// An object of these under any names.
    Map(&'static Shape),
    /// An object of these members.
    Fields(&'static [(&'static str, &'static Shape)]),
    /// Whatever this makes of it.
    Rule(fn(Value) -> Value),
}

use Shape::{Fields, Flag, Key, List, Number, Rule, Text};

/// What of `value` fits.
pub(super) fn fit(value: Value, shape: &Shape) -> Value {
    match (shape, value) {
        (_, Value::Null) => Value::Null,
        (Rule(rule), value) => rule(value),
        (Text | Key, value @ Value::String(_))
        | (Number | Key, value @ Value::Number(_))
        | (Flag, value @ Value::Bool(_)) => value,
        (List(item), Value::Array(items)) => {
            items.into_iter().map(|value| fit(value, item)).collect()
        }
        (Shape::Map(member), Value::Object(members)) => {
            let shown = members
                .into_iter()
                .map(|(name, value)| (name, fit(value, member)));
            Value::Object(shown.collect())
        }
        (Fields(fields), Value::Object(members)) => Value::Object(fit_fields(members, fields)),
        _ => hidden(),
    }
}

fn fit_fields(members: Map<String, Value>, fields: &[(&str, &Shape)]) -> Map<String, Value> {
    let shown = members.into_iter().map(|(name, value)| {
        let known = fields.iter().find(|(field, _)| *field == name);
        let shown = known.map_or_else(hidden, |(_, shape)| fit(value, shape));
        (name, shown)
    });
    shown.collect()
}

static TEXTS: Shape = List(&Text);
static PATH: Shape = List(&Key);
static PATHS: Shape = List(&PATH);

/// One of `resource_changes` and of `resource_drift`.
pub(super) static RESOURCE_CHANGE: Shape = Fields(&[
    ("address", &Text),
    ("previous_address", &Text),
    ("module_address", &Text),
    ("mode", &Text),
    ("type", &Text),
    ("name", &Text),
    ("index", &Key),
    ("deposed", &Text),
    ("provider_name", &Text),
    ("action_reason", &Text),
    ("change", &CHANGE),
]);

/// One of `deferred_changes`.
pub(super) static DEFERRED: Shape =
    Fields(&[("reason", &Text), ("resource_change", &RESOURCE_CHANGE)]);

/// `output_changes`.
pub(super) static OUTPUT_CHANGES: Shape = Shape::Map(&CHANGE);

static CHANGE: Shape = Rule(change);

static CHANGE_REST: &[(&str, &Shape)] = &[
    ("actions", &TEXTS),
    ("replace_paths", &PATHS),
    ("importing", &Fields(&[("id", &Text), ("unknown", &Flag)])),
];

fn change(value: Value) -> Value {
    let Value::Object(mut members) = value else {
        return hidden();
    };
    let mut take = |name: &str| members.remove(name);
    let (before, after) = (take("before"), take("after"));
    let (before_mark, after_mark) = (take("before_sensitive"), take("after_sensitive"));
    let later = take("after_unknown");
    let mut shown = fit_fields(members, CHANGE_REST);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    put(
        "before",
        before.map(|value| hide(value, before_mark.as_ref())),
    );
    put("after", after.map(|value| hide(value, after_mark.as_ref())));
    put(
        "after_unknown",
        later.map(|parts| unknown(parts, after_mark.as_ref())),
    );
    put("before_sensitive", before_mark.map(only_marks));
    put("after_sensitive", after_mark.map(only_marks));
    Value::Object(shown)
}

/// `planned_values`, and `values` of `prior_state`.
pub(super) static VALUES: Shape =
    Fields(&[("outputs", &Shape::Map(&OUTPUT)), ("root_module", &MODULE)]);

/// `prior_state`.
pub(super) static STATE: Shape = Fields(&[
    ("format_version", &Text),
    ("terraform_version", &Text),
    ("values", &VALUES),
]);

static MODULE: Shape = Fields(&[
    ("address", &Text),
    ("resources", &List(&RESOURCE)),
    ("child_modules", &MODULES),
]);
static MODULES: Shape = List(&MODULE);
static RESOURCE: Shape = Rule(resource);
static OUTPUT: Shape = Rule(output);

static RESOURCE_REST: &[(&str, &Shape)] = &[
    ("address", &Text),
    ("mode", &Text),
    ("type", &Text),
    ("name", &Text),
    ("index", &Key),
    ("provider_name", &Text),
    ("schema_version", &Number),
    ("depends_on", &TEXTS),
    ("tainted", &Flag),
    ("deposed_key", &Text),
];

fn resource(value: Value) -> Value {
    let Value::Object(mut members) = value else {
        return hidden();
    };
    let (values, mark) = (members.remove("values"), members.remove("sensitive_values"));
    let mut shown = fit_fields(members, RESOURCE_REST);
    if let Some(values) = values {
        shown.insert("values".to_owned(), hide(values, mark.as_ref()));
    }
    if let Some(mark) = mark {
        shown.insert("sensitive_values".to_owned(), only_marks(mark));
    }
    Value::Object(shown)
}

/// An output that does not say that it is not sensitive is.
fn output(value: Value) -> Value {
    let Value::Object(members) = value else {
        return hidden();
    };
    let open = members.get("sensitive") == Some(&Value::Bool(false));
    let shown = members.into_iter().map(|(name, value)| {
        let shown = match name.as_str() {
            "sensitive" => only_marks(value),
            "value" | "type" if open => value,
            _ => hidden(),
        };
        (name, shown)
    });
    Value::Object(shown.collect())
}

/// `configuration`.
pub(super) static CONFIGURATION: Shape = Fields(&[
    ("provider_config", &Shape::Map(&PROVIDER)),
    ("root_module", &CODE),
]);

static PROVIDER: Shape = Fields(&[
    ("name", &Text),
    ("full_name", &Text),
    ("alias", &Text),
    ("module_address", &Text),
    ("version_constraint", &Text),
    ("expressions", &EXPRESSIONS),
]);

static CODE: Shape = Fields(&[
    ("outputs", &Shape::Map(&OUTPUT_CODE)),
    ("resources", &List(&RESOURCE_CODE)),
    ("module_calls", &Shape::Map(&CALL)),
    ("variables", &Shape::Map(&VARIABLE)),
]);

static OUTPUT_CODE: Shape = Fields(&[
    ("sensitive", &Flag),
    ("ephemeral", &Flag),
    ("description", &Text),
    ("depends_on", &TEXTS),
    ("expression", &EXPRESSIONS),
]);

static RESOURCE_CODE: Shape = Fields(&[
    ("address", &Text),
    ("mode", &Text),
    ("type", &Text),
    ("name", &Text),
    ("provider_config_key", &Text),
    ("schema_version", &Number),
    ("depends_on", &TEXTS),
    ("expressions", &EXPRESSIONS),
    ("count_expression", &EXPRESSIONS),
    ("for_each_expression", &EXPRESSIONS),
    ("provisioners", &List(&PROVISIONER)),
]);

static PROVISIONER: Shape = Fields(&[("type", &Text), ("expressions", &EXPRESSIONS)]);

static CALL: Shape = Fields(&[
    ("source", &Text),
    ("version_constraint", &Text),
    ("depends_on", &TEXTS),
    ("expressions", &EXPRESSIONS),
    ("count_expression", &EXPRESSIONS),
    ("for_each_expression", &EXPRESSIONS),
    ("module", &CODE),
]);

static VARIABLE: Shape = Rule(variable);
static EXPRESSIONS: Shape = Rule(expressions);

/// Whether a variable's declaration says that its values may be seen.
pub(super) fn is_open(declaration: &Value) -> bool {
    let closed = |name| !matches!(declaration.get(name), None | Some(Value::Bool(false)));
    declaration.is_object() && !closed("sensitive") && !closed("ephemeral")
}

fn variable(value: Value) -> Value {
    let open = is_open(&value);
    let Value::Object(members) = value else {
        return hidden();
    };
    let shown = members.into_iter().map(|(name, value)| {
        let shown = match name.as_str() {
            "description" => fit(value, &Text),
            "sensitive" | "ephemeral" => only_marks(value),
            "default" if open => value,
            _ => hidden(),
        };
        (name, shown)
    });
    Value::Object(shown.collect())
}

/// What an expression refers to. Its constants may be passwords, and nothing here tells.
fn expressions(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(expressions).collect(),
        Value::Object(members) => {
            let shown = members.into_iter().map(|(name, value)| {
                let shown = match name.as_str() {
                    "constant_value" => hidden(),
                    "references" if is_texts(&value) => value,
                    _ => expressions(value),
                };
                (name, shown)
            });
            Value::Object(shown.collect())
        }
        Value::Null => Value::Null,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => hidden(),
    }
}

fn is_texts(value: &Value) -> bool {
    let list = value.as_array();
    list.is_some_and(|items| items.iter().all(Value::is_string))
}

/// `relevant_attributes`.
pub(super) static RELEVANT: Shape = List(&Fields(&[("resource", &Text), ("attribute", &PATH)]));

/// `checks`.
pub(super) static CHECKS: Shape = List(&Fields(&[
    ("address", &CHECKED),
    ("status", &Text),
    (
        "instances",
        &List(&Fields(&[
            ("address", &CHECKED),
            ("status", &Text),
            ("problems", &List(&Fields(&[("message", &Text)]))),
        ])),
    ),
]));

static CHECKED: Shape = Fields(&[
    ("kind", &Text),
    ("to_display", &Text),
    ("module", &Text),
    ("mode", &Text),
    ("type", &Text),
    ("name", &Text),
    ("instance_key", &Key),
]);
