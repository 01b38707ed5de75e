//! The gate: a reference that the list names, or a refusal that says what the list holds.
//!
//! Takes a reference as text, gives an [`AdmittedReference`]. Never: another way to make one.

use super::allowlist::Allowlist;
use super::reference::{InvalidReference, Reference};

/// A reference that the host's list lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedReference {
    reference: Reference,
    entry: String,
}

/// Why an image may not run here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not a reference.
    #[error(transparent)]
    Invalid(#[from] InvalidReference),
    /// Not on the list.
    #[error("image `{image}` is not allowed on this host: the image allowlist is {list}")]
    NotListed {
        /// The image in full.
        image: String,
        /// The list's entries.
        list: String,
    },
}

impl Allowlist {
    /// Lets `text` in if an entry names its registry and repository.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(&self, text: &str) -> Result<AdmittedReference, Refusal> {
        let reference = Reference::parse(text)?;
        match self.entry_for(&reference) {
            Some(entry) => Ok(AdmittedReference {
                entry: entry.to_owned(),
                reference,
            }),
            None => Err(Refusal::NotListed {
                image: reference.to_string(),
                list: self.to_string(),
            }),
        }
    }
}

impl AdmittedReference {
    /// The reference.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The entry of the list that let it in.
    pub fn entry(&self) -> &str {
        &self.entry
    }
}

#[cfg(test)]
mod tests;
