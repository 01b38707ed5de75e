//! What GitLab answers, as it documents it.

use serde_json::{Value, json};

use super::super::played::{NEW, OLD, Said};
use super::super::vendors::Played;

#[expect(clippy::too_many_lines, reason = "a table of answers")]
pub(crate) fn gitlab() -> Played {
    let repo = |name: &str| {
        json!({ "id": 7, "path_with_namespace": format!("acme/sub/{name}"),
        "http_url_to_repo": format!("https://gl.example/acme/sub/{name}.git"), "default_branch": "main" })
    };
    let branch =
        |name: &str, sha: &str| json!({ "name": name, "commit": { "id": sha }, "default": false });
    let at = |rest: &str| format!("/api/v4/projects/acme%2Fsub%2Fnet{rest}");
    let listed = |page: u32| {
        format!("/api/v4/projects?membership=true&simple=true&order_by=id&per_page=2&page={page}")
    };
    let commit = |sha: &str| {
        json!({ "id": sha, "author_name": "Ann",
        "committed_date": "2025-10-09T10:53:20.000+02:00", "message": "one\n\nand why" })
    };
    let compare = |commits: &Value, diffs: &Value| {
        Said::json(&json!({ "commits": commits, "diffs": diffs,
        "compare_timeout": false, "compare_same_ref": false }))
    };
    let compared = |from: &str, to: &str| {
        at(&format!(
            "/repository/compare?from={from}&to={to}&straight=true"
        ))
    };
    let diffs = json!([{ "old_path": "infra/main.tf", "new_path": "infra/main.tf" },
        { "old_path": "old/b.tf", "new_path": "infra/b.tf", "renamed_file": true }]);
    let rows = vec![
        (
            "/api/v4/user".into(),
            Said::json(&json!({ "username": "ann" })),
        ),
        (listed(1), Said::json(&json!([repo("a"), repo("net")]))),
        (listed(2), Said::json(&json!([repo("z")]))),
        (
            at("/repository/branches?per_page=50&page=1"),
            Said::json(&json!([branch("feature/x", OLD), branch("main", NEW)])),
        ),
        (
            at("/repository/branches?per_page=1&page=1"),
            Said::json(&json!([branch("feature/x", OLD)])),
        ),
        (
            at("/repository/branches/main"),
            Said::json(&branch("main", NEW)),
        ),
        (
            at("/repository/branches/feature%2Fx"),
            Said::json(&branch("feature/x", OLD)),
        ),
        (
            at(&format!("/repository/commits/{NEW}")),
            Said::json(&commit(NEW)),
        ),
        (
            at(&format!("/repository/commits/{OLD}")),
            Said::json(&commit(OLD)),
        ),
        (
            at(&format!(
                "/repository/files/%2Espacelift%2Fconfig%2Eyml/raw?ref={NEW}"
            )),
            Said::bytes("version: 1\n"),
        ),
        (compared(OLD, NEW), compare(&json!([commit(NEW)]), &diffs)),
        (compared(NEW, OLD), compare(&json!([]), &diffs)),
        (compared("main", OLD), compare(&json!([]), &diffs)),
        (
            compared("feature%2Fx", NEW),
            compare(&json!([commit(NEW)]), &diffs),
        ),
        (
            at(&format!("/repository/archive?sha={NEW}")),
            Said::bytes("packed"),
        ),
    ];
    Played {
        vendor: "GITLAB",
        prefix: "https://gl.example/",
        api: "/api/v4",
        name: "acme/sub/net",
        url: "https://gl.example/acme/sub/net.git",
        proof: ("private-token", "hunter2"),
        viewer: "ann",
        rows,
    }
}
