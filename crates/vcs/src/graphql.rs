//! What of GitHub's GraphQL may be asked.
//!
//! Takes the body of a request, gives the repository that it is about. One query, of fields that are listed here by
//! the type that they stand in. Never: a mutation, a way from one repository to another, or the content of a file.

use async_graphql_parser::parse_query;
use async_graphql_parser::types::{
    DocumentOperations, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql_value::Value;
use serde::Deserialize;
use serde_json::Map;

/// Longest body, in bytes.
pub const BODY_LIMIT: usize = 32 * 1024;
/// Deepest nesting of brackets of any kind.
const DEPTH: usize = 24;

/// A type of GitHub's schema, as far as it may be asked for.
struct Shape {
    name: &'static str,
    /// Fields that have no fields of their own.
    leaves: &'static [&'static str],
    /// Fields, and the type of what stands in them.
    nested: &'static [(&'static str, &'static str)],
}

/// What may be asked for. A type of an inline fragment has to be one of these, and one that the place may hold.
const SHAPES: &[Shape] = &[
    Shape {
        name: "Query",
        leaves: &[],
        nested: &[
            ("repository", "Repository"),
            ("viewer", "Viewer"),
            ("rateLimit", "RateLimit"),
        ],
    },
    Shape {
        name: "Viewer",
        leaves: &["id", "login", "name", "databaseId"],
        nested: &[],
    },
    Shape {
        name: "RateLimit",
        leaves: &["limit", "cost", "remaining", "resetAt", "used", "nodeCount"],
        nested: &[],
    },
    Shape {
        name: "Repository",
        leaves: &[
            "id",
            "databaseId",
            "name",
            "nameWithOwner",
            "description",
            "url",
            "isPrivate",
            "isArchived",
            "isEmpty",
            "pushedAt",
        ],
        nested: &[
            ("defaultBranchRef", "Ref"),
            ("ref", "Ref"),
            ("refs", "Refs"),
            ("object", "Commit"),
            ("pullRequest", "PullRequest"),
        ],
    },
    Shape {
        name: "Refs",
        leaves: &["totalCount"],
        nested: &[
            ("nodes", "Ref"),
            ("edges", "RefEdge"),
            ("pageInfo", "PageInfo"),
        ],
    },
    Shape {
        name: "RefEdge",
        leaves: &["cursor"],
        nested: &[("node", "Ref")],
    },
    Shape {
        name: "PageInfo",
        leaves: &["hasNextPage", "endCursor", "hasPreviousPage", "startCursor"],
        nested: &[],
    },
    Shape {
        name: "Ref",
        leaves: &["id", "name", "prefix"],
        nested: &[("target", "Commit")],
    },
    Shape {
        name: "Commit",
        leaves: &[
            "id",
            "oid",
            "abbreviatedOid",
            "message",
            "messageHeadline",
            "messageBody",
            "committedDate",
            "authoredDate",
            "url",
            "commitUrl",
        ],
        nested: &[
            ("author", "GitActor"),
            ("committer", "GitActor"),
            ("history", "History"),
        ],
    },
    Shape {
        name: "History",
        leaves: &["totalCount"],
        nested: &[("nodes", "Commit"), ("pageInfo", "PageInfo")],
    },
    Shape {
        name: "GitActor",
        leaves: &["name", "email", "date", "avatarUrl"],
        nested: &[("user", "User")],
    },
    Shape {
        name: "User",
        leaves: &["login", "name", "avatarUrl", "url"],
        nested: &[],
    },
    Shape {
        name: "PullRequest",
        leaves: &[
            "id",
            "number",
            "title",
            "url",
            "state",
            "isDraft",
            "merged",
            "mergeable",
            "mergeStateStatus",
            "reviewDecision",
            "baseRefName",
            "baseRefOid",
            "headRefName",
            "headRefOid",
        ],
        nested: &[("author", "User")],
    },
];

/// Arguments that fields may have; those of `repository` name the project.
const ARGUMENTS: [&str; 9] = [
    "after",
    "expression",
    "first",
    "number",
    "oid",
    "orderBy",
    "qualifiedName",
    "query",
    "refPrefix",
];

/// Why a body is not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphqlError {
    /// Longer than [`BODY_LIMIT`].
    #[error("the GraphQL body is longer than {BODY_LIMIT} bytes")]
    TooLong,
    /// Not one JSON object with `query`, `variables` and `operationName`.
    #[error(
        "the GraphQL body is not a JSON object of `query`, `variables` and `operationName` alone"
    )]
    NotARequest,
    /// Nested too deep.
    #[error("the GraphQL query is nested deeper than {DEPTH} levels")]
    TooDeep,
    /// Not GraphQL.
    #[error("the GraphQL query can't be read")]
    NotAQuery,
    /// A mutation or a subscription.
    #[error("the GraphQL request is not a query")]
    NotReading,
    /// More than one operation.
    #[error("the GraphQL request has more than one operation")]
    ManyOperations,
    /// Named fragments, spreads or directives.
    #[error("the GraphQL query has named fragments or directives")]
    Indirect,
    /// A field that is not asked for by this agent's gateways.
    #[error("the GraphQL field `{field}` of `{shape}` is not let through")]
    Field {
        /// The type it stands in.
        shape: &'static str,
        /// Its name.
        field: String,
    },
    /// An argument that is not known.
    #[error("the GraphQL argument `{argument}` of `{field}` is not let through")]
    Argument {
        /// The field.
        field: String,
        /// The argument.
        argument: String,
    },
    /// `repository` without an owner and a name that can be read.
    #[error("the GraphQL query does not say in plain texts which repository it is about")]
    NoProject,
    /// More than one `repository`.
    #[error("the GraphQL query is about more than one repository")]
    ManyProjects,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, serde_json::Value>>,
    #[serde(default, rename = "operationName")]
    _operation_name: Option<String>,
}

