//! Versions of managed states: looked at, and gone back to.
//!
//! Takes a stack and a version. Never: a state's content, or a change of it while a run holds the stack.

use super::{Look, Manage, OperationError, door};
use crate::clock::UnixMillis;
use crate::store::tfstate::{self as rows, StateVersionRow};
use crate::store::{StoreError, runs, stacks};

/// Versions on one page.
const PAGE: u32 = 50;

impl Look {
    /// Versions of a stack's managed state, newest first, older than `before`.
    pub async fn state_versions(
        &self,
        stack: &stacks::Stack,
        before: Option<u64>,
    ) -> Result<Vec<StateVersionRow>, StoreError> {
        rows::older(&mut *self.read().await?, &stack.id, before, PAGE).await
    }
}

impl Manage {
    /// Makes an older state the newest again; gives the version that it is now.
    pub async fn roll_back_state(
        &self,
        stack: &str,
        version: u64,
    ) -> Result<StateVersionRow, OperationError> {
        let mut conn = self.app.store.read().await?;
        let stack = door::stack(&mut conn, &self.principal, stack).await?.id;
        drop(conn);
        let keeper = &self.app.control.state;
        let former = keeper.former(&stack, version).await?;
        let missing = || StoreError::NotFound {
            kind: "state version",
            id: version.to_string(),
        };
        let former = former.ok_or_else(missing)?;
        let mut tx = self.app.store.begin().await?;
        let done = match runs::lock_holder(&mut tx, &stack).await? {
            Some(run) => Err(StoreError::InUse {
                kind: "stack",
                id: stack.to_string(),
                by: format!("run `{}` is {}", run.run.id, run.run.state),
            }),
            None => {
                keeper
                    .roll_back(&mut tx, &stack, &former, UnixMillis::now())
                    .await
            }
        };
        match done {
            Ok(Some(row)) => {
                let subject = format!("stack:{stack}");
                self.record(&mut tx, "stack.state.rollback", subject)
                    .await?;
                self.app.store.commit(tx).await?;
                Ok(row)
            }
            Ok(None) => {
                drop(tx);
                keeper.discard_former(former).await;
                Err(StoreError::InUse {
                    kind: "state of stack",
                    id: stack.to_string(),
                    by: "another version was written in this moment".to_owned(),
                }
                .into())
            }
            Err(error) => {
                drop(tx);
                keeper.discard_former(former).await;
                Err(error.into())
            }
        }
    }
}
