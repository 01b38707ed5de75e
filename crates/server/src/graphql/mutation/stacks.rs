//! Making, changing and deleting stacks, their variables and files.

use async_graphql::{Context, Error, ID, Object};

use crate::domain::stack::StateKeeper;
use crate::graphql::config_element::ConfigElement;
use crate::graphql::context::{manage, metadata, operate};
use crate::graphql::inputs::{ConfigInput, StackInput};
use crate::graphql::stack::Stack;
use crate::operations::NewStack;

#[derive(Default)]
pub(super) struct StackMutation;

#[Object]
impl StackMutation {
    /// Makes a stack. Without a slug its id is made from its name.
    async fn stack_create(
        &self,
        ctx: &Context<'_>,
        input: StackInput,
        manage_state: bool,
        slug: Option<String>,
    ) -> Result<Stack, Error> {
        let manage = manage(ctx)?;
        let state_keeper = if manage_state {
            StateKeeper::Server
        } else {
            StateKeeper::Elsewhere
        };
        let new = NewStack {
            slug,
            settings: input.settings(manage.home())?,
            state_keeper,
        };
        Ok(Stack::one(manage.create_stack(new).await?))
    }

    /// Replaces a stack's settings. Runs that exist keep those they were made with.
    async fn stack_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: StackInput,
    ) -> Result<Stack, Error> {
        let manage = manage(ctx)?;
        let space = manage.stack(&id).await?.settings.space;
        let settings = input.settings(space)?;
        Ok(Stack::one(manage.update_stack(&id, settings).await?))
    }

    /// Deletes a stack that no run is using. What it manages stays as it is, unless it is to be destroyed: then a run
    /// destroys it, and the stack goes when that run finished.
    async fn stack_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
        destroy_resources: Option<bool>,
    ) -> Result<Stack, Error> {
        let manage = manage(ctx)?;
        if destroy_resources == Some(true) {
            return Ok(Stack::one(manage.destroy_stack(&id, metadata(ctx)).await?));
        }
        Ok(Stack::one(manage.delete_stack(&id).await?))
    }

    /// Takes a stack for the caller alone: nobody else deploys, nothing is applied without a person.
    async fn stack_lock(
        &self,
        ctx: &Context<'_>,
        id: ID,
        note: Option<String>,
    ) -> Result<Stack, Error> {
        Ok(Stack::one(operate(ctx)?.hold(&id, note.as_deref()).await?))
    }

    /// Frees a stack that the caller holds; an admin may free any.
    async fn stack_unlock(&self, ctx: &Context<'_>, id: ID) -> Result<Stack, Error> {
        Ok(Stack::one(operate(ctx)?.release(&id).await?))
    }

    /// Sets a variable or file of a stack, replacing the one of the same id.
    async fn stack_config_add(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        mut config: ConfigInput,
    ) -> Result<ConfigElement, Error> {
        let operate = operate(ctx)?;
        let value = config.take_value();
        let set = operate.set_config(&stack, config.with(value));
        Ok(ConfigElement::from(&set.await?))
    }

    /// Removes a variable or file of a stack; nothing if there is none of this id.
    async fn stack_config_delete(
        &self,
        ctx: &Context<'_>,
        stack: ID,
        id: ID,
    ) -> Result<Option<ConfigElement>, Error> {
        let removed = operate(ctx)?.remove_config(&stack, &id).await?;
        Ok(removed.as_ref().map(ConfigElement::from))
    }
}
