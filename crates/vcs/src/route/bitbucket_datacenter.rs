//! What may be asked of Bitbucket Data Center.
//!
//! Gives rows; the purposes are the documented ones where there are such. Never: a row that writes anything but build
//! states and comments on pull requests.

use super::{Listed, Method, Part, Row, at};

const fn get(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Get, purpose, template)
}

const fn post(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Post, purpose, template)
}

const fn put(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Put, purpose, template)
}

/// A template below one repository of the REST API.
macro_rules! repository {
    ($($rest:tt)*) => { at!(/ "rest" / "api" / "1.0" / "projects" / Name / "repos" / Name $($rest)*) };
}

pub(super) const ROWS: &[Row] = &[
    get("Get User", at!(/ "rest" / "api" / "1.0" / "users" / Text)).open(),
    get(
        "Get Version",
        at!(/ "rest" / "api" / "1.0" / "application-properties"),
    )
    .open(),
    get("List Repositories", at!(/ "rest" / "api" / "1.0" / "repos")).list(Listed::Bitbucket),
    get(
        "List Repositories",
        at!(/ "rest" / "api" / "1.0" / "projects" / Text / "repos"),
    )
    .list(Listed::Bitbucket),
    get("Get Repository", repository!()),
    get("List Branches", repository!(/ "branches")),
    get("Get Default Branch", repository!(/ "branches" / "default")),
    get("Get Default Branch", repository!(/ "default-branch")),
    get("List Commits", repository!(/ "commits")),
    get("Get Commit", repository!(/ "commits" / Ref)),
    post(
        "Set Commit Status",
        repository!(/ "commits" / Hash / "builds"),
    ),
    get(
        "List PRs by Commit",
        repository!(/ "commits" / Hash / "pull-requests"),
    ),
    get(
        "Get PR Diff",
        repository!(/ "pull-requests" / Number / "diff"),
    ),
    get("Get Affected Files", repository!(/ "compare" / "changes")),
    get("Compare Commits", repository!(/ "compare" / "commits")),
    get("Get Repository Tarball", repository!(/ "archive")).bulk(),
    get(
        "Get Spacelift Configuration",
        at!(/ "projects" / Name / "repos" / Name / "raw" / Folders / ".spacelift" / "config.yml"),
    ),
    get(
        "Get Spacelift Configuration",
        repository!(/ "raw" / Folders / ".spacelift" / "config.yml"),
    ),
    get("List PRs by Branch", repository!(/ "pull-requests")),
    get(
        "Get a single Pull Request",
        repository!(/ "pull-requests" / Number),
    ),
    get(
        "Check PR Mergeability",
        repository!(/ "pull-requests" / Number / "merge"),
    ),
    post(
        "Make PR Comment",
        repository!(/ "pull-requests" / Number / "comments"),
    ),
    get(
        "Get a single Pull Request Comment",
        repository!(/ "pull-requests" / Number / "comments" / Number),
    ),
    put(
        "Update a Pull Request Comment",
        repository!(/ "pull-requests" / Number / "comments" / Number),
    ),
    Row::git_refs(at!(/ "scm" / Name / Repository / "info" / "refs")),
    Row::git_pack(at!(/ "scm" / Name / Repository / "git-upload-pack")),
];
