//! What the server reads of a state: lineage, serial, outputs. Everything else is the tool's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The parts of a state that the server looks at.
#[derive(Debug, Deserialize)]
pub struct Document {
    /// Names the state's line of descent.
    pub lineage: String,
    /// Grows with every write.
    pub serial: u64,
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, OutputEntry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OutputEntry {
    #[serde(default)]
    pub(super) value: Value,
    /// A missing mark counts as "not sensitive", as the tools write it.
    #[serde(default)]
    pub(super) sensitive: bool,
}

/// A text that is no state. Says nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "what was sent is not a Terraform state: expected JSON with `lineage` and `serial` (line {line}, column {column})"
)]
pub struct NotState {
    line: usize,
    column: usize,
}

impl NotState {
    /// Where reading ended.
    pub(super) fn at(error: &serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

impl Document {
    /// Reads a state.
    ///
    /// # Errors
    /// [`NotState`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NotState> {
        serde_json::from_slice(bytes).map_err(|error| NotState::at(&error))
    }
}
