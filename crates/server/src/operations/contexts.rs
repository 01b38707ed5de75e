//! Making, changing, filling and attaching contexts.
//!
//! Takes inputs, gives what was made. Never: a write-only value, or a context changed without its audit line.

use gantry_protocol::payload::Hooks;

use super::deed::{self, By};
use super::manage::check_name;
use super::{ConfigInput, Look, Manage, Operate, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::stack::slug;
use crate::domain::{ContextAttachment, ContextId, attaches_itself, names_stacks};
use crate::store::contexts::{self, Context, sealing_purpose};
use crate::store::stack_config::ConfigElement;
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, Tx, spaces};

/// The most labels of a context.
const LABELS_LIMIT: usize = 100;

/// Stacks read at once while those with a label are looked for.
const STEP: u32 = 200;

/// A context to make.
#[derive(Clone, Debug)]
pub struct NewContext {
    /// Its slug; none derives it from the name.
    pub slug: Option<String>,
    /// The name people see.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// The space; none is the root.
    pub space: Option<String>,
    /// Commands around the phases.
    pub hooks: Hooks,
}

/// What to change of a context; none leaves it.
#[derive(Clone, Debug, Default)]
pub struct ContextChange {
    /// The name people see.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Labels.
    pub labels: Option<Vec<String>>,
    /// Commands around the phases: all of them anew.
    pub hooks: Option<Hooks>,
}

/// A stack that a context is attached to.
#[derive(Clone, Debug)]
pub struct AttachedStack {
    /// The stack.
    pub stack: Stack,
    /// How.
    pub how: ContextAttachment,
}

impl Look {
    /// The context of this slug; nothing for a text that is no slug either.
    pub async fn context(&self, id: &str) -> Result<Option<Context>, StoreError> {
        door::find_context(&mut *self.read().await?, &self.principal, id).await
    }

    /// Every context that the caller sees, in order of the slugs.
    pub async fn contexts(&self) -> Result<Vec<Context>, StoreError> {
        let all = contexts::list(&mut *self.read().await?).await?.into_iter();
        Ok(all
            .filter(|context| self.principal.sees(&context.space))
            .collect())
    }

    /// What a context holds; write-only values are not in it.
    pub async fn context_config(&self, id: &ContextId) -> Result<Vec<ConfigElement>, StoreError> {
        contexts::config(&mut *self.read().await?, id).await
    }

    /// The contexts of a stack, strongest first; those of spaces that the caller does not see have their effect
    /// and are not shown.
    pub async fn attached_contexts(
        &self,
        stack: &Stack,
    ) -> Result<Vec<(Context, ContextAttachment)>, StoreError> {
        let all = contexts::attached(&mut *self.read().await?, stack).await?;
        let seen = |(context, _): &(Context, _)| self.principal.sees(&context.space);
        Ok(all.into_iter().filter(seen).collect())
    }

    /// The stacks that a context is attached to, in order of their slugs.
    pub async fn stacks_of_context(
        &self,
        context: &Context,
    ) -> Result<Vec<AttachedStack>, StoreError> {
        let mut conn = self.read().await?;
        let by_hand = contexts::by_hand(&mut conn, &context.id).await?;
        let mut found = Vec::new();
        for (id, priority) in &by_hand {
            let Some(stack) = door::find_stack(&mut conn, &self.principal, id.as_str()).await?
            else {
                continue;
            };
            let how = ContextAttachment::ByHand(*priority);
            found.push(AttachedStack { stack, how });
        }
        if !context.labels.iter().any(|label| names_stacks(label)) {
            return Ok(found);
        }
        let inherits = spaces::heirs(&mut conn, &context.space).await?;
        let mut after: Option<String> = None;
        loop {
            let page = stacks::page(&mut conn, after.as_deref(), STEP).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.to_string());
            let labelled = page.into_iter().filter(|stack| {
                self.principal.sees(&stack.settings.space)
                    && inherits.contains(&stack.settings.space)
                    && attaches_itself(&context.labels, &stack.settings.labels)
                    && by_hand.iter().all(|(id, _)| *id != stack.id)
            });
            found.extend(labelled.map(|stack| AttachedStack {
                stack,
                how: ContextAttachment::ByLabel,
            }));
        }
        found.sort_by(|a, b| a.stack.id.cmp(&b.stack.id));
        Ok(found)
    }
}

impl Operate {
    /// Sets a variable or file of a context, replacing the one of the same id.
    pub async fn set_context_config(
        &self,
        id: &str,
        input: ConfigInput<'_>,
    ) -> Result<ConfigElement, OperationError> {
        let id: ContextId = id.parse()?;
        let element = input.element(&self.app.vault, &sealing_purpose(&id, input.id))?;
        let mut tx = self.app.store.begin().await?;
        door::context(&mut tx, &self.principal, id.as_str()).await?;
        contexts::set_config(&mut tx, &id, &element).await?;
        let action = "context.config.set";
        self.record_context(&mut tx, action, &id, input.id).await?;
        self.app.store.commit(tx).await?;
        Ok(element)
    }

