//! A page of stacks.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Error};
use gantry_protocol::{PoolId, RunType, StackId};
use tokio::sync::OnceCell;

use crate::domain::ContextId;
use crate::graphql::context::look;
use crate::graphql::pages::{PoolPage, RunPage};
use crate::graphql::pool::WorkerPool;
use crate::graphql::run::Run;
use crate::store::drift::{self, DriftSchedule};
use crate::store::runs::{self, Listing, RunRecord};
use crate::store::spaces::Space;
use crate::store::stack_config::{self, ConfigElement};
use crate::store::stacks::Stack;
use crate::store::{contexts, policies};

/// By a stack, its part of an answer.
type Each<T> = OnceCell<HashMap<StackId, T>>;

#[derive(Default)]
pub(in crate::graphql) struct StackPage {
    /// The stacks; a place in this list names one of them.
    pub(in crate::graphql) stacks: Vec<Stack>,
    latest: Each<RunRecord>,
    blockers: Each<Run>,
    runs: Each<Vec<Run>>,
    previews: Each<Vec<Run>>,
    tasks: Each<Vec<Run>>,
    schedules: Each<DriftSchedule>,
    configs: Each<Vec<ConfigElement>>,
    contexts: Each<contexts::Attachments>,
    policies: Each<policies::Attachments>,
    context_configs: OnceCell<HashMap<ContextId, Vec<ConfigElement>>>,
    spaces: OnceCell<HashMap<String, Space>>,
    pools: OnceCell<Arc<PoolPage>>,
}

impl StackPage {
    pub(in crate::graphql) fn new(stacks: Vec<Stack>) -> Self {
        Self {
            stacks,
            ..Self::default()
        }
    }

    fn ids(&self) -> Vec<StackId> {
        self.stacks.iter().map(|stack| stack.id.clone()).collect()
    }

    /// The newest run that says something about the stack itself.
    pub(in crate::graphql) async fn latest(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
    ) -> Result<Option<&RunRecord>, Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(runs::latest_of(&mut conn, &self.ids()).await?)
        };
        Ok(self.latest.get_or_try_init(ask).await?.get(id))
    }

    /// The run that holds the stack's lock.
    pub(in crate::graphql) async fn blocker(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
    ) -> Result<Option<Run>, Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            let holders = runs::lock_holders(&mut conn, &self.ids()).await?;
            let all = Run::many(RunPage::new(holders.into_values().collect()));
            Ok::<_, Error>(all.map(|run| (run.stack().clone(), run)).collect())
        };
        Ok(self.blockers.get_or_try_init(ask).await?.get(id).cloned())
    }

    /// The newest page of the stack's runs.
    pub(in crate::graphql) async fn runs(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
        which: Listing,
    ) -> Result<Vec<Run>, Error> {
        let cell = match which {
            Listing::All => &self.runs,
            Listing::Only(RunType::Task) => &self.tasks,
            Listing::Only(_) => &self.previews,
        };
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            let newest = runs::newest_of(&mut conn, &self.ids(), which).await?;
            let mut all: HashMap<StackId, Vec<Run>> = HashMap::new();
            for run in Run::many(RunPage::new(newest)) {
                all.entry(run.stack().clone()).or_default().push(run);
            }
            Ok::<_, Error>(all)
        };
        let found = cell.get_or_try_init(ask).await?.get(id);
        Ok(found.cloned().unwrap_or_default())
    }

    /// When the stack is looked at for drift.
    pub(in crate::graphql) async fn schedule(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
    ) -> Result<Option<&DriftSchedule>, Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(drift::of_stacks(&mut conn, &self.ids()).await?)
        };
        Ok(self.schedules.get_or_try_init(ask).await?.get(id))
    }

    /// The stack's own variables and files.
    pub(in crate::graphql) async fn config(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
    ) -> Result<&[ConfigElement], Error> {
        let ask = || async {
            let mut conn = look(ctx)?.read().await?;
            Ok::<_, Error>(stack_config::of_stacks(&mut conn, &self.ids()).await?)
        };
        let all = self.configs.get_or_try_init(ask).await?;
        Ok(all.get(id).map_or(&[], Vec::as_slice))
    }

    /// The stack's contexts, strongest first.
    pub(in crate::graphql) async fn contexts(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
    ) -> Result<&contexts::Attachments, Error> {
        const NONE: &contexts::Attachments = &Vec::new();
        let ask = || async { Ok::<_, Error>(look(ctx)?.contexts_of(&self.stacks).await?) };
        let all = self.contexts.get_or_try_init(ask).await?;
        Ok(all.get(id).unwrap_or(NONE))
    }

    /// What one of those contexts holds.
    pub(in crate::graphql) async fn context_config(
        &self,
        ctx: &Context<'_>,
        (stack, context): (&StackId, &ContextId),
    ) -> Result<&[ConfigElement], Error> {
        self.contexts(ctx, stack).await?;
        let ask = || async {
            let all = self.contexts.get().into_iter().flat_map(HashMap::values);
            let ids = all.flatten().map(|(context, _)| context.id.clone());
            let ids: Vec<ContextId> = ids.collect();
            Ok::<_, Error>(look(ctx)?.context_configs(&ids).await?)
        };
        let all = self.context_configs.get_or_try_init(ask).await?;
        Ok(all.get(context).map_or(&[], Vec::as_slice))
    }

    /// The policies about the stack.
    pub(in crate::graphql) async fn policies(
        &self,
        ctx: &Context<'_>,
        id: &StackId,
    ) -> Result<policies::Attachments, Error> {
        let ask = || async { Ok::<_, Error>(look(ctx)?.policies_of(&self.stacks).await?) };
        let found = self.policies.get_or_try_init(ask).await?.get(id);
        Ok(found.cloned().unwrap_or_default())
    }

    /// The space of a stack.
    pub(in crate::graphql) async fn space(
        &self,
        ctx: &Context<'_>,
        id: &str,
    ) -> Result<Option<&Space>, Error> {
        let ask = || async {
            let ids = self.stacks.iter().map(|stack| stack.settings.space.clone());
            let ids: Vec<String> = ids.collect();
            Ok::<_, Error>(look(ctx)?.spaces_named(&ids).await?)
        };
        Ok(self.spaces.get_or_try_init(ask).await?.get(id))
    }

    /// The pool of a stack; nothing where the caller does not see it.
    pub(in crate::graphql) async fn pool(
        &self,
        ctx: &Context<'_>,
        id: PoolId,
    ) -> Result<Option<WorkerPool>, Error> {
        let ask = || async {
            let ids = self.stacks.iter().filter_map(|stack| stack.settings.pool);
            let ids: Vec<PoolId> = ids.collect();
            let pools = look(ctx)?.pools_named(&ids).await?;
            Ok::<_, Error>(Arc::new(PoolPage::new(pools)))
        };
        let page = self.pools.get_or_try_init(ask).await?;
        Ok(WorkerPool::on(page, id))
    }
}
