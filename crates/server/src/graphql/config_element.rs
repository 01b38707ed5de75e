//! Variables, files and outputs of stacks in the API.
//!
//! Takes records, gives their fields. Never: a write-only value, or a sensitive output.

use async_graphql::{ID, SimpleObject};

use super::enums::ConfigType;
use crate::clock::UnixMillis;
use crate::store::stack_config::{self, StoredValue};
use crate::tfstate::Output;

/// A variable or file of a stack. `value` of a write-only one is never given.
#[derive(Clone, SimpleObject)]
pub(super) struct ConfigElement {
    id: ID,
    checksum: String,
    description: Option<String>,
    created_at: i64,
    runtime: bool,
    r#type: ConfigType,
    value: Option<String>,
    write_only: bool,
}

impl ConfigElement {
    /// A variable that each run gets, with a value of its own.
    pub(super) fn computed(name: String, since: UnixMillis) -> Self {
        Self {
            id: name.into(),
            checksum: String::new(),
            description: None,
            created_at: since.seconds(),
            runtime: true,
            r#type: ConfigType::Variable,
            value: None,
            write_only: false,
        }
    }

    /// By what one element hides another.
    pub(super) fn key(&self) -> (bool, String) {
        (self.r#type == ConfigType::File, self.id.to_string())
    }
}

/// An output of a stack's managed state. Sensitive ones are not listed.
#[derive(SimpleObject)]
pub(super) struct StackOutput {
    id: ID,
    sensitive: bool,
    description: Option<String>,
    /// JSON, as text.
    value: Option<String>,
}

impl From<Output> for StackOutput {
    fn from(output: Output) -> Self {
        Self {
            id: output.name.into(),
            sensitive: false,
            description: None,
            value: Some(output.value.to_string()),
        }
    }
}

impl From<&stack_config::ConfigElement> for ConfigElement {
    fn from(element: &stack_config::ConfigElement) -> Self {
        let (value, write_only) = match &element.value {
            StoredValue::Plain(text) => (Some(text.clone()), false),
            StoredValue::Sealed(_) => (None, true),
        };
        Self {
            id: element.id.clone().into(),
            checksum: element.checksum.clone(),
            description: element.description.clone(),
            created_at: element.created_at.seconds(),
            runtime: false,
            r#type: element.kind.into(),
            value,
            write_only,
        }
    }
}
