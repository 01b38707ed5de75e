//! Stacks in the API.
//!
//! Takes a stack's record, gives its fields; what costs a query is asked for only when it is selected.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Object};
use gantry_protocol::RunType;

use super::commit::Commit;
use super::config_element::{ConfigElement, StackOutput};
use super::context::{caller, look};
use super::contexts::{self, RuntimeConfigElement, StackContextAttachment};
use super::drift::DriftDetection;
use super::entities::{self, ManagedEntity};
use super::enums::{StackState, VCSProvider};
use super::pages::{RunPage, StackPage};
use super::policy::StackPolicyAttachment;
use super::pool::WorkerPool;
use super::registry::dependencies::StackDependency;
use super::registry::modules::ModuleVersion;
use super::run::Run;
use super::space::Space;
use super::state_version::StateVersion;
use super::vendor::VendorConfig;
use crate::auth::Role;
use crate::domain::Approval;
use crate::domain::stack::{Availability, StackSettings, StateKeeper, Vendor};
use crate::operations::OperationError;
use crate::store::runs::{self, Listing};
use crate::store::stacks;

/// A stack, at its place on a page of stacks.
pub(super) struct Stack {
    page: Arc<StackPage>,
    place: usize,
}

impl Stack {
    /// A stack that is shown by itself.
    pub(super) fn one(record: stacks::Stack) -> Self {
        Self {
            page: Arc::new(StackPage::new(vec![record])),
            place: 0,
        }
    }

    /// Stacks that are shown together, in this order.
    pub(super) fn many(records: Vec<stacks::Stack>) -> impl Iterator<Item = Self> {
        let page = Arc::new(StackPage::new(records));
        (0..page.stacks.len()).map(move |place| Self {
            page: Arc::clone(&page),
            place,
        })
    }

    fn record(&self) -> &stacks::Stack {
        &self.page.stacks[self.place]
    }

    fn settings(&self) -> &StackSettings {
        &self.record().settings
    }

    async fn listed(
        &self,
        ctx: &Context<'_>,
        which: Listing,
        before: Option<ID>,
    ) -> Result<Vec<Run>, Error> {
        let stack = &self.record().id;
        let Some(before) = before else {
            return self.page.runs(ctx, stack, which).await;
        };
        let before = before.parse().map_err(OperationError::from)?;
        let mut conn = look(ctx)?.read().await?;
        let page = runs::list(&mut conn, stack, which, Some(before), runs::PAGE).await?;
        Ok(Run::many(RunPage::new(page)).collect())
    }
}

/// A stack: code in a repository, settings, and the runs over it.
#[Object]
impl Stack {
    async fn id(&self) -> ID {
        self.record().id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.settings().name
    }

    async fn administrative(&self) -> bool {
        self.settings().administrative
    }

    async fn autodeploy(&self) -> bool {
        self.settings().approval == Approval::Automatic
    }

    async fn autoretry(&self) -> bool {
        false
    }

    /// The run that holds the stack's lock.
    async fn blocker(&self, ctx: &Context<'_>) -> Result<Option<Run>, Error> {
        self.page.blocker(ctx, &self.record().id).await
    }

    async fn after_apply(&self) -> &[String] {
        &self.settings().hooks.after_apply
    }

    async fn before_apply(&self) -> &[String] {
        &self.settings().hooks.before_apply
    }

    async fn after_init(&self) -> &[String] {
        &self.settings().hooks.after_init
    }

    async fn before_init(&self) -> &[String] {
        &self.settings().hooks.before_init
    }

    async fn after_plan(&self) -> &[String] {
        &self.settings().hooks.after_plan
    }

    async fn before_plan(&self) -> &[String] {
        &self.settings().hooks.before_plan
    }

    async fn after_perform(&self) -> &[String] {
        &self.settings().hooks.after_perform
    }

    async fn before_perform(&self) -> &[String] {
        &self.settings().hooks.before_perform
    }

    async fn after_destroy(&self) -> &[String] {
        &self.settings().hooks.after_destroy
    }

    async fn before_destroy(&self) -> &[String] {
        &self.settings().hooks.before_destroy
    }

    async fn after_run(&self) -> &[String] {
        &self.settings().hooks.after_run
    }

    async fn branch(&self) -> &str {
        &self.settings().code.branch
    }

    async fn can_write(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(caller(ctx)?.principal().allows(Role::Writer))
    }

    async fn created_at(&self) -> i64 {
        self.record().created_at.seconds()
    }

    async fn deleted(&self) -> bool {
        false
    }

    /// Whether a run destroys what it manages, after which it goes.
    async fn deleting(&self) -> bool {
        self.record().deleted_by.is_some()
    }

    /// Whether it takes no new runs.
    async fn is_disabled(&self) -> bool {
        self.record().availability == Availability::Disabled
    }

    /// Versions of its managed state, newest first, older than `before`; fifty at most.
    async fn state_versions(
        &self,
        ctx: &Context<'_>,
        before: Option<u64>,
    ) -> Result<Vec<StateVersion>, Error> {
        let found = look(ctx)?.state_versions(self.record(), before).await?;
        Ok(found.into_iter().map(StateVersion::from).collect())
    }

    /// When it is looked at for drift, if it is.
    async fn drift_detection(&self, ctx: &Context<'_>) -> Result<Option<DriftDetection>, Error> {
        let found = self.page.schedule(ctx, &self.record().id).await?;
        Ok(found.cloned().map(DriftDetection::from))
    }

    /// Stacks that this one waits for: none, stacks are independent here.
    async fn depends_on(&self) -> Vec<StackDependency> {
        Vec::new()
    }

    /// Stacks that wait for this one: none.
    async fn is_depended_on_by(&self) -> Vec<StackDependency> {
        Vec::new()
    }

