//! Questions about contexts.
//!
//! Takes ids and searches, gives what the caller may see.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::look;
use crate::graphql::contexts::{self, SearchContextsOutput, SharedContext};
use crate::graphql::search::SearchInput;

#[derive(Default)]
pub(super) struct ContextQuery;

#[Object]
impl ContextQuery {
    async fn context(&self, ctx: &Context<'_>, id: ID) -> Result<Option<SharedContext>, Error> {
        Ok(look(ctx)?.context(&id).await?.map(SharedContext))
    }

    async fn contexts(&self, ctx: &Context<'_>) -> Result<Vec<SharedContext>, Error> {
        let all = look(ctx)?.contexts().await?.into_iter();
        Ok(all.map(SharedContext).collect())
    }

    async fn search_contexts(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchContextsOutput, Error> {
        contexts::search(ctx, input).await
    }
}
