//! Questions about policies.
//!
//! Takes ids and searches, gives what the caller may see.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::look;
use crate::graphql::policy::{self, Policy, SearchPoliciesOutput};
use crate::graphql::search::SearchInput;

#[derive(Default)]
pub(super) struct PolicyQuery;

#[Object]
impl PolicyQuery {
    async fn policy(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Policy>, Error> {
        Ok(look(ctx)?.policy(&id).await?.map(Policy))
    }

    async fn policies(&self, ctx: &Context<'_>) -> Result<Vec<Policy>, Error> {
        let all = look(ctx)?.policies().await?.into_iter();
        Ok(all.map(Policy).collect())
    }

    async fn search_policies(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchPoliciesOutput, Error> {
        policy::search(ctx, input).await
    }
}
