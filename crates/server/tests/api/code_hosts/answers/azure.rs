//! What Azure DevOps answers, as it documents it.

use serde_json::json;

use super::super::played::{NEW, OLD, Said};
use super::super::vendors::Played;

#[expect(clippy::too_many_lines, reason = "a table of answers")]
pub(crate) fn azure() -> Played {
    let repo = |name: &str| {
        json!({ "id": "0b", "name": name, "project": { "name": "proj" },
        "remoteUrl": format!("https://dev.azure.com/org/proj/_git/{name}"), "defaultBranch": "refs/heads/main" })
    };
    let branch = |name: &str, sha: &str| {
        json!({ "name": name, "commit": { "commitId": sha },
        "aheadCount": 0, "behindCount": 0 })
    };
    let at = |rest: &str| format!("/org/proj/_apis/git/repositories/net{rest}");
    let commit = |sha: &str| {
        json!({ "commitId": sha, "author": { "name": "Ann" },
        "committer": { "date": "2025-10-09T08:53:20Z" }, "comment": "one\n\nand why" })
    };
    let diff = |base: (&str, &str), target: (&str, &str), top: u32| {
        at(&format!(
            "/diffs/commits?baseVersion={}&baseVersionType={}&targetVersion={}&targetVersionType={}\
         &diffCommonCommit=false&$top={top}&$skip=0&api-version=7.1",
            base.0, base.1, target.0, target.1
        ))
    };
    let ahead =
        |count: u32| Said::json(&json!({ "aheadCount": count, "behindCount": 0, "changes": [] }));
    let changes = json!([
        { "item": { "path": "/infra", "isFolder": true, "gitObjectType": "tree" }, "changeType": "edit" },
        { "item": { "path": "/infra/main.tf", "gitObjectType": "blob" }, "changeType": "edit" },
        { "item": { "path": "/infra/b.tf" }, "sourceServerItem": "/old/b.tf", "changeType": "rename" }]);
    let item = |path: &str, more: &str| {
        at(&format!(
            "/items?path={path}&versionDescriptor.version={NEW}&versionDescriptor.versionType=commit{more}&api-version=7.1"
        ))
    };
    let rows = vec![
        (
            "/org/_apis/git/repositories?api-version=7.1".into(),
            Said::json(&json!({ "value": [repo("a"), repo("net"), repo("z")], "count": 3 })),
        ),
        (
            "/org/_apis/connectionData".into(),
            Said::json(
                &json!({ "authenticatedUser": { "providerDisplayName": "ann" }, "instanceId": "1" }),
            ),
        ),
        (
            at("/stats/branches?api-version=7.1"),
            Said::json(&json!({ "value": [branch("feature/x", OLD), branch("main", NEW)] })),
        ),
        (
            at("/stats/branches?name=main&api-version=7.1"),
            Said::json(&branch("main", NEW)),
        ),
        (
            at("/stats/branches?name=feature%2Fx&api-version=7.1"),
            Said::json(&branch("feature/x", OLD)),
        ),
        (
            at(&format!("/commits/{NEW}?api-version=7.1")),
            Said::json(&commit(NEW)),
        ),
        (
            at(&format!("/commits/{OLD}?api-version=7.1")),
            Said::json(&commit(OLD)),
        ),
        (
            item(
                "%2F.spacelift%2Fconfig.yml",
                "&includeContent=true&$format=json",
            ),
            Said::json(&json!({ "path": "/.spacelift/config.yml", "content": "version: 1\n" })),
        ),
        (
            diff((OLD, "commit"), (NEW, "commit"), 2000),
            Said::json(&json!({ "allChangesIncluded": true, "changes": changes })),
        ),
        (
            diff((NEW, "commit"), (OLD, "commit"), 2000),
            Said::json(&json!({ "allChangesIncluded": false, "changes": [] })),
        ),
        (diff(("main", "branch"), (OLD, "commit"), 1), ahead(0)),
        (
            diff(("feature%2Fx", "branch"), (NEW, "commit"), 1),
            ahead(1),
        ),
        (
            item("%2F", "&recursionLevel=full&$format=zip&download=true"),
            Said::bytes("packed"),
        ),
    ];
    Played {
        vendor: "AZURE_DEVOPS",
        prefix: "https://dev.azure.com/org/",
        api: "/org",
        name: "proj/net",
        url: "https://dev.azure.com/org/proj/_git/net",
        proof: ("authorization", "Basic Omh1bnRlcjI="),
        viewer: "ann",
        rows,
    }
}
