//! Questions about spaces and API keys.
//!
//! Takes ids, gives the spaces that the caller sees; of keys, an admin of all spaces sees all.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::api_key::ApiKey;
use crate::graphql::audit::{self, SearchAuditTrailEntriesOutput};
use crate::graphql::context::{caller, govern};
use crate::graphql::search::SearchInput;
use crate::graphql::space::Space;

#[derive(Default)]
pub(super) struct AccessQuery;

#[Object]
impl AccessQuery {
    async fn spaces(&self, ctx: &Context<'_>) -> Result<Vec<Space>, Error> {
        let caller = caller(ctx)?;
        let all = caller.look().spaces().await?.into_iter();
        Ok(all
            .map(|space| Space::seen_by(space, caller.principal()))
            .collect())
    }

    async fn space(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Space>, Error> {
        let caller = caller(ctx)?;
        let found = caller.look().space(&id).await?;
        Ok(found.map(|space| Space::seen_by(space, caller.principal())))
    }

    /// Who did what, newest first; for admins.
    async fn search_audit_trail_entries(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchAuditTrailEntriesOutput, Error> {
        audit::search(ctx, input).await
    }

    async fn api_keys(&self, ctx: &Context<'_>) -> Result<Vec<ApiKey>, Error> {
        let all = govern(ctx)?.keys().await?.into_iter();
        Ok(all.map(ApiKey::listed).collect())
    }

    async fn api_key(&self, ctx: &Context<'_>, id: ID) -> Result<Option<ApiKey>, Error> {
        Ok(govern(ctx)?.key(&id).await?.map(ApiKey::listed))
    }
}
