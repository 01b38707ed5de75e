//! Questions about modules, blueprints, templates and providers, of which this server keeps none.
//!
//! Takes a valid token, gives empty lists and null.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::caller;
use crate::graphql::registry::blueprints::{
    Blueprint, SearchBlueprintsOutput, SearchTemplatesOutput, Template,
};
use crate::graphql::registry::modules::{Module, SearchModulesOutput};
use crate::graphql::registry::providers::{GpgKey, TerraformProvider};
use crate::graphql::search::SearchInput;

#[derive(Default)]
pub(super) struct RegistryQuery;

#[Object]
impl RegistryQuery {
    async fn module(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Module>, Error> {
        drop(id);
        nothing(ctx)
    }

    async fn search_modules(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchModulesOutput, Error> {
        drop(input);
        caller(ctx).map(|_| SearchModulesOutput::none())
    }

    async fn blueprint(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Blueprint>, Error> {
        drop(id);
        nothing(ctx)
    }

    async fn search_blueprints(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchBlueprintsOutput, Error> {
        drop(input);
        caller(ctx).map(|_| SearchBlueprintsOutput::none())
    }

    async fn template(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Template>, Error> {
        drop(id);
        nothing(ctx)
    }

    async fn search_templates(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchTemplatesOutput, Error> {
        drop(input);
        caller(ctx).map(|_| SearchTemplatesOutput::none())
    }

    async fn gpg_keys(&self, ctx: &Context<'_>) -> Result<Vec<GpgKey>, Error> {
        caller(ctx).map(|_| Vec::new())
    }

    async fn terraform_provider(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<TerraformProvider>, Error> {
        drop(id);
        nothing(ctx)
    }
}

fn nothing<T>(ctx: &Context<'_>) -> Result<Option<T>, Error> {
    caller(ctx).map(|_| None)
}
