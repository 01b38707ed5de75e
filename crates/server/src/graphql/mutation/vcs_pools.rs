//! Making, changing and deleting pools of VCS agents.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::manage;
use crate::graphql::vcs_pool::VcsAgentPool;
use crate::operations::{DEFAULT_OVERLAP_SECONDS, NewVcsPool, VcsPoolChange};

#[derive(Default)]
pub(super) struct VcsPoolMutation;

#[Object]
impl VcsPoolMutation {
    /// Makes a pool of VCS agents. `config` of the answer is the token for them; it is shown this once.
    async fn vcs_agent_pool_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        description: Option<String>,
        space: Option<ID>,
    ) -> Result<VcsAgentPool, Error> {
        let new = NewVcsPool {
            name,
            description,
            space: space.map(|id| id.to_string()),
        };
        let made = manage(ctx)?.create_vcs_pool(new).await?;
        Ok(VcsAgentPool::with_token(made))
    }

    /// Changes what is given of a pool. Its name and space can change while no endpoint has the name.
    async fn vcs_agent_pool_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        description: Option<String>,
        space: Option<ID>,
    ) -> Result<VcsAgentPool, Error> {
        let change = VcsPoolChange {
            name,
            description,
            space: space.map(|id| id.to_string()),
        };
        let changed = manage(ctx)?.update_vcs_pool(&id, change).await?;
        Ok(VcsAgentPool::listed(changed))
    }

    /// Gives a pool another key. `config` of the answer is the token for it, shown this once. The key before lets
    /// agents in for `overlapSeconds` more (a day otherwise); with 0 they are let go at once.
    async fn vcs_agent_pool_reset(
        &self,
        ctx: &Context<'_>,
        id: ID,
        overlap_seconds: Option<u32>,
    ) -> Result<VcsAgentPool, Error> {
        let overlap = overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
        let reset = manage(ctx)?.reset_vcs_pool(&id, overlap).await?;
        Ok(VcsAgentPool::with_token(reset))
    }

    /// Deletes a pool whose name stands in no endpoint; its agents are let go.
    async fn vcs_agent_pool_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<VcsAgentPool, Error> {
        let deleted = manage(ctx)?.delete_vcs_pool(&id).await?;
        Ok(VcsAgentPool::listed(deleted))
    }
}