/// `owner/name` of the repository that a body asks about; `None` where it asks about none.
///
/// # Errors
/// Why the body is not let through.
pub(crate) fn project(body: &[u8]) -> Result<Option<String>, GraphqlError> {
    if body.len() > BODY_LIMIT {
        return Err(GraphqlError::TooLong);
    }
    // A member that is there twice is refused by the reader: two readers may disagree about which one counts.
    let request: Request = serde_json::from_slice(body).map_err(|_| GraphqlError::NotARequest)?;
    if depth(&request.query) > DEPTH {
        return Err(GraphqlError::TooDeep);
    }
    let document = parse_query(&request.query).map_err(|_| GraphqlError::NotAQuery)?;
    if !document.fragments.is_empty() {
        return Err(GraphqlError::Indirect);
    }
    let operation = only(&document.operations)?;
    if operation.ty != OperationType::Query {
        return Err(GraphqlError::NotReading);
    }
    let defaults = operation.variable_definitions.iter();
    if !operation.directives.is_empty() || defaults.clone().any(|v| !v.node.directives.is_empty()) {
        return Err(GraphqlError::Indirect);
    }
    // A default would be a second place for a value.
    if defaults.clone().any(|v| v.node.default_value.is_some()) {
        return Err(GraphqlError::NoProject);
    }
    let selection = &operation.selection_set.node;
    check(selection, shape("Query")?)?;
    repository(selection, &request.variables.unwrap_or_default())
}

fn only(operations: &DocumentOperations) -> Result<&OperationDefinition, GraphqlError> {
    let mut all = operations.iter();
    match (all.next(), all.next()) {
        (Some((_, one)), None) => Ok(&one.node),
        _ => Err(GraphqlError::ManyOperations),
    }
}

/// How deep brackets are nested, those in texts included: too many of them is refused wherever they are.
fn depth(query: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    for letter in query.bytes() {
        match letter {
            b'{' | b'[' | b'(' => now += 1,
            b'}' | b']' | b')' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

fn shape(name: &str) -> Result<&'static Shape, GraphqlError> {
    let found = SHAPES.iter().find(|shape| shape.name == name);
    found.ok_or(GraphqlError::NotAQuery)
}

/// Holds every field of a selection to its shape.
fn check(selection: &SelectionSet, shape: &'static Shape) -> Result<(), GraphqlError> {
    for item in &selection.items {
        if !item.node.directives().is_empty() {
            return Err(GraphqlError::Indirect);
        }
        match &item.node {
            Selection::Field(field) => check_field(&field.node, shape)?,
            Selection::FragmentSpread(_) => return Err(GraphqlError::Indirect),
            Selection::InlineFragment(fragment) => {
                let on = fragment.node.type_condition.as_ref();
                if on.is_some_and(|on| on.node.on.node != shape.name) {
                    return Err(GraphqlError::Indirect);
                }
                check(&fragment.node.selection_set.node, shape)?;
            }
        }
    }
    Ok(())
}

fn check_field(field: &Field, on: &'static Shape) -> Result<(), GraphqlError> {
    let name = field.name.node.as_str();
    let nested = on.nested.iter().find(|(nested, _)| *nested == name);
    let wrong = || GraphqlError::Field {
        shape: on.name,
        field: name.to_owned(),
    };
    if nested.is_none() && !on.leaves.contains(&name) && name != "__typename" {
        return Err(wrong());
    }
    for (argument, _) in &field.arguments {
        let argument = argument.node.as_str();
        let of_repository = on.name == "Query" && name == "repository";
        let known = if of_repository {
            ["owner", "name"].contains(&argument)
        } else {
            ARGUMENTS.contains(&argument)
        };
        if !known {
            return Err(GraphqlError::Argument {
                field: name.to_owned(),
                argument: argument.to_owned(),
            });
        }
    }
    let selection = &field.selection_set.node;
    match nested {
        Some((_, inner)) => check(selection, shape(inner)?),
        None if selection.items.is_empty() => Ok(()),
        None => Err(wrong()),
    }
}

/// The one repository of a query whose fields were checked. At the root there are fields only: an inline fragment
/// there would be another place for a `repository`.
fn repository(
    selection: &SelectionSet,
    variables: &Map<String, serde_json::Value>,
) -> Result<Option<String>, GraphqlError> {
    let mut found = None;
    for item in &selection.items {
        let Selection::Field(field) = &item.node else {
            return Err(GraphqlError::Indirect);
        };
        if field.node.name.node != "repository" {
            continue;
        }
        let text = |name: &str| argument(&field.node, name, variables);
        let (owner, name) = (text("owner")?, text("name")?);
        if found.replace(format!("{owner}/{name}")).is_some() {
            return Err(GraphqlError::ManyProjects);
        }
    }
    Ok(found)
}

/// A text argument that is given once, by itself or through a variable.
fn argument(
    field: &Field,
    name: &str,
    variables: &Map<String, serde_json::Value>,
) -> Result<String, GraphqlError> {
    let mut given = field.arguments.iter().filter(|(key, _)| key.node == name);
    let (Some((_, value)), None) = (given.next(), given.next()) else {
        return Err(GraphqlError::NoProject);
    };
    let text = match &value.node {
        Value::String(text) => Some(text.as_str()),
        Value::Variable(variable) => variables
            .get(variable.as_str())
            .and_then(serde_json::Value::as_str),
        _ => None,
    };
    let plain = |text: &&str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    text.filter(plain)
        .map(str::to_owned)
        .ok_or(GraphqlError::NoProject)
}

#[cfg(test)]
mod tests;
