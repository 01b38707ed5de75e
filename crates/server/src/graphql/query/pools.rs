//! Questions about pools.
//!
//! Takes ids, gives what the caller may see.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::{caller, look};
use crate::graphql::pool::{self, SearchWorkerPoolsOutput, WorkerPool};
use crate::graphql::schedulable::PublicWorkerPool;
use crate::graphql::search::SearchInput;

#[derive(Default)]
pub(super) struct PoolQuery;

#[Object]
impl PoolQuery {
    /// A server of one's own has no shared launchers: nothing waits here.
    async fn public_worker_pool(&self, ctx: &Context<'_>) -> Result<PublicWorkerPool, Error> {
        caller(ctx)?;
        Ok(PublicWorkerPool)
    }

    #[graphql(complexity = "10 * child_complexity")]
    async fn worker_pools(&self, ctx: &Context<'_>) -> Result<Vec<WorkerPool>, Error> {
        let pools = look(ctx)?.pools().await?;
        Ok(WorkerPool::many(pools).collect())
    }

    #[graphql(complexity = "input.page_size() * child_complexity")]
    async fn search_worker_pools(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchWorkerPoolsOutput, Error> {
        pool::search(ctx, input).await
    }

    async fn worker_pool(&self, ctx: &Context<'_>, id: ID) -> Result<Option<WorkerPool>, Error> {
        Ok(look(ctx)?.pool(&id).await?.map(WorkerPool::one))
    }
}
