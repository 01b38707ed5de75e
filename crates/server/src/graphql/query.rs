//! Questions of the API.
//!
//! Takes ids and searches; everything but `viewer` answers `unauthorized` to a caller without a valid token.

use async_graphql::{Context, Error, ID, Object, SimpleObject};

use super::context::{caller, look, maybe_caller, operate, task_init};
use super::document::RunDocument;
use super::enums::RunType;
use super::policy::{self, Policy, SearchPoliciesOutput};
use super::pool::WorkerPool;
use super::search::{SearchInput, SearchStacksOutput};
use super::stack::Stack;
use crate::operations::{RunWish, TaskRequest, TriggerRequest};
use crate::store::{pools, stacks};

/// The API version that clients decide by which fields to select.
const COMPATIBLE_WITH: &str = "6.1.0";

pub struct Query;

/// Who asks.
#[derive(SimpleObject)]
struct User {
    id: ID,
    name: String,
}

/// What this server is compatible with.
#[derive(SimpleObject)]
struct DebugInfo {
    self_hosted_version: &'static str,
}

#[Object]
impl Query {
    /// The bearer of the token; nothing without a valid one.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<User> {
        let who = maybe_caller(ctx)?.principal();
        Some(User {
            id: who.id().into(),
            name: who.name().to_owned(),
        })
    }

    async fn debug_info(&self, ctx: &Context<'_>) -> Result<Option<DebugInfo>, Error> {
        caller(ctx)?;
        Ok(Some(DebugInfo {
            self_hosted_version: COMPATIBLE_WITH,
        }))
    }

    async fn stack(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Stack>, Error> {
        Ok(look(ctx)?.stack(&id).await?.map(Stack))
    }

    /// A run as it would be if it were triggered now, for signing: with a command a task, else of `runType`.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of a trigger and of a task, as the API has them"
    )]
    async fn run_document(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        run_type: Option<RunType>,
        commit_sha: Option<String>,
        command: Option<String>,
        skip_initialization: Option<bool>,
        triggered_by: Option<String>,
    ) -> Result<RunDocument, Error> {
        let wish = match &command {
            Some(command) => RunWish::Task(TaskRequest {
                stack: &stack,
                command,
                task_init: task_init(skip_initialization),
                metadata: None,
            }),
            None => RunWish::Plan(TriggerRequest {
                stack: &stack,
                run_type: run_type.unwrap_or(RunType::Tracked).into(),
                commit: commit_sha.as_deref().filter(|sha| !sha.is_empty()),
                metadata: None,
            }),
        };
        let operate = operate(ctx)?;
        let signable = operate.document_of_wish(wish, triggered_by.as_deref());
        Ok(signable.await?.into())
    }

    /// The stack of a run.
    async fn run_stack(&self, ctx: &Context<'_>, run_id: ID) -> Result<Option<Stack>, Error> {
        let look = look(ctx)?;
        // Clients compare this text.
        let missing = || Error::new("not found");
        let record = look.any_run(&run_id).await?.ok_or_else(missing)?;
        let mut conn = look.read().await?;
        let stack = stacks::find(&mut conn, &record.run.stack).await?;
        Ok(Some(stack.map(Stack).ok_or_else(missing)?))
    }

    async fn search_stacks(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchStacksOutput, Error> {
        let look = look(ctx)?;
        let search = input.parse()?;
        let found = look.search(&search).await?;
        Ok(SearchStacksOutput::new(&search, found))
    }

    async fn policy(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Policy>, Error> {
        Ok(look(ctx)?.policy(&id).await?.map(Policy))
    }

    async fn policies(&self, ctx: &Context<'_>) -> Result<Vec<Policy>, Error> {
        let all = look(ctx)?.policies().await?.into_iter();
        Ok(all.map(Policy).collect())
    }

    async fn search_policies(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchPoliciesOutput, Error> {
        policy::search(ctx, input).await
    }

    async fn worker_pools(&self, ctx: &Context<'_>) -> Result<Vec<WorkerPool>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let pools = pools::list(&mut conn).await?;
        Ok(pools.into_iter().map(WorkerPool::listed).collect())
    }

    async fn worker_pool(&self, ctx: &Context<'_>, id: ID) -> Result<Option<WorkerPool>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(pools::find(&mut conn, id).await?.map(WorkerPool::listed))
    }
}
