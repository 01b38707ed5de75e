//! The API for people: GraphQL at `/graphql`, under the names that existing clients use.
//!
//! Takes operations, gives what the caller may see. Every field that changes something goes through a
//! handle of `operations`. Never: an error text that was meant for the log, a query without bounds.

mod api_key;
mod changes;
mod audit;
mod bounds;
mod commit;
mod config_element;
mod context;
mod contexts;
mod document;
mod drift;
mod entities;
mod enums;
pub mod http;
mod inputs;
mod integrations;
mod notifications;
mod mutation;
mod pages;
mod policy;
mod pool;
mod query;
mod refused;
mod registry;
mod review;
mod run;
mod schedulable;
mod search;
mod space;
mod stack;
mod state_version;
mod vcs_pool;
mod vendor;

use std::sync::Arc;

use async_graphql::{EmptySubscription, SDLExportOptions, SchemaBuilder};

use crate::app::App;
use mutation::Mutation;
use query::Query;

/// The executable schema.
pub type ApiSchema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// Levels that an operation may nest. The deepest of the known clients, introspection, has 13.
const MAX_DEPTH: usize = 20;

/// Fields that an operation may cost; those of a list count for each entry that it may have. The most costly of the
/// known clients, a page of fifty stacks, has some 3500.
const MAX_COST: usize = 50_000;

/// Levels that a document may nest while it is parsed.
const MAX_PARSE_DEPTH: usize = 32;

fn builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    async_graphql::Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COST)
        .extension(bounds::Bounds)
        .limit_recursive_depth(MAX_PARSE_DEPTH)
}

/// The schema of a running server.
pub fn schema(app: Arc<App>) -> ApiSchema {
    builder().data(app).finish()
}

/// The schema as text, as `schema.graphql` has it.
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items();
    builder().finish().sdl_with_options(options)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_schema_is_this_one() {
        let committed = include_str!("../../schema.graphql");
        let current = super::sdl();
        assert!(
            committed == current,
            "crates/server/schema.graphql is not current: write it anew with `gantry-server schema`"
        );
    }
}
