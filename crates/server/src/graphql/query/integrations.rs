//! Questions about integrations with code hosts.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::look;
use crate::graphql::integrations::VcsIntegration;

#[derive(Default)]
pub(super) struct IntegrationQuery;

#[Object]
impl IntegrationQuery {
    async fn vcs_integration(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<VcsIntegration>, Error> {
        Ok(look(ctx)?.integration(&id).await?.map(VcsIntegration))
    }

    async fn vcs_integrations(&self, ctx: &Context<'_>) -> Result<Vec<VcsIntegration>, Error> {
        let all = look(ctx)?.integrations().await?.into_iter();
        Ok(all.map(VcsIntegration).collect())
    }
}
