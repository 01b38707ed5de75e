//! What may be asked of GitLab.
//!
//! Gives rows; the purposes are the documented ones where there are such. Never: a row that writes anything but
//! statuses, environments, deployments and notes.

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

const fn delete(purpose: &'static str, template: &'static [Part]) -> Row {
    Row::new(Method::Delete, purpose, template)
}

pub(super) const ROWS: &[Row] = &[
    get("Get Rate Limit Info", at!(/ "api" / "v4"))
        .open()
        .slash(),
    get("Get Version", at!(/ "api" / "v4" / "version")).open(),
    get("Get Current User", at!(/ "api" / "v4" / "user")).open(),
    get("List Projects", at!(/ "api" / "v4" / "projects")).list(Listed::Gitlab),
    get("Get Project", at!(/ "api" / "v4" / "projects" / Path)),
    get(
        "List Branches",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "branches"),
    ),
    get(
        "Get Branch",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "branches" / Ref),
    ),
    get(
        "List Commits",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "commits"),
    ),
    get(
        "Get Commit",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "commits" / Commit),
    ),
    post(
        "Set Commit Status",
        at!(/ "api" / "v4" / "projects" / Path / "statuses" / Hash),
    ),
    post(
        "Make Commit Comment",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "commits" / Commit / "comments"),
    )
    .note(),
    post(
        "Create Environment",
        at!(/ "api" / "v4" / "projects" / Path / "environments"),
    ),
    post(
        "Stop Environment",
        at!(/ "api" / "v4" / "projects" / Path / "environments" / Number / "stop"),
    ),
    delete(
        "Delete Environment",
        at!(/ "api" / "v4" / "projects" / Path / "environments" / Number),
    ),
    get(
        "List Environments",
        at!(/ "api" / "v4" / "projects" / Path / "environments"),
    ),
    get(
        "Get Affected Files",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "compare"),
    ),
    get(
        "Get Repository Tarball",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "archive"),
    )
    .bulk(),
    get(
        "Get Repository Tarball",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "archive.tar.gz"),
    )
    .bulk(),
    get(
        "Get Spacelift Configuration",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "files" / ConfigFile / "raw"),
    ),
    post(
        "Create Deployment",
        at!(/ "api" / "v4" / "projects" / Path / "deployments"),
    ),
    put(
        "Update Deployment",
        at!(/ "api" / "v4" / "projects" / Path / "deployments" / Number),
    ),
    get(
        "Get a single Merge Request",
        at!(/ "api" / "v4" / "projects" / Path / "merge_requests" / Number),
    ),
    get(
        "Get Merge Request Approvals",
        at!(/ "api" / "v4" / "projects" / Path / "merge_requests" / Number / "approvals"),
    ),
    get(
        "List Merge Requests",
        at!(/ "api" / "v4" / "projects" / Path / "merge_requests"),
    ),
    get(
        "List Merge Requests by Commit",
        at!(/ "api" / "v4" / "projects" / Path / "repository" / "commits" / Ref / "merge_requests"),
    ),
    post(
        "Make Merge Request Note",
        at!(/ "api" / "v4" / "projects" / Path / "merge_requests" / Number / "notes"),
    )
    .note(),
    put(
        "Update Merge Request Note",
        at!(/ "api" / "v4" / "projects" / Path / "merge_requests" / Number / "notes" / Number),
    )
    .note(),
    Row::git_refs(at!(/ Groups / Repository / "info" / "refs")),
    Row::git_pack(at!(/ Groups / Repository / "git-upload-pack")),
];
