//! Spaces in the API.
//!
//! Takes a space's record, gives its fields as the caller may know them. Never: the name of a parent that the
//! caller does not see.

use async_graphql::{Context, Enum, Error, ID, InputObject, SimpleObject};

use super::context::caller;
use crate::auth::{Principal, Role};
use crate::operations::SpaceSettings;
use crate::store::spaces;

/// A space.
#[derive(SimpleObject)]
pub(super) struct Space {
    id: ID,
    name: String,
    description: String,
    /// Nothing for the root, and for the topmost space that the caller sees.
    parent_space: Option<ID>,
    /// Whether what belongs to the parent can be used in it.
    inherit_entities: bool,
    labels: Vec<String>,
    /// What the caller may do in it.
    access_level: SpaceAccessLevel,
}

/// What the caller may do in a space.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum SpaceAccessLevel {
    /// Look.
    Read,
    /// Move runs.
    Write,
    /// Make and change.
    Admin,
}

impl From<Role> for SpaceAccessLevel {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Read,
            Role::Writer => Self::Write,
            Role::Admin => Self::Admin,
        }
    }
}

/// What a space is to be.
#[derive(Debug, InputObject)]
pub(super) struct SpaceInput {
    name: String,
    description: Option<String>,
    /// The root space when it is left out; in an update it stays.
    parent_space: Option<ID>,
    labels: Option<Vec<String>>,
    /// Whether what belongs to the parent can be used in it; true when it is left out.
    inherit_entities: Option<bool>,
}

impl From<SpaceInput> for SpaceSettings {
    fn from(input: SpaceInput) -> Self {
        Self {
            name: input.name,
            description: input.description,
            parent: input.parent_space.map(|id| id.to_string()),
            labels: input.labels.unwrap_or_default(),
            inherits: input.inherit_entities.unwrap_or(true),
        }
    }
}

impl Space {
    pub(super) fn seen_by(space: spaces::Space, who: &Principal) -> Self {
        Self {
            id: space.id.into(),
            name: space.name,
            description: space.description.unwrap_or_default(),
            parent_space: space.parent_id.filter(|id| who.sees(id)).map(ID::from),
            inherit_entities: space.inherits,
            labels: space.labels,
            access_level: who.role().into(),
        }
    }

    /// The space that something visible belongs to.
    pub(super) async fn of(ctx: &Context<'_>, id: &str) -> Result<Self, Error> {
        let found = caller(ctx)?.look().space(id).await?;
        Self::found(ctx, id, found.as_ref())
    }

    /// The same, where it was looked for already.
    pub(super) fn found(
        ctx: &Context<'_>,
        id: &str,
        space: Option<&spaces::Space>,
    ) -> Result<Self, Error> {
        let missing = || crate::store::StoreError::NotFound {
            kind: "space",
            id: id.to_owned(),
        };
        let space = space.cloned().ok_or_else(missing)?;
        Ok(Self::seen_by(space, caller(ctx)?.principal()))
    }
}
