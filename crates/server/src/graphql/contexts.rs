//! Contexts in the API, and where a stack's variables and files come from.
//!
//! Takes records, gives their fields. Never: a write-only value.

use std::collections::HashSet;

use async_graphql::{Context, Error, ID, InputObject, Object, SimpleObject};
use gantry_protocol::payload::Hooks;

use super::config_element::ConfigElement;
use super::context::look;
use super::pages::StackPage;
use super::search::{PageInfo, SearchInput};
use super::space::Space;
use crate::domain::ContextAttachment;
use crate::operations::AttachedStack;
use crate::store::contexts;
use crate::store::stacks::Stack;

pub(super) struct SharedContext(pub(super) contexts::Context);

/// A context attached to a stack.
#[derive(SimpleObject)]
pub(super) struct StackContextAttachment {
    context_id: ID,
    context_name: String,
    /// The lowest is the strongest; 0 where a label attaches it.
    priority: i32,
    /// Whether one of the context's labels attaches it.
    is_autoattached: bool,
    config: Vec<ConfigElement>,
}

/// A stack that a context is attached to.
#[derive(SimpleObject)]
pub(super) struct ContextStackAttachment {
    stack_id: ID,
    stack_name: String,
    is_autoattached: bool,
    priority: i32,
}

/// A variable or file that runs of a stack get.
#[derive(SimpleObject)]
pub(super) struct RuntimeConfigElement {
    /// The context that it comes from; none for the stack's own and for computed ones.
    context: Option<ConfigContext>,
    element: ConfigElement,
}

/// The context of an element.
#[derive(SimpleObject)]
pub(super) struct ConfigContext {
    id: ID,
    context_name: String,
}

/// A page of contexts.
#[derive(SimpleObject)]
pub(super) struct SearchContextsOutput {
    edges: Vec<SearchContextsOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
pub(super) struct SearchContextsOutputEdge {
    node: SharedContext,
}

/// Commands around the phases; a list that is left out is empty.
#[derive(Debug, InputObject)]
pub(super) struct HooksInput {
    after_apply: Option<Vec<String>>,
    before_apply: Option<Vec<String>>,
    after_init: Option<Vec<String>>,
    before_init: Option<Vec<String>>,
    after_plan: Option<Vec<String>>,
    before_plan: Option<Vec<String>>,
    after_perform: Option<Vec<String>>,
    before_perform: Option<Vec<String>>,
    after_destroy: Option<Vec<String>>,
    before_destroy: Option<Vec<String>>,
    after_run: Option<Vec<String>>,
}

impl From<HooksInput> for Hooks {
    fn from(input: HooksInput) -> Self {
        Self {
            before_init: input.before_init.unwrap_or_default(),
            after_init: input.after_init.unwrap_or_default(),
            before_plan: input.before_plan.unwrap_or_default(),
            after_plan: input.after_plan.unwrap_or_default(),
            before_apply: input.before_apply.unwrap_or_default(),
            after_apply: input.after_apply.unwrap_or_default(),
            before_perform: input.before_perform.unwrap_or_default(),
            after_perform: input.after_perform.unwrap_or_default(),
            before_destroy: input.before_destroy.unwrap_or_default(),
            after_destroy: input.after_destroy.unwrap_or_default(),
            after_run: input.after_run.unwrap_or_default(),
        }
    }
}

impl From<AttachedStack> for ContextStackAttachment {
    fn from(attached: AttachedStack) -> Self {
        Self {
            stack_id: attached.stack.id.to_string().into(),
            stack_name: attached.stack.settings.name,
            is_autoattached: attached.how == ContextAttachment::ByLabel,
            priority: attached.how.priority(),
        }
    }
}

/// Variables, files and hooks that stacks share.
#[Object(name = "Context")]
impl SharedContext {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn labels(&self) -> &[String] {
        &self.0.labels
    }

    async fn space(&self) -> &str {
        &self.0.space
    }

    async fn space_details(&self, ctx: &Context<'_>) -> Result<Space, Error> {
        Space::of(ctx, &self.0.space).await
    }

    async fn created_at(&self) -> i64 {
        self.0.created_at.seconds()
    }

    async fn updated_at(&self) -> i64 {
        self.0.updated_at.seconds()
    }

    async fn has_attached_stacks(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(!look(ctx)?.stacks_of_context(&self.0).await?.is_empty())
    }

