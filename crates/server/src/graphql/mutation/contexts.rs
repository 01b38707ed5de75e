//! Making, changing, filling and attaching contexts.

use async_graphql::{Context, Error, ID, Object};
use gantry_protocol::payload::Hooks;

use crate::graphql::config_element::ConfigElement;
use crate::graphql::context::{manage, operate};
use crate::graphql::contexts::{HooksInput, SharedContext};
use crate::graphql::inputs::ConfigInput;
use crate::operations::{ContextChange, NewContext};

#[derive(Default)]
pub(super) struct ContextMutation;

#[Object]
impl ContextMutation {
    /// Makes a context. Without a slug its id is made from its name. A label `autoattach:LABEL` attaches it to
    /// every stack with that label, `autoattach:*` to every stack.
    #[expect(
        clippy::too_many_arguments,
        reason = "the names of the arguments are the API"
    )]
    async fn context_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        description: Option<String>,
        labels: Option<Vec<String>>,
        space: Option<ID>,
        slug: Option<String>,
        hooks: Option<HooksInput>,
    ) -> Result<SharedContext, Error> {
        let new = NewContext {
            slug,
            name,
            description,
            labels: labels.unwrap_or_default(),
            space: space.map(|id| id.to_string()),
            hooks: hooks.map(Hooks::from).unwrap_or_default(),
        };
        Ok(SharedContext(manage(ctx)?.create_context(new).await?))
    }

    /// Changes what is given of a context; of hooks, all lists anew.
    async fn context_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        description: Option<String>,
        labels: Option<Vec<String>>,
        hooks: Option<HooksInput>,
    ) -> Result<SharedContext, Error> {
        let change = ContextChange {
            name,
            description,
            labels,
            hooks: hooks.map(Hooks::from),
        };
        Ok(SharedContext(
            manage(ctx)?.update_context(&id, change).await?,
        ))
    }

    /// Deletes a context with what it holds, wherever it is attached.
    async fn context_delete(&self, ctx: &Context<'_>, id: ID) -> Result<SharedContext, Error> {
        Ok(SharedContext(manage(ctx)?.delete_context(&id).await?))
    }

    /// Attaches a context to a stack, or gives the attachment another priority. The lowest is the strongest.
    async fn context_attach(
        &self,
        ctx: &Context<'_>,
        id: ID,
        stack: ID,
        priority: Option<i32>,
    ) -> Result<SharedContext, Error> {
        let manage = manage(ctx)?;
        let attached = manage.attach_context(&id, &stack, priority.unwrap_or(0));
        Ok(SharedContext(attached.await?))
    }

    /// Takes a context off a stack. One that a label attaches stays.
    async fn context_detach(
        &self,
        ctx: &Context<'_>,
        id: ID,
        stack: ID,
    ) -> Result<SharedContext, Error> {
        Ok(SharedContext(
            manage(ctx)?.detach_context(&id, &stack).await?,
        ))
    }

    /// Sets a variable or file of a context, replacing the one of the same id.
    async fn context_config_add(
        &self,
        ctx: &Context<'_>,
        context: ID,
        mut config: ConfigInput,
    ) -> Result<ConfigElement, Error> {
        let operate = operate(ctx)?;
        let value = config.take_value();
        let set = operate.set_context_config(&context, config.with(value));
        Ok(ConfigElement::from(&set.await?))
    }

    /// Removes a variable or file of a context; nothing if there is none of this id.
    async fn context_config_delete(
        &self,
        ctx: &Context<'_>,
        context: ID,
        id: ID,
    ) -> Result<Option<ConfigElement>, Error> {
        let removed = operate(ctx)?.remove_context_config(&context, &id).await?;
        Ok(removed.as_ref().map(ConfigElement::from))
    }
}
