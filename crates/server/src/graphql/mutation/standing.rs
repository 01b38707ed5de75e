//! Stacks switched on and off, and the commit that they deploy next.

use async_graphql::{Context, Error, ID, Object};

use crate::domain::stack::Availability;
use crate::graphql::context::{manage, operate};
use crate::graphql::drift::{DriftDetection, DriftDetectionInput};
use crate::graphql::stack::Stack;
use crate::graphql::state_version::StateVersion;

#[derive(Default)]
pub(super) struct StandingMutation;

#[Object]
impl StandingMutation {
    /// Makes an older version of a stack's managed state the newest again, as a new version.
    async fn stack_state_rollback(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        version: u64,
    ) -> Result<StateVersion, Error> {
        let manage = manage(ctx)?;
        Ok(manage.roll_back_state(&stack, version).await?.into())
    }

    /// Lets a stack take new runs again.
    async fn stack_enable(&self, ctx: &Context<'_>, id: ID) -> Result<Stack, Error> {
        let to = Availability::Enabled;
        Ok(Stack::one(operate(ctx)?.set_availability(&id, to).await?))
    }

    /// Lets a stack take no new runs; those that exist go on.
    async fn stack_disable(&self, ctx: &Context<'_>, id: ID) -> Result<Stack, Error> {
        let to = Availability::Disabled;
        Ok(Stack::one(operate(ctx)?.set_availability(&id, to).await?))
    }

    /// Looks on a schedule whether the world still is as it was deployed; replaces the schedule before.
    async fn stack_drift_detection_set(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        input: DriftDetectionInput,
    ) -> Result<DriftDetection, Error> {
        Ok(operate(ctx)?.set_drift(&stack, input.into()).await?.into())
    }

    /// Looks no more; nothing if nobody asked for it.
    async fn stack_drift_detection_delete(
        &self,
        ctx: &Context<'_>,
        stack: ID,
    ) -> Result<Option<Stack>, Error> {
        Ok(operate(ctx)?.remove_drift(&stack).await?.map(Stack::one))
    }

    /// Lets deployments that name no commit take the head of the stack's branch again.
    async fn stack_sync_commit(&self, ctx: &Context<'_>, id: ID) -> Result<Stack, Error> {
        Ok(Stack::one(operate(ctx)?.sync_commit(&id).await?))
    }

    /// Lets deployments that name no commit take this one, until another one is set or deployed.
    async fn stack_set_current_commit(
        &self,
        ctx: &Context<'_>,
        id: ID,
        sha: String,
    ) -> Result<Stack, Error> {
        Ok(Stack::one(operate(ctx)?.set_commit(&id, &sha).await?))
    }
}
