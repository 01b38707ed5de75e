//! Questions about stacks and their runs.
//!
//! Takes ids and searches, gives what the caller may see.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::{look, operate, task_init};
use crate::graphql::document::RunDocument;
use crate::graphql::enums::RunType;
use crate::graphql::inputs::RuntimeConfigInput;
use crate::graphql::search::{SearchInput, SearchStacksOutput};
use crate::graphql::stack::Stack;
use crate::operations::{RunWish, TaskRequest, TriggerRequest};

#[derive(Default)]
pub(super) struct StackQuery;

#[Object]
impl StackQuery {
    async fn stack(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Stack>, Error> {
        Ok(look(ctx)?.stack(&id).await?.map(Stack::one))
    }

    /// Every stack that the caller sees; `searchStacks` gives pages.
    async fn stacks(&self, ctx: &Context<'_>) -> Result<Vec<Stack>, Error> {
        Ok(Stack::many(look(ctx)?.stacks().await?).collect())
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
        runtime_config: Option<RuntimeConfigInput>,
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
                runtime_config: runtime_config.as_ref().and_then(RuntimeConfigInput::yaml),
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
        let stack = look.stack(record.run.stack.as_str()).await?;
        Ok(Some(stack.map(Stack::one).ok_or_else(missing)?))
    }

    /// Costs as many times its fields as the page may have entries.
    #[graphql(complexity = "input.page_size() * child_complexity")]
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
}
