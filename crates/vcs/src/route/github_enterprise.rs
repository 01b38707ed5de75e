//! What may be asked of GitHub Enterprise.
//!
//! Gives rows; the purposes are the documented ones where there are such. Never: a row that writes anything but
//! statuses, check runs, deployments and comments on commits.

use super::{Listed, Method, Part, Query, Row, at};

const fn get(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Get, purpose, template)
}

const fn post(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Post, purpose, template)
}

const fn delete(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Delete, purpose, template)
}

pub(super) const ROWS: &[Row] = &[
    get(
        "Compare Trees",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "compare" / Range),
    ),
    post(
        "Create Commit Status",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "statuses" / Hash),
    ),
    post(
        "Create Check Run",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "check-runs"),
    ),
    post(
        "Create Deployment",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "deployments"),
    ),
    post(
        "Create Deployment Status",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "deployments" / Number / "statuses"),
    ),
    delete(
        "Delete Deployment",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "deployments" / Number),
    ),
    get(
        "List Deployments",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "deployments"),
    ),
    get(
        "Get Individual Commit Details",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "commits" / Ref),
    ),
    get(
        "List Commits",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "commits"),
    ),
    post(
        "Make Commit Comment",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "commits" / Commit / "comments"),
    ),
    get(
        "Get Repository",
        at!(/ ["api" "v3"] / "repos" / Name / Name),
    ),
    get(
        "List Branches",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "branches"),
    ),
    get(
        "Get Branch",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "branches" / Ref),
    ),
    get(
        "Get Spacelift Configuration",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "contents" / Folders / ".spacelift" / "config.yml"),
    ),
    get(
        "Get Repository Tarball",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "tarball" / RefTail),
    )
    .bulk(),
    // Where a path could be read both ways, the words of the host without subdomains go first, as it reads them.
    get(
        "Get Repository Tarball",
        at!(/ "_codeload" / Name / Name / "legacy.tar.gz" / RefTail),
    )
    .bulk(),
    get(
        "Get Repository Tarball",
        at!(/ "codeload" / Name / Name / "legacy.tar.gz" / RefTail),
    )
    .bulk(),
    get(
        "Get Repository Tarball",
        at!(/ Name / Name / "legacy.tar.gz" / RefTail),
    )
    .bulk()
    .codeload(),
    post("GraphQL Endpoint", at!(/ ["api"] / "graphql"))
        .asks_by_body()
        .query(Query::None),
    get(
        "List Pull Request Files",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "pulls" / Number / "files"),
    ),
    get(
        "Get Pull Request",
        at!(/ ["api" "v3"] / "repos" / Name / Name / "pulls" / Number),
    ),
    post(
        "Refresh Access Token",
        at!(/ ["api" "v3"] / "app" / "installations" / Number / "access_tokens"),
    )
    .open()
    .gives_token(),
    get(
        "List Installations",
        at!(/ ["api" "v3"] / "app" / "installations"),
    )
    .open(),
    get("Get app details", at!(/ ["api" "v3"] / "app")).open(),
    get("Get user details", at!(/ ["api" "v3"] / "users" / Text)).open(),
    get("Get Current User", at!(/ ["api" "v3"] / "user")).open(),
    get("Get Rate Limit Info", at!(/ ["api" "v3"] / "rate_limit")).open(),
    get(
        "List Repositories",
        at!(/ ["api" "v3"] / "installation" / "repositories"),
    )
    .list(Listed::Github),
    get("List Repositories", at!(/ ["api" "v3"] / "user" / "repos")).list(Listed::Github),
    get(
        "List Repositories",
        at!(/ ["api" "v3"] / "orgs" / Text / "repos"),
    )
    .list(Listed::Github),
    Row::git_refs(at!(/ Name / Repository / "info" / "refs")),
    Row::git_pack(at!(/ Name / Repository / "git-upload-pack")),
];
