//! Stacks that are switched off, or go with what they manage.
//!
//! Takes a stack. Never: a stack that goes while something of it may still be there, when it was to be destroyed.

use gantry_protocol::RunType;

use super::trigger::{Beside, TriggerRequest};
use super::{Manage, Operate, OperationError, door};
use crate::domain::MetadataEntry;
use crate::domain::stack::Availability;
use crate::store::stacks::{self, Stack};

impl Operate {
    /// Lets a stack take new runs, or none any more. Runs that exist go on.
    pub async fn set_availability(
        &self,
        stack: &str,
        availability: Availability,
    ) -> Result<Stack, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let stack = door::stack(&mut tx, &self.principal, stack).await?;
        self.check_holder(&stack)?;
        stacks::set_availability(&mut tx, &stack.id, availability).await?;
        let action = match availability {
            Availability::Enabled => "stack.enable",
            Availability::Disabled => "stack.disable",
        };
        self.finish_hold(tx, &stack.id, action).await
    }
}

impl Manage {
    /// Makes a run that destroys what a stack manages; when it finished, the stack is deleted with it.
    pub async fn destroy_stack(
        &self,
        stack: &str,
        metadata: Option<&MetadataEntry>,
    ) -> Result<Stack, OperationError> {
        let operate = Operate {
            app: std::sync::Arc::clone(&self.app),
            principal: self.principal.clone(),
        };
        let wish = TriggerRequest {
            stack,
            run_type: RunType::Destroy,
            commit: None,
            runtime_config: None,
            metadata,
        };
        let new = operate.planning(wish).await?;
        let id = new.run.stack.clone();
        operate.create_with(new, &Beside::Deletion).await?;
        Ok(stacks::get(&mut *self.app.store.read().await?, &id).await?)
    }
}
