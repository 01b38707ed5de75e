//! The bearer of a valid token.
//!
//! Takes an API key's row, gives its name and what it may do. Never made from a claim alone: the row is read
//! at every request, so that revoking a key works at once.

use super::Role;
use crate::domain::Actor;
use crate::store::api_keys::ApiKey;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    key: String,
    name: String,
    role: Role,
}

/// The role is too low. The text begins as clients expect it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unauthorized: this needs an API key with the role `{needed}`, and `{name}` is a `{role}`")]
pub struct Forbidden {
    needed: Role,
    name: String,
    role: Role,
}

impl Principal {
    /// The bearer of this key.
    pub(super) fn of(key: ApiKey) -> Self {
        Self {
            key: key.id,
            name: key.name,
            role: key.role,
        }
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        &self.key
    }

    /// The key's name, as histories show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The same as the cause of events.
    pub fn actor(&self) -> Actor {
        Actor::User(self.name.clone())
    }

    /// Whether the role suffices.
    pub fn allows(&self, needed: Role) -> bool {
        self.role >= needed
    }

    /// Refuses unless the role suffices.
    pub fn require(&self, needed: Role) -> Result<(), Forbidden> {
        if self.allows(needed) {
            return Ok(());
        }
        Err(Forbidden {
            needed,
            name: self.name.clone(),
            role: self.role,
        })
    }
}
