//! Making, changing and deleting integrations with code hosts.

use async_graphql::{Context, Error, ID, Object};
use gantry_protocol::Secret;

use crate::graphql::context::manage;
use crate::graphql::integrations::{NewVcsIntegration, VcsIntegration, VcsIntegrationInput};
use crate::operations::IntegrationChange;

#[derive(Default)]
pub(super) struct IntegrationMutation;

#[Object]
impl IntegrationMutation {
    /// Makes an integration; the secret for its webhooks is shown this once.
    async fn vcs_integration_create(
        &self,
        ctx: &Context<'_>,
        input: VcsIntegrationInput,
    ) -> Result<NewVcsIntegration, Error> {
        let manage = manage(ctx)?;
        let (made, secret) = manage.create_integration(input.new_integration()).await?;
        Ok(NewVcsIntegration {
            integration: VcsIntegration(made),
            webhook_secret: secret.expose().to_owned(),
        })
    }

    /// Changes what is given; an empty text takes a value away.
    #[expect(
        clippy::too_many_arguments,
        reason = "the names of the arguments are the API"
    )]
    async fn vcs_integration_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        api_url: Option<String>,
        username: Option<String>,
        token: Option<String>,
        webhook_secret: Option<String>,
        poll_seconds: Option<u32>,
    ) -> Result<VcsIntegration, Error> {
        let change = IntegrationChange {
            name,
            api_url,
            username,
            token: token.map(Secret::new),
            webhook_secret: webhook_secret.map(Secret::new),
            poll_seconds,
        };
        let changed = manage(ctx)?.update_integration(&id, change).await?;
        Ok(VcsIntegration(changed))
    }

    /// Deletes an integration with its token.
    async fn vcs_integration_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<VcsIntegration, Error> {
        Ok(VcsIntegration(manage(ctx)?.delete_integration(&id).await?))
    }
}
