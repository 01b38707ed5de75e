//! States as files.

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};

use crate::graphql::context::operate;

#[derive(Default)]
pub(super) struct StateMutation;

/// Which state.
#[derive(InputObject)]
struct StateDownloadUrlInput {
    stack_id: ID,
}

/// Where a state can be had, for a minute, by whoever knows it.
#[derive(SimpleObject)]
struct StateDownloadUrl {
    url: String,
}

#[Object]
impl StateMutation {
    /// An address of a stack's newest managed state, secrets and all. Asking for it stands in the audit trail.
    async fn state_download_url(
        &self,
        ctx: &Context<'_>,
        input: StateDownloadUrlInput,
    ) -> Result<StateDownloadUrl, Error> {
        let url = operate(ctx)?.state_download(&input.stack_id).await?;
        Ok(StateDownloadUrl { url })
    }
}
