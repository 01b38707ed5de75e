//! One person's exclusive use of a stack.
//!
//! Takes a stack, gives it to the caller or frees it. It never expires; while it lasts, nobody else makes or
//! confirms runs that take the stack's lock, and no plan goes on to its apply without a person.

use gantry_protocol::StackId;

use super::deed::{self, By};
use super::{Operate, OperationError, door};
use crate::auth::Role;
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, Tx};

impl Operate {
    /// Takes a stack for the caller alone.
    pub async fn hold(&self, stack: &str, note: Option<&str>) -> Result<Stack, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        self.check_holder(&stack)?;
        let note = note.filter(|note| !note.is_empty());
        stacks::set_holder(&mut tx, &stack.id, Some(self.principal.name()), note).await?;
        self.finish_hold(tx, &stack.id, "stack.lock").await
    }

    /// Frees a stack: its holder may, and an admin.
    pub async fn release(&self, stack: &str) -> Result<Stack, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        if !self.principal.allows(Role::Admin) {
            self.check_holder(&stack)?;
        }
        stacks::set_holder(&mut tx, &stack.id, None, None).await?;
        self.finish_hold(tx, &stack.id, "stack.unlock").await
    }

    /// Refuses if somebody else holds the stack.
    pub(super) fn check_holder(&self, stack: &Stack) -> Result<(), OperationError> {
        match &stack.locked_by {
            Some(holder) if holder != self.principal.name() => Err(OperationError::Held {
                stack: stack.id.to_string(),
                holder: holder.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) async fn finish_hold(
        &self,
        mut tx: Tx,
        id: &StackId,
        action: &'static str,
    ) -> Result<Stack, OperationError> {
        let stack = stacks::get(&mut tx, id).await?;
        self.record_hold(&mut tx, action, id).await?;
        self.app.store.commit(tx).await?;
        Ok(stack)
    }

    pub(super) async fn record_hold(
        &self,
        tx: &mut Tx,
        action: &'static str,
        id: &StackId,
    ) -> Result<(), StoreError> {
        let by = By(&self.app, &self.principal);
        deed::record(by, tx, (action, format!("stack:{id}")), None).await
    }
}