    /// By hand and by label.
    async fn attached_stacks(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<ContextStackAttachment>, Error> {
        let attached = look(ctx)?.stacks_of_context(&self.0).await?.into_iter();
        Ok(attached.map(ContextStackAttachment::from).collect())
    }

    async fn config(&self, ctx: &Context<'_>) -> Result<Vec<ConfigElement>, Error> {
        let elements = look(ctx)?.context_config(&self.0.id).await?;
        Ok(elements.iter().map(ConfigElement::from).collect())
    }

    async fn after_apply(&self) -> &[String] {
        &self.0.hooks.after_apply
    }

    async fn before_apply(&self) -> &[String] {
        &self.0.hooks.before_apply
    }

    async fn after_init(&self) -> &[String] {
        &self.0.hooks.after_init
    }

    async fn before_init(&self) -> &[String] {
        &self.0.hooks.before_init
    }

    async fn after_plan(&self) -> &[String] {
        &self.0.hooks.after_plan
    }

    async fn before_plan(&self) -> &[String] {
        &self.0.hooks.before_plan
    }

    async fn after_perform(&self) -> &[String] {
        &self.0.hooks.after_perform
    }

    async fn before_perform(&self) -> &[String] {
        &self.0.hooks.before_perform
    }

    async fn after_destroy(&self) -> &[String] {
        &self.0.hooks.after_destroy
    }

    async fn before_destroy(&self) -> &[String] {
        &self.0.hooks.before_destroy
    }

    async fn after_run(&self) -> &[String] {
        &self.0.hooks.after_run
    }
}

/// The contexts of a stack with what they hold, strongest first.
pub(super) async fn attached(
    ctx: &Context<'_>,
    page: &StackPage,
    stack: &Stack,
) -> Result<Vec<StackContextAttachment>, Error> {
    let mut all = Vec::new();
    for (context, how) in page.contexts(ctx, &stack.id).await? {
        let config = page.context_config(ctx, (&stack.id, &context.id)).await?;
        all.push(StackContextAttachment {
            context_id: context.id.to_string().into(),
            context_name: context.name.clone(),
            priority: how.priority(),
            is_autoattached: *how == ContextAttachment::ByLabel,
            config: config.iter().map(ConfigElement::from).collect(),
        });
    }
    Ok(all)
}

/// What a stack's runs get, by name: the stack's own, those of contexts attached by hand, computed ones. What
/// a stronger one hides is not in it. Clients take what labels attach from `attachedContexts`.
pub(super) async fn runtime(
    ctx: &Context<'_>,
    page: &StackPage,
    stack: &Stack,
) -> Result<Vec<RuntimeConfigElement>, Error> {
    let mut known = HashSet::new();
    let mut all = Vec::new();
    let mut add = |context: Option<(&str, &str)>, element: ConfigElement| {
        if known.insert(element.key()) {
            let context = context.map(|(id, name)| ConfigContext {
                id: id.into(),
                context_name: name.to_owned(),
            });
            all.push(RuntimeConfigElement { context, element });
        }
    };
    for element in page.config(ctx, &stack.id).await? {
        add(None, element.into());
    }
    for (context, how) in page.contexts(ctx, &stack.id).await? {
        if *how == ContextAttachment::ByLabel {
            continue;
        }
        for element in page.context_config(ctx, (&stack.id, &context.id)).await? {
            add(Some((context.id.as_str(), &context.name)), element.into());
        }
    }
    for name in crate::dispatch::COMPUTED {
        let name = format!("TF_VAR_spacelift_{name}");
        add(None, ConfigElement::computed(name, stack.created_at));
    }
    all.sort_by_key(|row| row.element.key());
    Ok(all)
}

pub(super) async fn search(
    ctx: &Context<'_>,
    input: SearchInput,
) -> Result<SearchContextsOutput, Error> {
    let wish = input.wish(&["name", "label", "labels", "space"], None)?;
    let values = |context: &contexts::Context, field: &str| match field {
        "name" => vec![context.name.clone()],
        "space" => vec![context.space.clone()],
        _ => context.labels.clone(),
    };
    let all = look(ctx)?.contexts().await?.into_iter();
    let fitting = all.filter(|context| {
        wish.has_text(&[context.id.as_str(), &context.name])
            && wish.fits(|field| values(context, field))
    });
    let (nodes, page_info) = wish.page(fitting, |context| context.id.to_string());
    let node = |context| SearchContextsOutputEdge {
        node: SharedContext(context),
    };
    let edges = nodes.into_iter().map(node).collect();
    Ok(SearchContextsOutput { edges, page_info })
}
