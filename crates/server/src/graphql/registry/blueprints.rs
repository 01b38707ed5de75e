//! Blueprints and templates.
//!
//! See [`super`]: there are none.

use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};

use crate::graphql::context::operate;
use crate::graphql::search::PageInfo;
use crate::graphql::space::Space;

/// A recipe for stacks.
#[derive(SimpleObject)]
pub(in crate::graphql) struct Blueprint {
    id: ID,
    deleted: bool,
    name: String,
    state: BlueprintState,
    description: Option<String>,
    labels: Vec<String>,
    created_at: i64,
    updated_at: i64,
    raw_template: Option<String>,
    inputs: Vec<BlueprintInput>,
    space: Space,
}

/// Whether a blueprint can be used.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum BlueprintState {
    Draft,
    Published,
}

/// What a blueprint asks for.
#[derive(SimpleObject)]
struct BlueprintInput {
    id: ID,
    name: String,
    default: String,
    description: String,
    options: Option<Vec<String>>,
    r#type: BlueprintInputType,
}

/// What kind of value it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum BlueprintInputType {
    ShortText,
    LongText,
    Secret,
    Number,
    Float,
    Boolean,
    Select,
}

/// Values for a blueprint.
#[derive(InputObject)]
pub(in crate::graphql) struct BlueprintStackCreateInput {
    template_inputs: Option<Vec<BlueprintStackCreateInputPair>>,
}

/// One of them.
#[derive(InputObject)]
struct BlueprintStackCreateInputPair {
    id: ID,
    value: String,
}

/// The stack that a blueprint made.
#[derive(SimpleObject)]
pub(in crate::graphql) struct BlueprintCreateStackResult {
    #[graphql(name = "stackID")]
    stack_id: ID,
}

/// A page of blueprints.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchBlueprintsOutput {
    edges: Vec<SearchBlueprintsOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
struct SearchBlueprintsOutputEdge {
    node: Blueprint,
}

/// A template of deployments.
#[derive(SimpleObject)]
pub(in crate::graphql) struct Template {
    id: ID,
    name: String,
    description: Option<String>,
    labels: Vec<String>,
    created_at: i64,
    updated_at: i64,
    deployments_count: i32,
    space: Space,
    can_delete: bool,
    latest_version: Option<TemplateVersion>,
}

/// A version of a template.
#[derive(SimpleObject)]
struct TemplateVersion {
    id: ID,
    version: String,
}

/// A page of templates.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SearchTemplatesOutput {
    edges: Vec<SearchTemplatesOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
struct SearchTemplatesOutputEdge {
    node: Template,
}

impl SearchBlueprintsOutput {
    /// There are none.
    pub(in crate::graphql) fn none() -> Self {
        Self {
            edges: Vec::new(),
            page_info: PageInfo::empty(),
        }
    }
}

impl SearchTemplatesOutput {
    /// There are none.
    pub(in crate::graphql) fn none() -> Self {
        Self {
            edges: Vec::new(),
            page_info: PageInfo::empty(),
        }
    }
}

#[derive(Default)]
pub(in crate::graphql) struct BlueprintMutation;

#[Object]
impl BlueprintMutation {
    /// Not offered: there are no blueprints.
    async fn blueprint_create_stack(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: BlueprintStackCreateInput,
    ) -> Result<BlueprintCreateStackResult, Error> {
        operate(ctx)?;
        drop((id, input.template_inputs));
        Err(super::not_kept("a catalogue of blueprints"))
    }
}
