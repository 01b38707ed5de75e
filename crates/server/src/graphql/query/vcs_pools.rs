//! Questions about pools of VCS agents.
//!
//! Takes ids, gives what the caller may see.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::look;
use crate::graphql::vcs_pool::VcsAgentPool;

#[derive(Default)]
pub(super) struct VcsPoolQuery;

#[Object]
impl VcsPoolQuery {
    /// Every pool of VCS agents, in order of the names.
    #[graphql(complexity = "10 * child_complexity")]
    async fn vcs_agent_pools(&self, ctx: &Context<'_>) -> Result<Vec<VcsAgentPool>, Error> {
        let pools = look(ctx)?.vcs_pools().await?;
        Ok(pools.into_iter().map(VcsAgentPool::listed).collect())
    }

    async fn vcs_agent_pool(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<VcsAgentPool>, Error> {
        let found = look(ctx)?.vcs_pool(&id).await?;
        Ok(found.map(VcsAgentPool::listed))
    }
}
