//! The bearer of a valid token.
//!
//! Takes an API key's row, gives its name and what it may do. Never made from a claim alone: the row is read
//! at every request, so that revoking a key works at once.

use super::{Role, Scope};
use crate::domain::Actor;
use crate::store::api_keys::ApiKey;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    key: String,
    name: String,
    role: Role,
    scope: Scope,
}

/// The key does not suffice. The texts begin as clients expect them to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Its role is too low.
    #[error(
        "unauthorized: this needs an API key with the role `{needed}`, and `{name}` is a `{role}`"
    )]
    Role {
        /// What is needed.
        needed: Role,
        /// The key's name.
        name: String,
        /// The key's role.
        role: Role,
    },
    /// It is about all spaces, and the key is not.
    #[error("unauthorized: this needs an API key for all spaces, and `{name}` is limited to some")]
    Limited {
        /// The key's name.
        name: String,
    },
}

impl Principal {
    /// The bearer of this key, who sees these spaces.
    pub(super) fn of(key: ApiKey, scope: Scope) -> Self {
        Self {
            key: key.id,
            name: key.name,
            role: key.role,
            scope,
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

    /// Where it may do it.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it may know of what is in this space.
    pub fn sees(&self, space: &str) -> bool {
        self.scope.covers(space)
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
        Err(Forbidden::Role {
            needed,
            name: self.name.clone(),
            role: self.role,
        })
    }

    /// Refuses a key that is limited to some spaces.
    pub fn require_everywhere(&self) -> Result<(), Forbidden> {
        match self.scope {
            Scope::Everywhere => Ok(()),
            Scope::Within { .. } => Err(Forbidden::Limited {
                name: self.name.clone(),
            }),
        }
    }
}
