//! Searching stacks in the API.
//!
//! Takes the input that all searches share, gives edges and a page's ends.

use async_graphql::{Error, ID, InputObject, SimpleObject};

use super::enums::OrderDirection;
use super::stack::Stack;
use crate::operations::{Filter, OperationError, Search};

/// Entries of a page when the client names no number, and the most that it may name.
const PAGE: (usize, usize) = (50, 100);

/// What to search for.
#[derive(Debug, InputObject)]
pub(super) struct SearchInput {
    first: Option<i32>,
    after: Option<String>,
    full_text_search: Option<String>,
    predicates: Option<Vec<QueryPredicate>>,
    order_by: Option<QueryOrder>,
}

/// In which order.
#[derive(Debug, InputObject)]
pub(super) struct QueryOrder {
    field: String,
    direction: OrderDirection,
}

/// A condition on one field.
#[derive(Debug, InputObject)]
pub(super) struct QueryPredicate {
    field: String,
    constraint: QueryFieldConstraint,
    exclude: Option<bool>,
}

/// One of these values.
#[derive(Debug, InputObject)]
pub(super) struct QueryFieldConstraint {
    boolean_equals: Option<Vec<bool>>,
    enum_equals: Option<Vec<String>>,
    string_matches: Option<Vec<String>>,
}

/// Where a page begins and ends.
#[derive(SimpleObject)]
pub(super) struct PageInfo {
    end_cursor: String,
    has_next_page: bool,
    has_previous_page: bool,
}

/// A page of stacks.
#[derive(SimpleObject)]
pub(super) struct SearchStacksOutput {
    edges: Vec<SearchStacksOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
pub(super) struct SearchStacksOutputEdge {
    node: Stack,
}

impl SearchInput {
    /// The search, if every field that it names exists.
    pub(super) fn parse(self) -> Result<Search, Error> {
        if let Some(order) = self.order_by {
            let by_id = order.field == "id" && order.direction == OrderDirection::Asc;
            if !by_id {
                return Err(OperationError::Unsupported(
                    "an order of stacks but by `id`, ascending",
                )
                .into());
            }
        }
        let mut filters = Vec::new();
        for predicate in self.predicates.unwrap_or_default() {
            if !Filter::is_known(&predicate.field) {
                let rule = "stacks are not searched by this field";
                return Err(OperationError::input("predicates", &predicate.field, rule).into());
            }
            let constraint = predicate.constraint;
            let mut values = constraint.string_matches.unwrap_or_default();
            values.extend(constraint.enum_equals.unwrap_or_default());
            values.extend(
                constraint
                    .boolean_equals
                    .unwrap_or_default()
                    .iter()
                    .map(bool::to_string),
            );
            let exclude = predicate.exclude.unwrap_or(false);
            filters.push(Filter {
                field: predicate.field,
                values,
                exclude,
            });
        }
        let first = self
            .first
            .map_or(PAGE.0, |n| usize::try_from(n).unwrap_or(0));
        Ok(Search {
            first: first.min(PAGE.1),
            after: self.after.filter(|after| !after.is_empty()),
            text: self.full_text_search,
            filters,
        })
    }
}

impl SearchStacksOutput {
    pub(super) fn new(
        search: &Search,
        (stacks, more): (Vec<crate::store::stacks::Stack>, bool),
    ) -> Self {
        let end_cursor = stacks
            .last()
            .map(|stack| stack.id.to_string())
            .unwrap_or_default();
        let edges = stacks
            .into_iter()
            .map(|stack| SearchStacksOutputEdge { node: Stack(stack) });
        Self {
            edges: edges.collect(),
            page_info: PageInfo {
                end_cursor,
                has_next_page: more,
                has_previous_page: search.after.is_some(),
            },
        }
    }
}

/// A space.
#[derive(SimpleObject)]
pub(super) struct Space {
    id: ID,
    name: String,
    description: String,
    parent_space: Option<ID>,
}

impl From<crate::store::spaces::Space> for Space {
    fn from(space: crate::store::spaces::Space) -> Self {
        Self {
            id: space.id.into(),
            name: space.name,
            description: space.description.unwrap_or_default(),
            parent_space: space.parent_id.map(ID::from),
        }
    }
}