    async fn description(&self) -> Option<&str> {
        self.settings().description.as_deref()
    }

    async fn labels(&self) -> &[String] {
        &self.settings().labels
    }

    async fn local_preview_enabled(&self) -> bool {
        self.settings().local_preview
    }

    async fn locked_by(&self) -> Option<&str> {
        self.record().locked_by.as_deref()
    }

    async fn manages_state_file(&self) -> bool {
        self.record().state_keeper == StateKeeper::Server
    }

    async fn namespace(&self) -> &str {
        &self.settings().code.namespace
    }

    async fn project_root(&self) -> Option<&str> {
        Some(self.settings().code.project_root.as_str()).filter(|root| !root.is_empty())
    }

    async fn additional_project_globs(&self) -> &[String] {
        &[]
    }

    async fn provider(&self) -> VCSProvider {
        VCSProvider::Git
    }

    async fn repository(&self) -> &str {
        &self.settings().code.repository
    }

    /// Where the repository is cloned from.
    #[graphql(name = "repositoryURL")]
    async fn repository_url(&self) -> &str {
        &self.settings().code.url
    }

    async fn runner_image(&self) -> Option<&str> {
        self.settings().runner_image.as_deref()
    }

    async fn starred(&self) -> bool {
        false
    }

    async fn state(&self, ctx: &Context<'_>) -> Result<StackState, Error> {
        let latest = self.page.latest(ctx, &self.record().id).await?;
        Ok(latest.map_or(StackState::None, |record| record.run.state.into()))
    }

    async fn state_set_at(&self, ctx: &Context<'_>) -> Result<Option<i64>, Error> {
        let latest = self.page.latest(ctx, &self.record().id).await?;
        Ok(latest.map(|record| record.entered_at.seconds()))
    }

    async fn terraform_version(&self) -> Option<&str> {
        match &self.settings().vendor {
            Vendor::Terraform { version, .. } => version.as_deref(),
            Vendor::OpenTofu { .. } => None,
        }
    }

    async fn space(&self) -> ID {
        self.settings().space.clone().into()
    }

    async fn space_details(&self, ctx: &Context<'_>) -> Result<Space, Error> {
        let space = &self.settings().space;
        Space::found(ctx, space, self.page.space(ctx, space).await?)
    }

    async fn tracked_commit(&self) -> Option<Commit> {
        self.record()
            .tracked
            .clone()
            .map(|tracked| tracked.commit.into())
    }

    async fn tracked_commit_set_by(&self) -> Option<&str> {
        self.record().tracked.as_ref()?.set_by.as_deref()
    }

    async fn vendor_config(&self) -> VendorConfig {
        self.settings().vendor.clone().into()
    }

    /// Nothing where there is none, and where the caller does not see it.
    async fn worker_pool(&self, ctx: &Context<'_>) -> Result<Option<WorkerPool>, Error> {
        match self.settings().pool {
            Some(id) => self.page.pool(ctx, id).await,
            None => Ok(None),
        }
    }

    /// By hand and by label, strongest first.
    async fn attached_contexts(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<StackContextAttachment>, Error> {
        contexts::attached(ctx, &self.page, self.record()).await
    }

    /// What runs get: the stack's own, those of contexts attached by hand, computed ones.
    async fn runtime_config(&self, ctx: &Context<'_>) -> Result<Vec<RuntimeConfigElement>, Error> {
        contexts::runtime(ctx, &self.page, self.record()).await
    }

    /// By hand and by label.
    async fn attached_policies(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<StackPolicyAttachment>, Error> {
        let attached = self
            .page
            .policies(ctx, &self.record().id)
            .await?
            .into_iter();
        Ok(attached.map(StackPolicyAttachment::from).collect())
    }

    async fn config(&self, ctx: &Context<'_>) -> Result<Vec<ConfigElement>, Error> {
        let elements = self.page.config(ctx, &self.record().id).await?.iter();
        Ok(elements.map(ConfigElement::from).collect())
    }

    /// What is in the newest managed state: modules, resources, outputs.
    async fn entities(&self, ctx: &Context<'_>) -> Result<Vec<ManagedEntity>, Error> {
        Ok(entities::all(look(ctx)?.managed(&self.record().id).await?))
    }

    /// What the newest managed state gives out.
    async fn outputs(&self, ctx: &Context<'_>) -> Result<Vec<StackOutput>, Error> {
        let outputs = look(ctx)?.outputs(&self.record().id).await?;
        Ok(outputs.into_iter().map(StackOutput::from).collect())
    }

    async fn module_versions_used(&self) -> Vec<ModuleVersion> {
        Vec::new()
    }

    async fn run(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Run>, Error> {
        Ok(look(ctx)?.run(&self.record().id, &id).await?.map(Run::one))
    }

    /// The stack's runs, newest first, older than `before`.
    #[graphql(complexity = "50 * child_complexity")]
    async fn runs(&self, ctx: &Context<'_>, before: Option<ID>) -> Result<Vec<Run>, Error> {
        self.listed(ctx, Listing::All, before).await
    }

    /// The same, previews only.
    #[graphql(complexity = "50 * child_complexity")]
    async fn proposed_runs(
        &self,
        ctx: &Context<'_>,
        before: Option<ID>,
    ) -> Result<Vec<Run>, Error> {
        self.listed(ctx, Listing::Only(RunType::Proposed), before)
            .await
    }

    /// The same, tasks only.
    #[graphql(complexity = "50 * child_complexity")]
    async fn tasks(&self, ctx: &Context<'_>, before: Option<ID>) -> Result<Vec<Run>, Error> {
        self.listed(ctx, Listing::Only(RunType::Task), before).await
    }
}
