//! What an operation may not be, besides too deep and too complex.
//!
//! Takes parsed documents, refuses those with many aliases (one request could ask the same thing a thousand
//! times), and notes what a change is about (`refused`). Never: a look at other values.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery};
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{ServerError, ServerResult, Variables};

use super::refused::Changes;

/// Aliases that a document may have. The widest of the known clients has two.
const MAX_ALIASES: usize = 40;

/// See the module.
#[derive(Debug)]
pub(super) struct Bounds;

impl ExtensionFactory for Bounds {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Bounds {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        let operations = || {
            document
                .operations
                .iter()
                .map(|(_, operation)| &operation.node)
        };
        let fragments = document.fragments.values();
        let sets = operations().map(|operation| &operation.selection_set.node);
        let sets = sets.chain(fragments.map(|fragment| &fragment.node.selection_set.node));
        let aliases: usize = sets.map(aliases).sum();
        if aliases > MAX_ALIASES {
            let text =
                format!("the operation has {aliases} aliases: expected at most {MAX_ALIASES}");
            return Err(ServerError::new(text, None));
        }
        if let Some(changes) = ctx.data_opt::<Changes>() {
            let mutations = operations().filter(|one| one.ty == OperationType::Mutation);
            changes.note(mutations, variables);
        }
        Ok(document)
    }
}

/// The parser bounds the depth.
fn aliases(set: &SelectionSet) -> usize {
    let of = |selection: &Selection| match selection {
        Selection::Field(field) => {
            usize::from(field.node.alias.is_some()) + aliases(&field.node.selection_set.node)
        }
        Selection::InlineFragment(inline) => aliases(&inline.node.selection_set.node),
        Selection::FragmentSpread(_) => 0,
    };
    set.items.iter().map(|item| of(&item.node)).sum()
}
