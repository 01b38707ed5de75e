//! What a request that changes something is about, for the line in the audit trail if it is refused.
//!
//! Takes the operations of a request and its variables, gives by the name of each answer the thing that it names. Never:
//! a value that is not the id of a thing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::parser::types::{Field, OperationDefinition, Selection};
use async_graphql::{Value, Variables};

/// Longest id that is noted, in characters; none is longer.
const ID_LIMIT: usize = 64;

/// What the trail calls an operation that names no thing.
const NO_THING: &str = "api:graphql";

/// Arguments that name a thing, the one that an operation is about first, and what each names; `id` names what the
/// operation's own name begins with.
const ARGUMENTS: [(&str, Option<&str>); 8] = [
    ("id", None),
    ("run", Some("run")),
    ("stack", Some("stack")),
    ("workerPool", Some("pool")),
    ("pool", Some("pool")),
    ("policy", Some("policy")),
    ("context", Some("context")),
    ("space", Some("space")),
];

/// Beginnings of operations whose `id` names a thing, the longer ones first.
const KINDS: [(&str, &str); 10] = [
    ("workerPool", "pool"),
    ("worker", "launcher"),
    ("stack", "stack"),
    ("run", "run"),
    ("policy", "policy"),
    ("context", "context"),
    ("space", "space"),
    ("apiKey", "api_key"),
    ("vcsIntegration", "integration"),
    ("notificationTarget", "target"),
];

/// What a request changes, by the name of each answer; known once it was parsed.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes(Arc<Mutex<HashMap<String, String>>>);

impl Changes {
    /// Notes what these operations change.
    pub(super) fn note<'a>(
        &self,
        mutations: impl Iterator<Item = &'a OperationDefinition>,
        variables: &Variables,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for selection in mutations.flat_map(|one| &one.selection_set.node.items) {
            if let Selection::Field(field) = &selection.node {
                let name = field.node.response_key().node.to_string();
                known.insert(name, subject(&field.node, variables));
            }
        }
    }

    /// The thing that the answer of this name is about; nothing where it is no change.
    pub(super) fn subject(&self, answer: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(answer).cloned()
    }
}

fn subject(field: &Field, variables: &Variables) -> String {
    let operation = field.name.node.as_str();
    let named = ARGUMENTS.iter().find_map(|(argument, kind)| {
        let kind = match kind {
            Some(kind) => kind,
            None => {
                KINDS
                    .iter()
                    .find(|(start, _)| operation.starts_with(start))?
                    .1
            }
        };
        let (_, value) = field
            .arguments
            .iter()
            .find(|(name, _)| name.node == *argument)?;
        let value = value.node.clone();
        let value = value.into_const_with(|name| variables.get(&name).cloned().ok_or(()));
        match value {
            Ok(Value::String(id)) => Some(format!("{kind}:{}", shortened(&id))),
            _ => None,
        }
    });
    named.unwrap_or_else(|| NO_THING.to_owned())
}

fn shortened(id: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    id.chars().take(ID_LIMIT).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_about_the_thing_that_it_names() {
        let variables = Variables::from_json(json!({ "id": "net", "long": "x\n".repeat(100) }));
        for (text, answer, expected) in [
            (
                "mutation{stackDelete(id:\"net\"){id}}",
                "stackDelete",
                "stack:net",
            ),
            (
                "mutation($id:ID!){a:stackDelete(id:$id){id}}",
                "a",
                "stack:net",
            ),
            (
                "mutation{runConfirm(stack:\"net\" run:\"01\"){id}}",
                "runConfirm",
                "run:01",
            ),
            (
                "mutation{workerRevoke(workerPool:\"p\" id:\"w\"){id}}",
                "workerRevoke",
                "launcher:w",
            ),
            (
                "mutation{workerPoolCycle(id:\"p\")}",
                "workerPoolCycle",
                "pool:p",
            ),
            (
                "mutation{stackConfigAdd(stack:\"net\" config:{value:\"s\"}){id}}",
                "stackConfigAdd",
                "stack:net",
            ),
            (
                "mutation{spaceCreate(input:{name:\"x\"}){id}}",
                "spaceCreate",
                "api:graphql",
            ),
            (
                "mutation{stackDelete(id:$missing){id}}",
                "stackDelete",
                "api:graphql",
            ),
        ] {
            let document = parse_query(text).unwrap();
            let changes = Changes::default();
            let operations = document.operations.iter().map(|(_, one)| &one.node);
            changes.note(operations, &variables);
            assert_eq!(changes.subject(answer).as_deref(), Some(expected), "{text}");
            assert_eq!(changes.subject("other"), None);
        }
        let document = parse_query("mutation($long:ID!){stackDelete(id:$long){id}}").unwrap();
        let changes = Changes::default();
        let operations = document.operations.iter().map(|(_, one)| &one.node);
        changes.note(operations, &variables);
        let noted = changes.subject("stackDelete").unwrap();
        assert_eq!(noted.chars().count(), "stack:".len() + ID_LIMIT);
        assert!(!noted.contains('\n'), "{noted}");
    }
}
