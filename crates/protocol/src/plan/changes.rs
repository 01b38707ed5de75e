//! What a plan would change, resource by resource. Pure.
//!
//! Takes a redacted document, gives its changes in its order: the same list wherever it is made, so that a launcher can
//! sign for it and another one hold the server's copy against that.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids::Digest;

/// Longest list that travels with an apply, in bytes of JSON. A longer one is known to nobody but the server.
pub const MAX_CHANGES: usize = 1 << 20;

/// One resource that a plan changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedChange {
    /// Its address.
    pub address: String,
    /// Its address before, where it moves.
    pub previous_address: Option<String>,
    /// Its type, such as `aws_instance`.
    pub resource_type: String,
    /// Its name within its module.
    pub name: String,
    /// What happens to it.
    pub kind: ChangeKind,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is created.
    Add,
    /// It is changed in place.
    Change,
    /// It is destroyed.
    Delete,
    /// It is destroyed, and created anew.
    DeleteThenAdd,
    /// It is created anew, and the old one destroyed.
    AddThenDelete,
    /// It becomes managed as it is.
    Import,
    /// It gets another address.
    Move,
    /// It is not managed any more, and stays.
    Forget,
}

impl ChangeKind {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Change => "CHANGE",
            Self::Delete => "DELETE",
            Self::DeleteThenAdd | Self::AddThenDelete => "REPLACE",
            Self::Import => "IMPORT",
            Self::Move => "MOVE",
            Self::Forget => "FORGET",
        }
    }

    /// Its name in the input of policies.
    pub fn action(self) -> &'static str {
        match self {
            Self::Add => "added",
            Self::Change => "changed",
            Self::Delete => "deleted",
            Self::DeleteThenAdd => "destroy-Before-create-replaced",
            Self::AddThenDelete => "create-Before-destroy-replaced",
            Self::Import => "import",
            Self::Move => "move",
            Self::Forget => "forget",
        }
    }

    /// What happens to resources in the three plain words, oldest first: one that is replaced is deleted and added.
    pub fn simple_actions(self) -> &'static [&'static str] {
        match self {
            Self::Add => &["added"],
            Self::Change => &["changed"],
            Self::Delete => &["deleted"],
            Self::DeleteThenAdd => &["deleted", "added"],
            Self::AddThenDelete => &["added", "deleted"],
            Self::Import | Self::Move | Self::Forget => &[],
        }
    }
}

impl PlannedChange {
    /// As policies are told of it.
    pub fn shown(&self) -> Value {
        json!({
            "action": self.kind.action(),
            "actions": self.kind.simple_actions(),
            "entity": {
                "address": self.address,
                "previous_address": self.previous_address,
                "name": self.name,
                "type": self.resource_type,
                "entity_vendor": "terraform",
                "entity_type": "resource",
            },
            "phase": "plan",
        })
    }
}

/// What a launcher signs for: SHA-256 of the list as JSON. Nothing where the list is longer than [`MAX_CHANGES`].
pub fn digest_of(changes: &[PlannedChange]) -> Option<Digest> {
    let json = serde_json::to_vec(changes).ok()?;
    (json.len() <= MAX_CHANGES).then(|| Digest::of(&json))
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    resource_changes: Option<Vec<Resource>>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    address: String,
    #[serde(default)]
    previous_address: Option<String>,
    #[serde(default, rename = "type")]
    resource_type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    change: Change,
}

#[derive(Default, Deserialize)]
struct Change {
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    importing: Option<Value>,
}

/// The changes in a redacted plan, in its order. What is only read, and what stays as it is, is left out.
///
/// # Errors
/// When it is no such document.
pub fn in_document(bytes: &[u8]) -> Result<Vec<PlannedChange>, serde_json::Error> {
    serde_json::from_slice(bytes).map(listed)
}

/// The same of a document that was read already.
///
/// # Errors
/// When it is no such document.
pub fn in_value(document: &Value) -> Result<Vec<PlannedChange>, serde_json::Error> {
    Document::deserialize(document).map(listed)
}

fn listed(document: Document) -> Vec<PlannedChange> {
    let resources = document.resource_changes.unwrap_or_default().into_iter();
    resources.filter_map(change).collect()
}

fn change(resource: Resource) -> Option<PlannedChange> {
    let actions: Vec<&str> = resource.change.actions.iter().map(String::as_str).collect();
    let kind = match actions.as_slice() {
        ["create"] => ChangeKind::Add,
        ["update"] => ChangeKind::Change,
        ["delete"] => ChangeKind::Delete,
        ["delete", "create"] => ChangeKind::DeleteThenAdd,
        ["create", "delete"] => ChangeKind::AddThenDelete,
        ["forget"] | ["create", "forget"] => ChangeKind::Forget,
        _ if resource.change.importing.is_some() => ChangeKind::Import,
        _ if resource.previous_address.is_some() => ChangeKind::Move,
        _ => return None,
    };
    Some(PlannedChange {
        address: resource.address,
        previous_address: resource.previous_address,
        resource_type: resource.resource_type,
        name: resource.name,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_change_has_its_name_and_what_stays_is_left_out() {
        let table = [
            (json!({ "actions": ["create"] }), None, Some("ADD")),
            (
                json!({ "actions": ["update"] }),
                Some("a.old"),
                Some("CHANGE"),
            ),
            (json!({ "actions": ["delete"] }), None, Some("DELETE")),
            (
                json!({ "actions": ["delete", "create"] }),
                None,
                Some("REPLACE"),
            ),
            (
                json!({ "actions": ["create", "delete"] }),
                None,
                Some("REPLACE"),
            ),
            (json!({ "actions": ["forget"] }), None, Some("FORGET")),
            (
                json!({ "actions": ["no-op"], "importing": { "id": "x" } }),
                None,
                Some("IMPORT"),
            ),
            (json!({ "actions": ["no-op"] }), Some("a.old"), Some("MOVE")),
            (json!({ "actions": ["no-op"] }), None, None),
            (json!({ "actions": ["read"] }), None, None),
        ];
        for (change, previous, expected) in table {
            let resource = json!({ "address": "a.b", "previous_address": previous, "type": "a", "change": change });
            let document = json!({ "resource_changes": [resource] }).to_string();
            let found = in_document(document.as_bytes()).unwrap();
            let read = serde_json::from_str(&document).unwrap();
            assert_eq!(in_value(&read).unwrap(), found, "{document}");
            let kinds: Vec<_> = found.iter().map(|change| change.kind.as_str()).collect();
            assert_eq!(kinds, Vec::from_iter(expected), "{document}");
        }
        // What stands in signed documents does not change its form.
        let one = PlannedChange {
            address: "a.b".to_owned(),
            previous_address: None,
            resource_type: "a".to_owned(),
            name: "b".to_owned(),
            kind: ChangeKind::DeleteThenAdd,
        };
        let expected = r#"[{"address":"a.b","previous_address":null,"resource_type":"a","name":"b","kind":"delete_then_add"}]"#;
        assert_eq!(serde_json::to_string(&[&one]).unwrap(), expected);
        assert_eq!(
            digest_of(std::slice::from_ref(&one)),
            Some(Digest::of(expected.as_bytes()))
        );
        assert_eq!(digest_of(&vec![one; 20_000]), None, "too long to travel");
        assert_eq!(in_document(b"{}").unwrap(), []);
        assert_eq!(in_document(br#"{"resource_changes":null}"#).unwrap(), []);
        assert!(in_document(br#"{"resource_changes":"x"}"#).is_err());
    }
}
