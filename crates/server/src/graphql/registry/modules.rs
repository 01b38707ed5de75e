//! Modules and their versions.
//!
//! See [`super`]: there are none.

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};

use crate::graphql::commit::Commit;
use crate::graphql::context::operate;
use crate::graphql::enums::VCSProvider;
use crate::graphql::pool::WorkerPool;
use crate::graphql::run::Run;
use crate::graphql::search::{PageInfo, SearchInput};
use crate::graphql::space::Space;
use crate::graphql::vendor::TerraformWorkflowTool;

/// What is said of every change of a module.
const NOT_KEPT: &str = "the registry of modules";

/// A module.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(in crate::graphql) struct Module {
    id: ID,
    name: String,
    owner: String,
    owner_subdomain: String,
    administrative: bool,
    api_host: String,
    branch: String,
    description: Option<String>,
    can_write: bool,
    is_disabled: bool,
    created_at: i64,
    labels: Vec<String>,
    namespace: String,
    project_root: Option<String>,
    provider: VCSProvider,
    repository: String,
    terraform_provider: String,
    local_preview_enabled: bool,
    current: Option<Box<ModuleVersion>>,
    latest: Option<Box<ModuleVersion>>,
    space_details: Space,
    worker_pool: Option<WorkerPool>,
    starred: bool,
    public: bool,
    module_source: String,
    workflow_tool: TerraformWorkflowTool,
    versions_count: i32,
}

#[async_graphql::ComplexObject]
impl Module {
    /// A local preview of it.
    async fn run(&self, id: ID) -> Option<Run> {
        drop(id);
        None
    }

    async fn versions(&self, include_failed: Option<bool>) -> Vec<ModuleVersion> {
        let _ = include_failed;
        Vec::new()
    }

    async fn version(&self, id: ID) -> Option<ModuleVersion> {
        drop(id);
        None
    }

    async fn search_module_versions(&self, input: SearchInput) -> SearchModuleVersionsOutput {
        drop(input);
        SearchModuleVersionsOutput {
            edges: Vec::new(),
            page_info: PageInfo::empty(),
        }
    }
}

/// A version of a module.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ModuleVersion {
    id: ID,
    number: String,
    module: Module,
    commit: Commit,
    created_at: i64,
    download_link: Option<String>,
    notes: Option<String>,
    #[graphql(name = "sourceURL")]
    source_url: String,
    state: ModuleVersionState,
    version_count: i32,
    yanked: bool,
}

/// Where a version stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum ModuleVersionState {
    Pending,
    Active,
    Failed,
}

/// A page of modules.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchModulesOutput {
    edges: Vec<SearchModulesOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
struct SearchModulesOutputEdge {
    node: Module,
}

/// A page of versions.
#[derive(SimpleObject)]
struct SearchModuleVersionsOutput {
    edges: Vec<SearchModuleVersionsOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
struct SearchModuleVersionsOutputEdge {
    node: ModuleVersion,
}

impl SearchModulesOutput {
    /// There are none.
    pub(in crate::graphql) fn none() -> Self {
        Self {
            edges: Vec::new(),
            page_info: PageInfo::empty(),
        }
    }
}

#[derive(Default)]
pub(in crate::graphql) struct ModuleMutation;

#[Object]
impl ModuleMutation {
    /// Not offered: there is no registry of modules.
    async fn version_create(
        &self,
        ctx: &Context<'_>,
        module: ID,
        commit_sha: Option<String>,
        version: Option<String>,
    ) -> Result<ModuleVersion, Error> {
        operate(ctx)?;
        drop((module, commit_sha, version));
        Err(super::not_kept(NOT_KEPT))
    }

    /// Not offered: there is no registry of modules.
    async fn version_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
        module: ID,
    ) -> Result<ModuleVersion, Error> {
        operate(ctx)?;
        drop((id, module));
        Err(super::not_kept(NOT_KEPT))
    }

    /// Not offered: there is no registry of modules.
    async fn version_propose_local_workspace(
        &self,
        ctx: &Context<'_>,
        module: ID,
        workspace: ID,
        test_ids: Option<Vec<String>>,
    ) -> Result<Vec<Run>, Error> {
        operate(ctx)?;
        drop((module, workspace, test_ids));
        Err(super::not_kept(NOT_KEPT))
    }
}
