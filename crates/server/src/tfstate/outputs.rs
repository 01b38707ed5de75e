//! Outputs of a stack's newest state.

use gantry_protocol::StackId;
use serde_json::Value;

use super::document::Document;
use super::{StateError, StateKeeper};

/// One output that its code does not mark as sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl StateKeeper {
    /// The outputs of a stack's newest state in order of their names. Sensitive ones never leave this
    /// function, not even by name and length.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn outputs(&self, stack: &StackId) -> Result<Vec<Output>, StateError> {
        let Some(bytes) = self.read(stack).await? else {
            return Ok(Vec::new());
        };
        let document = Document::parse(&bytes)?;
        let open = document
            .outputs
            .into_iter()
            .filter(|(_, entry)| !entry.sensitive);
        Ok(open
            .map(|(name, entry)| Output {
                name,
                value: entry.value,
            })
            .collect())
    }
}
