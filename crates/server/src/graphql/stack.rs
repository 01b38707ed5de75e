//! Stacks in the API.
//!
//! Takes a stack's record, gives its fields; what costs a query is asked for only when it is selected.

use async_graphql::{Context, Error, ID, Object, SimpleObject};

use super::commit::Commit;
use super::context::{caller, look};
use super::contexts::{self, RuntimeConfigElement, StackContextAttachment};
use super::drift::DriftDetection;
use super::entities::{self, ManagedEntity};
use super::enums::{ConfigType, StackState, VCSProvider};
use super::policy::StackPolicyAttachment;
use super::pool::WorkerPool;
use super::registry::dependencies::StackDependency;
use super::registry::modules::ModuleVersion;
use super::run::Run;
use super::space::Space;
use super::state_version::StateVersion;
use super::vendor::VendorConfig;
use crate::auth::Role;
use crate::clock::UnixMillis;
use crate::domain::Approval;
use crate::domain::stack::{Availability, StateKeeper, Vendor};
use crate::store::drift;
use crate::store::runs::{self, Listing};
use crate::store::stack_config::{self, StoredValue};
use crate::store::stacks;
use crate::tfstate::Output;

/// Runs on one page.
const PAGE: u32 = 50;

pub(super) struct Stack(pub(super) stacks::Stack);

/// A variable or file of a stack. `value` of a write-only one is never given.
#[derive(Clone, SimpleObject)]
pub(super) struct ConfigElement {
    id: ID,
    checksum: String,
    description: Option<String>,
    created_at: i64,
    runtime: bool,
    r#type: ConfigType,
    value: Option<String>,
    write_only: bool,
}

impl ConfigElement {
    /// A variable that each run gets, with a value of its own.
    pub(super) fn computed(name: String, since: UnixMillis) -> Self {
        Self {
            id: name.into(),
            checksum: String::new(),
            description: None,
            created_at: since.seconds(),
            runtime: true,
            r#type: ConfigType::Variable,
            value: None,
            write_only: false,
        }
    }

    /// By what one element hides another.
    pub(super) fn key(&self) -> (bool, String) {
        (self.r#type == ConfigType::File, self.id.to_string())
    }
}

/// An output of a stack's managed state. Sensitive ones are not listed.
#[derive(SimpleObject)]
pub(super) struct StackOutput {
    id: ID,
    sensitive: bool,
    description: Option<String>,
    /// JSON, as text.
    value: Option<String>,
}

impl From<Output> for StackOutput {
    fn from(output: Output) -> Self {
        Self {
            id: output.name.into(),
            sensitive: false,
            description: None,
            value: Some(output.value.to_string()),
        }
    }
}

impl From<stack_config::ConfigElement> for ConfigElement {
    fn from(element: stack_config::ConfigElement) -> Self {
        let (value, write_only) = match element.value {
            StoredValue::Plain(text) => (Some(text), false),
            StoredValue::Sealed(_) => (None, true),
        };
        Self {
            id: element.id.into(),
            checksum: element.checksum,
            description: element.description,
            created_at: element.created_at.seconds(),
            runtime: false,
            r#type: element.kind.into(),
            value,
            write_only,
        }
    }
}

/// A stack: code in a repository, settings, and the runs over it.
#[Object]
impl Stack {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.0.settings.name
    }

    async fn administrative(&self) -> bool {
        self.0.settings.administrative
    }

    async fn autodeploy(&self) -> bool {
        self.0.settings.approval == Approval::Automatic
    }

    async fn autoretry(&self) -> bool {
        false
    }

    /// The run that holds the stack's lock.
    async fn blocker(&self, ctx: &Context<'_>) -> Result<Option<Run>, Error> {
        let mut conn = look(ctx)?.read().await?;
        Ok(runs::lock_holder(&mut conn, &self.0.id).await?.map(Run))
    }

    async fn after_apply(&self) -> &[String] {
        &self.0.settings.hooks.after_apply
    }

    async fn before_apply(&self) -> &[String] {
        &self.0.settings.hooks.before_apply
    }

    async fn after_init(&self) -> &[String] {
        &self.0.settings.hooks.after_init
    }

