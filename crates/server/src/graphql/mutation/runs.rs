//! Making and moving runs.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::{metadata, operate, task_init};
use crate::graphql::enums::{ForceApplyMode, RunType};
use crate::graphql::inputs::RuntimeConfigInput;
use crate::graphql::review::{RunReview, RunReviewDecision};
use crate::graphql::run::Run;
use crate::operations::{OperationError, TaskRequest, TriggerRequest};

#[derive(Default)]
pub(super) struct RunMutation;

#[Object]
impl RunMutation {
    /// Makes a run. Without a commit it takes the head of the stack's branch.
    async fn run_trigger(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        commit_sha: Option<String>,
        run_type: Option<RunType>,
        runtime_config: Option<RuntimeConfigInput>,
        force_apply: Option<ForceApplyMode>,
    ) -> Result<Run, Error> {
        let operate = operate(ctx)?;
        if force_apply.is_some() {
            return Err(OperationError::Unsupported("`forceApply`").into());
        }
        let wish = TriggerRequest {
            stack: &stack,
            run_type: run_type.unwrap_or(RunType::Tracked).into(),
            commit: commit_sha.as_deref().filter(|sha| !sha.is_empty()),
            runtime_config: runtime_config.as_ref().and_then(RuntimeConfigInput::yaml),
            metadata: metadata(ctx),
        };
        Ok(Run::one(operate.trigger(wish).await?))
    }

    /// Makes a run of one command.
    async fn task_create(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        command: String,
        skip_initialization: Option<bool>,
    ) -> Result<Run, Error> {
        let task_init = task_init(skip_initialization);
        let metadata = metadata(ctx);
        let wish = TaskRequest {
            stack: &stack,
            command: &command,
            task_init,
            metadata,
        };
        Ok(Run::one(operate(ctx)?.task(wish).await?))
    }

    /// Accepts a plan.
    async fn run_confirm(&self, ctx: &Context<'_>, stack: ID, run: ID) -> Result<Run, Error> {
        Ok(Run::one(
            operate(ctx)?.confirm(&stack, &run, metadata(ctx)).await?,
        ))
    }

    /// Drops a plan.
    async fn run_discard(&self, ctx: &Context<'_>, stack: ID, run: ID) -> Result<Run, Error> {
        Ok(Run::one(
            operate(ctx)?.discard(&stack, &run, metadata(ctx)).await?,
        ))
    }

    /// Makes a run like one that ended without success: the same commit and command, the stack's settings of now.
    async fn run_retry(&self, ctx: &Context<'_>, stack: ID, run: ID) -> Result<Run, Error> {
        Ok(Run::one(
            operate(ctx)?.retry(&stack, &run, metadata(ctx)).await?,
        ))
    }

    /// Approves or rejects a run that waits; without a run, the one that holds the stack's lock. What follows is up to
    /// the stack's approval policies.
    async fn run_review(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        run: Option<ID>,
        decision: RunReviewDecision,
        note: Option<String>,
    ) -> Result<RunReview, Error> {
        let said = (decision.into(), note.as_deref());
        let run = run.as_ref().map(|id| id.as_str());
        let id = operate(ctx)?
            .review(&stack, run, said, metadata(ctx))
            .await?;
        Ok(RunReview {
            id: id.to_string().into(),
        })
    }

    /// Takes back a run that no launcher has.
    async fn run_cancel(&self, ctx: &Context<'_>, stack: ID, run: ID) -> Result<Run, Error> {
        Ok(Run::one(
            operate(ctx)?.cancel(&stack, &run, metadata(ctx)).await?,
        ))
    }

    /// Asks the launcher to stop a run that has changed nothing yet.
    async fn run_stop(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        run: ID,
        note: Option<String>,
    ) -> Result<Run, Error> {
        Ok(Run::one(
            operate(ctx)?
                .stop(&stack, &run, note.as_deref(), metadata(ctx))
                .await?,
        ))
    }
}
