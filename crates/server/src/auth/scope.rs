//! Which spaces a principal sees.
//!
//! Takes the spaces of an API key, gives all of them and what lies below. Never: an empty list read as "all".

use std::collections::BTreeSet;

use crate::store::api_keys::Reach;
use crate::store::{Conn, StoreError, spaces};

/// The spaces that a principal sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every one, also those that are made later.
    Everywhere,
    /// Some.
    Within {
        /// The ones that the key names.
        named: Vec<String>,
        /// These and all below them.
        all: BTreeSet<String>,
    },
}

impl Scope {
    /// The spaces of a key, as the tree is now.
    pub(super) async fn of(conn: &mut Conn, reach: &Reach) -> Result<Self, StoreError> {
        let Reach::Spaces(named) = reach else {
            return Ok(Self::Everywhere);
        };
        let mut all = BTreeSet::new();
        for id in named {
            all.extend(spaces::below(conn, id).await?);
        }
        Ok(Self::Within {
            named: named.clone(),
            all,
        })
    }

    /// Whether this space is one of them.
    pub fn covers(&self, space: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within { all, .. } => all.contains(space),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_space_is_not_every_space() {
        let none = Scope::Within {
            named: Vec::new(),
            all: BTreeSet::new(),
        };
        assert!(!none.covers("root") && !none.covers(""));
        assert!(Scope::Everywhere.covers("root"));
    }
}
