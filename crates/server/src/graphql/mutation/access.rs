//! Making and deleting spaces and API keys: for admins of all spaces.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::api_key::{ApiKey, ApiKeyInput};
use crate::graphql::context::{caller, govern};
use crate::graphql::space::{Space, SpaceInput};

#[derive(Default)]
pub(super) struct AccessMutation;

#[Object]
impl AccessMutation {
    /// Makes a space. Its id is made from its name.
    async fn space_create(&self, ctx: &Context<'_>, input: SpaceInput) -> Result<Space, Error> {
        let made = govern(ctx)?.create_space(input.into()).await?;
        Ok(Space::seen_by(made, caller(ctx)?.principal()))
    }

    /// Changes a space.
    async fn space_update(
        &self,
        ctx: &Context<'_>,
        space: ID,
        input: SpaceInput,
    ) -> Result<Space, Error> {
        let changed = govern(ctx)?.update_space(&space, input.into()).await?;
        Ok(Space::seen_by(changed, caller(ctx)?.principal()))
    }

    /// Deletes a space that nothing is in.
    async fn space_delete(&self, ctx: &Context<'_>, space: ID) -> Result<Space, Error> {
        let deleted = govern(ctx)?.delete_space(&space).await?;
        Ok(Space::seen_by(deleted, caller(ctx)?.principal()))
    }

    /// Makes a key. `secret` of the answer is shown this once.
    async fn api_key_create(&self, ctx: &Context<'_>, input: ApiKeyInput) -> Result<ApiKey, Error> {
        let (key, issued) = govern(ctx)?.create_key(input.into()).await?;
        Ok(ApiKey::created(key, issued.secret))
    }

    /// Takes a key back: it and its sessions stop working at once.
    async fn api_key_delete(&self, ctx: &Context<'_>, id: ID) -> Result<ApiKey, Error> {
        Ok(ApiKey::listed(govern(ctx)?.delete_key(&id).await?))
    }
}
