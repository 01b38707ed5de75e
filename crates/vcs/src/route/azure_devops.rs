//! What may be asked of Azure DevOps.
//!
//! Gives rows; the purposes are the documented ones where there are such. An organization may be missing from the path
//! where the base endpoint has it. Never: the documented "anything else is accepted".

use super::{Listed, Method, Part, Query, Row, at};

const fn get(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Get, purpose, template)
}

const fn post(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Post, purpose, template)
}

/// A template below one repository of the REST API.
macro_rules! repository {
    ($($rest:tt)*) => { at!(/ Organization / Title / "_apis" / "git" / "repositories" / Title $($rest)*) };
}

pub(super) const ROWS: &[Row] = &[
    get("Get Commit Diff", repository!(/ "diffs" / "commits")),
    post(
        "Create Pull Request Thread",
        repository!(/ "pullRequests" / Number / "threads"),
    ),
    get(
        "Get Pull Request Thread",
        repository!(/ "pullRequests" / Number / "threads" / Number),
    ),
    Row::new(
        Method::Patch,
        "Update Pull Request Comment",
        repository!(/ "pullRequests" / Number / "threads" / Number / "comments" / Number),
    ),
    get("List Branch Stats", repository!(/ "stats" / "branches")),
    get("Get Item", repository!(/ "items"))
        .query(Query::With("$format", "zip"))
        .bulk(),
    get("Get Item", repository!(/ "items")),
    post(
        "Create Commit Status",
        repository!(/ "commits" / Hash / "statuses"),
    ),
    get("Get Commit", repository!(/ "commits" / Hash)),
    get("List Commits", repository!(/ "commits")),
    get(
        "List Changes of a Commit",
        repository!(/ "commits" / Hash / "changes"),
    ),
    get("List Refs", repository!(/ "refs")),
    get("Get Repository", repository!()),
    get("List Pull Requests", repository!(/ "pullRequests")),
    get("Get Pull Request", repository!(/ "pullRequests" / Number)),
    get(
        "List Pull Request Labels",
        repository!(/ "pullRequests" / Number / "labels"),
    ),
    get(
        "List Repositories",
        at!(/ Organization / Title / "_apis" / "git" / "repositories"),
    )
    .list(Listed::Azure),
    get("List Repositories", at!(/ "_apis" / "git" / "repositories")).list(Listed::Azure),
    Row::new(
        Method::Options,
        "List Resource Locations",
        at!(/ Organization / "_apis"),
    )
    .open(),
    get(
        "List Resource Areas",
        at!(/ Organization / "_apis" / "ResourceAreas"),
    )
    .open(),
    get(
        "Get Current User",
        at!(/ Organization / "_apis" / "connectionData"),
    )
    .open(),
    get(
        "List Policy Evaluations",
        at!(/ Organization / Title / "_apis" / "policy" / "evaluations"),
    ),
    Row::git_refs(at!(/ Organization / Title / "_git" / Title / "info" / "refs")),
    Row::git_pack(at!(/ Organization / Title / "_git" / Title / "git-upload-pack")),
];
