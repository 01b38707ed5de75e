//! What people choose about a run beside its decision: promoted, planned again, moved ahead.

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};

use crate::domain::Urgency;
use crate::graphql::context::{metadata, operate};
use crate::graphql::run::Run;
use crate::operations::OperationError;
use crate::store::StoreError;

#[derive(Default)]
pub(super) struct ChosenMutation;

/// Nothing to tell.
#[derive(SimpleObject)]
struct Phantom {
    phantom: bool,
}

/// How something outside ended that a run waits for.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum RunExternalDependencyStatus {
    /// Well.
    Finished,
    /// Badly.
    Failed,
    /// It was not needed.
    Skipped,
}

#[Object]
impl ChosenMutation {
    /// Makes a deployment of the commit that a proposed run looked at.
    async fn run_promote(&self, ctx: &Context<'_>, stack: ID, run: ID) -> Result<Run, Error> {
        let operate = operate(ctx)?;
        Ok(Run::one(
            operate.promote(&stack, &run, metadata(ctx)).await?,
        ))
    }

    /// Moves a run ahead in its pool's queue, or back. Runs of one stack and type keep their order.
    async fn run_prioritize_set(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        run: ID,
        prioritize: bool,
    ) -> Result<Run, Error> {
        let urgency = match prioritize {
            true => Urgency::Prioritised,
            false => Urgency::Normal,
        };
        Ok(Run::one(
            operate(ctx)?.prioritise(&stack, &run, urgency).await?,
        ))
    }

    /// Plans a run that waits for its decision again, limited to these addresses; then it waits again.
    async fn run_targeted_replan(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        run: ID,
        targets: Vec<String>,
    ) -> Result<Run, Error> {
        let operate = operate(ctx)?;
        let replanned = operate.replan(&stack, &run, &targets, metadata(ctx)).await;
        Ok(Run::one(replanned?))
    }

    /// Runs wait for nothing outside here, so there is none to mark.
    async fn run_external_dependency_mark_as_completed(
        &self,
        ctx: &Context<'_>,
        dependency: ID,
        #[graphql(name = "status")] _status: RunExternalDependencyStatus,
    ) -> Result<Phantom, Error> {
        operate(ctx)?;
        let missing = StoreError::NotFound {
            kind: "external dependency",
            id: dependency.chars().take(64).collect(),
        };
        Err(OperationError::from(missing).into())
    }
}
