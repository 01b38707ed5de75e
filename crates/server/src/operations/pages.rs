//! What the things on a page need of others: by one question for all of them.
//!
//! Takes stacks, runs and ids, gives what the caller may see, by id. Never: a statement for each thing of a page,
//! or something of a space that the caller does not see.

use std::collections::{HashMap, HashSet};

use gantry_policy::PolicyKind;
use gantry_protocol::{PoolId, RunId, RunState, StackId};

use super::Look;
use crate::domain::{ContextId, Gate};
use crate::store::pools::{self, Pool};
use crate::store::runs::RunRecord;
use crate::store::spaces::{self, Space};
use crate::store::stack_config::ConfigElement;
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, contexts, policies};

impl Look {
    /// The pools of these ids that the caller sees.
    pub async fn pools_named(&self, ids: &[PoolId]) -> Result<Vec<Pool>, StoreError> {
        let mut found = pools::named(&mut *self.read().await?, ids).await?;
        found.retain(|pool| self.principal.sees(&pool.space));
        Ok(found)
    }

    /// The spaces of these ids that the caller sees.
    pub async fn spaces_named(&self, ids: &[String]) -> Result<HashMap<String, Space>, StoreError> {
        let mut found = spaces::named(&mut *self.read().await?, ids).await?;
        found.retain(|id, _| self.principal.sees(id));
        Ok(found)
    }

    /// The contexts of each stack, strongest first; those of spaces that the caller does not see have their effect
    /// and are not shown.
    pub async fn contexts_of(
        &self,
        stacks: &[Stack],
    ) -> Result<HashMap<StackId, contexts::Attachments>, StoreError> {
        let mut all = contexts::attached_to(&mut *self.read().await?, stacks).await?;
        for of_stack in all.values_mut() {
            of_stack.retain(|(context, _)| self.principal.sees(&context.space));
        }
        Ok(all)
    }

    /// What contexts hold; write-only values are not in it.
    pub async fn context_configs(
        &self,
        contexts: &[ContextId],
    ) -> Result<HashMap<ContextId, Vec<ConfigElement>>, StoreError> {
        contexts::configs(&mut *self.read().await?, contexts).await
    }

    /// The policies about each stack, in order of the slugs; those of spaces that the caller does not see are not
    /// shown.
    pub async fn policies_of(
        &self,
        stacks: &[Stack],
    ) -> Result<HashMap<StackId, policies::Attachments>, StoreError> {
        let mut all = policies::attached_to(&mut *self.read().await?, stacks).await?;
        for of_stack in all.values_mut() {
            of_stack.retain(|(policy, _)| self.principal.sees(&policy.space));
        }
        Ok(all)
    }

    /// Those of these runs that approval policies have a say about before they go on from where they wait.
    pub async fn needing_approval(
        &self,
        records: &[RunRecord],
    ) -> Result<HashSet<RunId>, StoreError> {
        let waits = |record: &&RunRecord| match record.run.state {
            RunState::Queued => record.gate == Gate::Closed,
            RunState::Unconfirmed | RunState::PendingReview => true,
            _ => false,
        };
        let waiting: Vec<&RunRecord> = records.iter().filter(waits).collect();
        if waiting.is_empty() {
            return Ok(HashSet::new());
        }
        let mut conn = self.read().await?;
        let owners: Vec<StackId> = waiting.iter().map(|one| one.run.stack.clone()).collect();
        let stacks = stacks::named(&mut conn, &owners).await?;
        let policies = policies::attached_to(&mut conn, &stacks).await?;
        let asked = |record: &&RunRecord| {
            let about = policies.get(&record.run.stack);
            about.is_some_and(|about| {
                let mut kinds = about.iter().map(|(policy, _)| policy.kind);
                kinds.any(|kind| kind == PolicyKind::Approval)
            })
        };
        let needing = waiting.into_iter().filter(asked);
        Ok(needing.map(|record| record.run.id).collect())
    }
}
