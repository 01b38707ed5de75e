//! The commit that a stack's next deployment takes.
//!
//! Takes a hash that the repository has, or the branch's head. Never: a commit that nobody can find.

use gantry_protocol::StackId;

use super::trigger::named_commit;
use super::{Operate, OperationError, door};
use crate::store::commit::{Choice, Commit, TrackedCommit};
use crate::store::stacks::{self, Stack};

impl Operate {
    /// Sets the commit that deployments take which name none.
    pub async fn set_commit(&self, stack: &str, hash: &str) -> Result<Stack, OperationError> {
        let stack = self.known(stack).await?;
        let commit = named_commit(&stack, hash)?;
        let repository = self.source(&stack).await?;
        let details = repository.details(&commit.hash).await?;
        let commit = Commit {
            author_name: details.author,
            message: details.message,
            timestamp: details.committed_at,
            ..commit
        };
        self.track(&stack.id, commit, Choice::Set, "stack.commit.set")
            .await
    }

    /// Goes back to the head of the stack's branch.
    pub async fn sync_commit(&self, stack: &str) -> Result<Stack, OperationError> {
        let stack = self.known(stack).await?;
        let head = self.branch_head(&stack).await?;
        let head = self.described(&stack, head).await;
        self.track(&stack.id, head, Choice::Deployed, "stack.commit.sync")
            .await
    }

    /// What a stack remembers of a deployment of `commit`: one that was set stays set.
    pub(super) fn tracked_by(&self, stack: &Stack, commit: &Commit) -> TrackedCommit {
        let set = |tracked: &&TrackedCommit| tracked.commit.hash == commit.hash;
        let before = stack.tracked.as_ref().filter(set);
        TrackedCommit {
            commit: commit.clone(),
            set_by: Some(self.principal.name().to_owned()),
            choice: before.map_or(Choice::Deployed, |tracked| tracked.choice),
        }
    }

    async fn track(
        &self,
        stack: &StackId,
        commit: Commit,
        choice: Choice,
        action: &'static str,
    ) -> Result<Stack, OperationError> {
        let set_by = match choice {
            Choice::Set => Some(self.principal.name().to_owned()),
            Choice::Deployed => None,
        };
        let tracked = TrackedCommit {
            commit,
            set_by,
            choice,
        };
        let mut tx = self.app.store.begin().await?;
        door::stack(&mut tx, &self.principal, stack.as_str()).await?;
        stacks::set_tracked(&mut tx, stack, &tracked).await?;
        self.finish_hold(tx, stack, action).await
    }

    /// The stack, also one that has no pool yet.
    async fn known(&self, stack: &str) -> Result<Stack, OperationError> {
        let mut conn = self.app.store.read().await?;
        door::stack(&mut conn, &self.principal, stack).await
    }
}