    /// Removes a variable or file of a context; gives it back, if there was one.
    pub async fn remove_context_config(
        &self,
        id: &str,
        element: &str,
    ) -> Result<Option<ConfigElement>, OperationError> {
        let id: ContextId = id.parse()?;
        let mut tx = self.app.store.begin().await?;
        door::context(&mut tx, &self.principal, id.as_str()).await?;
        let removed = contexts::remove_config(&mut tx, &id, element).await?;
        if removed.is_some() {
            let action = "context.config.delete";
            self.record_context(&mut tx, action, &id, element).await?;
        }
        self.app.store.commit(tx).await?;
        Ok(removed)
    }

    async fn record_context(
        &self,
        tx: &mut Tx,
        action: &'static str,
        id: &ContextId,
        element: &str,
    ) -> Result<(), StoreError> {
        let by = By(&self.app, &self.principal);
        deed::record(by, tx, (action, format!("context:{id}")), Some(element)).await
    }
}

impl Manage {
    /// Makes a context.
    pub async fn create_context(&self, new: NewContext) -> Result<Context, OperationError> {
        let id: ContextId = match &new.slug {
            Some(text) => text.parse()?,
            None => slug(&new.name)?.into(),
        };
        let now = UnixMillis::now();
        let context = Context {
            id,
            name: new.name,
            description: new.description,
            labels: new.labels,
            space: new.space.unwrap_or_else(|| door::home(&self.principal)),
            hooks: new.hooks,
            created_at: now,
            updated_at: now,
        };
        check(&context)?;
        let mut tx = self.app.store.begin().await?;
        door::space(&mut tx, &self.principal, &context.space).await?;
        contexts::insert(&mut tx, &context).await?;
        self.context_done(tx, "context.create", &context.id).await?;
        Ok(context)
    }

    /// Changes a context. Runs that are handed out from here on get what it says then.
    pub async fn update_context(
        &self,
        id: &str,
        change: ContextChange,
    ) -> Result<Context, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = door::context(&mut tx, &self.principal, id).await?;
        let context = Context {
            name: change.name.unwrap_or(old.name),
            description: change.description.or(old.description),
            labels: change.labels.unwrap_or(old.labels),
            hooks: change.hooks.unwrap_or(old.hooks),
            updated_at: UnixMillis::now(),
            ..old
        };
        check(&context)?;
        contexts::update(&mut tx, &context).await?;
        self.context_done(tx, "context.update", &context.id).await?;
        Ok(context)
    }

    /// Deletes a context with what it holds, wherever it is attached.
    pub async fn delete_context(&self, id: &str) -> Result<Context, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let context = door::context(&mut tx, &self.principal, id).await?;
        contexts::delete(&mut tx, &context.id, UnixMillis::now()).await?;
        self.context_done(tx, "context.delete", &context.id).await?;
        Ok(context)
    }

    /// Attaches a context to a stack, or gives the attachment another priority; the lowest is the strongest.
    pub async fn attach_context(
        &self,
        id: &str,
        stack: &str,
        priority: i32,
    ) -> Result<Context, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let context = door::context(&mut tx, &self.principal, id).await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        let thing = ("context", context.id.to_string());
        door::check_usable(&mut tx, thing, &context.space, &stack.settings.space).await?;
        contexts::attach(&mut tx, &context.id, &stack.id, priority, UnixMillis::now()).await?;
        self.context_done(tx, "context.attach", &context.id).await?;
        Ok(context)
    }

    /// Takes a context off a stack. One that a label attaches stays.
    pub async fn detach_context(&self, id: &str, stack: &str) -> Result<Context, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let context = door::context(&mut tx, &self.principal, id).await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?.id;
        if !contexts::detach(&mut tx, &context.id, &stack).await? {
            return Err(OperationError::ContextNotAttached {
                context: context.id.to_string(),
                stack: stack.to_string(),
            });
        }
        self.context_done(tx, "context.detach", &context.id).await?;
        Ok(context)
    }

    async fn context_done(
        &self,
        mut tx: Tx,
        action: &'static str,
        id: &ContextId,
    ) -> Result<(), OperationError> {
        self.record(&mut tx, action, format!("context:{id}"))
            .await?;
        Ok(self.app.store.commit(tx).await?)
    }
}

fn check(context: &Context) -> Result<(), OperationError> {
    check_name(&context.name)?;
    let odd = |label: &&String| {
        label.is_empty() || label.len() > 200 || label.chars().any(char::is_control)
    };
    if let Some(label) = context.labels.iter().find(odd) {
        let rule = "expected 1 to 200 bytes without control characters";
        return Err(OperationError::input("labels", label, rule));
    }
    if context.labels.len() > LABELS_LIMIT {
        let rule = "expected at most 100 labels";
        return Err(OperationError::input("labels", "a long list", rule));
    }
    Ok(())
}