    async fn before_init(&self) -> &[String] {
        &self.0.settings.hooks.before_init
    }

    async fn after_plan(&self) -> &[String] {
        &self.0.settings.hooks.after_plan
    }

    async fn before_plan(&self) -> &[String] {
        &self.0.settings.hooks.before_plan
    }

    async fn after_perform(&self) -> &[String] {
        &self.0.settings.hooks.after_perform
    }

    async fn before_perform(&self) -> &[String] {
        &self.0.settings.hooks.before_perform
    }

    async fn after_destroy(&self) -> &[String] {
        &self.0.settings.hooks.after_destroy
    }

    async fn before_destroy(&self) -> &[String] {
        &self.0.settings.hooks.before_destroy
    }

    async fn after_run(&self) -> &[String] {
        &self.0.settings.hooks.after_run
    }

    async fn branch(&self) -> &str {
        &self.0.settings.code.branch
    }

    async fn can_write(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(caller(ctx)?.principal().allows(Role::Writer))
    }

    async fn created_at(&self) -> i64 {
        self.0.created_at.seconds()
    }

    async fn deleted(&self) -> bool {
        false
    }

    /// Whether a run destroys what it manages, after which it goes.
    async fn deleting(&self) -> bool {
        self.0.deleted_by.is_some()
    }

    /// Whether it takes no new runs.
    async fn is_disabled(&self) -> bool {
        self.0.availability == Availability::Disabled
    }

    /// Versions of its managed state, newest first, older than `before`; fifty at most.
    async fn state_versions(
        &self,
        ctx: &Context<'_>,
        before: Option<u64>,
    ) -> Result<Vec<StateVersion>, Error> {
        let found = look(ctx)?.state_versions(&self.0, before).await?;
        Ok(found.into_iter().map(StateVersion::from).collect())
    }

    /// When it is looked at for drift, if it is.
    async fn drift_detection(&self, ctx: &Context<'_>) -> Result<Option<DriftDetection>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let found = drift::find(&mut conn, &self.0.id).await?;
        Ok(found.map(DriftDetection::from))
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
        self.0.settings.description.as_deref()
    }

    async fn labels(&self) -> &[String] {
        &self.0.settings.labels
    }

    async fn local_preview_enabled(&self) -> bool {
        self.0.settings.local_preview
    }

    async fn locked_by(&self) -> Option<&str> {
        self.0.locked_by.as_deref()
    }

    async fn manages_state_file(&self) -> bool {
        self.0.state_keeper == StateKeeper::Server
    }

    async fn namespace(&self) -> &str {
        &self.0.settings.code.namespace
    }

    async fn project_root(&self) -> Option<&str> {
        Some(self.0.settings.code.project_root.as_str()).filter(|root| !root.is_empty())
    }

    async fn additional_project_globs(&self) -> &[String] {
        &[]
    }

    async fn provider(&self) -> VCSProvider {
        VCSProvider::Git
    }

    async fn repository(&self) -> &str {
        &self.0.settings.code.repository
    }

    /// Where the repository is cloned from.
    #[graphql(name = "repositoryURL")]
    async fn repository_url(&self) -> &str {
        &self.0.settings.code.url
    }

    async fn runner_image(&self) -> Option<&str> {
        self.0.settings.runner_image.as_deref()
    }

    async fn starred(&self) -> bool {
        false
    }

    async fn state(&self, ctx: &Context<'_>) -> Result<StackState, Error> {
        let mut conn = look(ctx)?.read().await?;
        let latest = runs::latest(&mut conn, &self.0.id).await?;
        Ok(latest.map_or(StackState::None, |record| record.run.state.into()))
    }

    async fn state_set_at(&self, ctx: &Context<'_>) -> Result<Option<i64>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let latest = runs::latest(&mut conn, &self.0.id).await?;
        Ok(latest.map(|record| record.entered_at.seconds()))
    }

    async fn terraform_version(&self) -> Option<&str> {
        match &self.0.settings.vendor {
            Vendor::Terraform { version, .. } => version.as_deref(),
            Vendor::OpenTofu { .. } => None,
        }
    }

    async fn space(&self) -> ID {
        self.0.settings.space.clone().into()
    }

