//! Searching stacks in the API.
//!
//! Takes the input that all searches share, gives edges and a page's ends.

use async_graphql::{Error, InputObject, SimpleObject};

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

impl PageInfo {
    pub(super) fn new(end_cursor: String, has_next_page: bool, has_previous_page: bool) -> Self {
        Self {
            end_cursor,
            has_next_page,
            has_previous_page,
        }
    }

    /// Of a list without entries.
    pub(super) fn empty() -> Self {
        Self {
            end_cursor: String::new(),
            has_next_page: false,
            has_previous_page: false,
        }
    }
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
            filters.push(predicate.filter());
        }
        Ok(Search {
            first: page_size(self.first),
            after: self.after.filter(|after| !after.is_empty()),
            text: self.full_text_search,
            filters,
        })
    }
}

impl SearchInput {
    /// The same search, without the order that its list has anyway.
    pub(super) fn without_order(mut self, field: &str, direction: OrderDirection) -> Self {
        let given = |order: &QueryOrder| order.field == field && order.direction == direction;
        if self.order_by.as_ref().is_some_and(given) {
            self.order_by = None;
        }
        self
    }

    /// How many entries a page may have.
    pub(super) fn page_size(&self) -> usize {
        page_size(self.first)
    }
}

/// A search of a short list, all of which is at hand.
pub(super) struct Wish {
    first: usize,
    after: Option<String>,
    text: String,
    filters: Vec<Filter>,
}

impl SearchInput {
    /// The search, if it names no field but these, and no order but, newest first, the one of `newest`.
    pub(super) fn wish(self, known: &[&str], newest: Option<&str>) -> Result<Wish, OperationError> {
        let search = self.search(known, newest)?;
        Ok(Wish {
            first: search.first,
            after: search.after,
            text: search.text.unwrap_or_default().to_lowercase(),
            filters: search.filters,
        })
    }

    /// The same, for a list that is read piece by piece.
    pub(super) fn search(
        self,
        known: &[&str],
        newest: Option<&str>,
    ) -> Result<Search, OperationError> {
        if let Some(order) = &self.order_by {
            let given = newest.is_some_and(|field| field == order.field)
                && order.direction == OrderDirection::Desc;
            if !given {
                return Err(OperationError::Unsupported("this order of a search"));
            }
        }
        let mut filters = Vec::new();
        for predicate in self.predicates.unwrap_or_default() {
            if !known.contains(&predicate.field.as_str()) {
                let rule = "there is no search by this field";
                return Err(OperationError::input("predicates", &predicate.field, rule));
            }
            filters.push(predicate.filter());
        }
        Ok(Search {
            first: page_size(self.first),
            after: self.after.filter(|after| !after.is_empty()),
            text: self.full_text_search,
            filters,
        })
    }
}

impl Wish {
    /// Whether a thing has the values that were asked for.
    pub(super) fn fits(&self, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.filters.iter().all(|filter| {
            let actual = values(&filter.field);
            let hit = filter.values.iter().any(|value| actual.contains(value));
            hit != filter.exclude
        })
    }

    /// Whether one of these holds the text that was asked for, whatever its case.
    pub(super) fn has_text(&self, texts: &[&str]) -> bool {
        let mut texts = texts.iter().map(|text| text.to_lowercase());
        texts.any(|text| text.contains(&self.text))
    }

    /// The page of those that fit. A cursor is the key of the last one before the page.
    pub(super) fn page<T>(
        &self,
        fitting: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, PageInfo) {
        let mut rest = fitting.peekable();
        if let Some(after) = &self.after {
            while rest.next().is_some_and(|passed| key(&passed) != *after) {}
        }
        let nodes: Vec<T> = rest.by_ref().take(self.first).collect();
        let page_info = PageInfo {
            end_cursor: nodes.last().map(&key).unwrap_or_default(),
            has_next_page: rest.peek().is_some(),
            has_previous_page: self.after.is_some(),
        };
        (nodes, page_info)
    }
}

impl QueryPredicate {
    fn filter(self) -> Filter {
        let constraint = self.constraint;
        let mut values = constraint.string_matches.unwrap_or_default();
        values.extend(constraint.enum_equals.unwrap_or_default());
        let flags = constraint.boolean_equals.unwrap_or_default();
        values.extend(flags.iter().map(bool::to_string));
        Filter {
            field: self.field,
            values,
            exclude: self.exclude.unwrap_or(false),
        }
    }
}

fn page_size(first: Option<i32>) -> usize {
    first
        .map_or(PAGE.0, |n| usize::try_from(n).unwrap_or(0))
        .min(PAGE.1)
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
        let edges = Stack::many(stacks).map(|node| SearchStacksOutputEdge { node });
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