    async fn space_details(&self, ctx: &Context<'_>) -> Result<Space, Error> {
        Space::of(ctx, &self.0.settings.space).await
    }

    async fn tracked_commit(&self) -> Option<Commit> {
        self.0.tracked.clone().map(|tracked| tracked.commit.into())
    }

    async fn tracked_commit_set_by(&self) -> Option<&str> {
        self.0.tracked.as_ref()?.set_by.as_deref()
    }

    async fn vendor_config(&self) -> VendorConfig {
        self.0.settings.vendor.clone().into()
    }

    /// Nothing where there is none, and where the caller does not see it.
    async fn worker_pool(&self, ctx: &Context<'_>) -> Result<Option<WorkerPool>, Error> {
        let look = look(ctx)?;
        let Some(id) = self.0.settings.pool else {
            return Ok(None);
        };
        Ok(look.pool(&id.to_string()).await?.map(WorkerPool::listed))
    }

    /// By hand and by label, strongest first.
    async fn attached_contexts(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<StackContextAttachment>, Error> {
        contexts::attached(&look(ctx)?, &self.0).await
    }

    /// What runs get: the stack's own, those of contexts attached by hand, computed ones.
    async fn runtime_config(&self, ctx: &Context<'_>) -> Result<Vec<RuntimeConfigElement>, Error> {
        contexts::runtime(&look(ctx)?, &self.0).await
    }

    /// By hand and by label.
    async fn attached_policies(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Vec<StackPolicyAttachment>, Error> {
        let attached = look(ctx)?.attached_policies(&self.0).await?.into_iter();
        Ok(attached.map(StackPolicyAttachment::from).collect())
    }

    async fn config(&self, ctx: &Context<'_>) -> Result<Vec<ConfigElement>, Error> {
        let elements = look(ctx)?.config(&self.0.id).await?;
        Ok(elements.into_iter().map(ConfigElement::from).collect())
    }

    /// What is in the newest managed state: modules, resources, outputs.
    async fn entities(&self, ctx: &Context<'_>) -> Result<Vec<ManagedEntity>, Error> {
        Ok(entities::all(look(ctx)?.managed(&self.0.id).await?))
    }

    /// What the newest managed state gives out.
    async fn outputs(&self, ctx: &Context<'_>) -> Result<Vec<StackOutput>, Error> {
        let outputs = look(ctx)?.outputs(&self.0.id).await?;
        Ok(outputs.into_iter().map(StackOutput::from).collect())
    }

    async fn module_versions_used(&self) -> Vec<ModuleVersion> {
        Vec::new()
    }

    async fn run(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Run>, Error> {
        Ok(look(ctx)?.run(&self.0.id, &id).await?.map(Run))
    }

    /// The stack's runs, newest first, older than `before`.
    #[graphql(complexity = "50 * child_complexity")]
    async fn runs(&self, ctx: &Context<'_>, before: Option<ID>) -> Result<Vec<Run>, Error> {
        self.page(ctx, Listing::All, before).await
    }

    /// The same, previews only.
    #[graphql(complexity = "50 * child_complexity")]
    async fn proposed_runs(
        &self,
        ctx: &Context<'_>,
        before: Option<ID>,
    ) -> Result<Vec<Run>, Error> {
        self.page(
            ctx,
            Listing::Only(gantry_protocol::RunType::Proposed),
            before,
        )
        .await
    }

    /// The same, tasks only.
    #[graphql(complexity = "50 * child_complexity")]
    async fn tasks(&self, ctx: &Context<'_>, before: Option<ID>) -> Result<Vec<Run>, Error> {
        self.page(ctx, Listing::Only(gantry_protocol::RunType::Task), before)
            .await
    }
}

impl Stack {
    async fn page(
        &self,
        ctx: &Context<'_>,
        which: Listing,
        before: Option<ID>,
    ) -> Result<Vec<Run>, Error> {
        let parse = |id: ID| id.parse().map_err(crate::operations::OperationError::from);
        let before = before.map(parse).transpose()?;
        let mut conn = look(ctx)?.read().await?;
        let page = runs::list(&mut conn, &self.0.id, which, before, PAGE).await?;
        Ok(page.into_iter().map(Run).collect())
    }
}
