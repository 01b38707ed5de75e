//! What GitHub answers, as it documents it.

use serde_json::{Value, json};

use super::super::FILE;
use super::super::played::{NEW, OLD, Said};
use super::super::vendors::Played;

fn git_object(sha: &str) -> Value {
    json!({ "sha": sha, "commit": { "author": { "name": "Ann" }, "committer": { "date": "2025-10-09T08:53:20Z" },
        "message": "one\n\nand why" } })
}

#[expect(clippy::too_many_lines, reason = "a table of answers")]
pub(crate) fn github() -> Played {
    let repo = |name: &str| {
        json!({ "full_name": format!("acme/{name}"),
        "clone_url": format!("https://github.com/acme/{name}.git"), "default_branch": "main", "private": true })
    };
    let branch = |name: &str, sha: &str| json!({ "name": name, "commit": { "sha": sha }, "protected": false });
    let at = |rest: &str| format!("/repos/acme/net{rest}");
    let compare = |status: &str, files: &Value| {
        Said::json(&json!({ "status": status, "files": files,
        "commits": [], "total_commits": 1 }))
    };
    let files = json!([{ "filename": "infra/main.tf", "status": "modified" },
        { "filename": "infra/b.tf", "previous_filename": "old/b.tf", "status": "renamed" }]);
    let file = json!({ "type": "file", "encoding": "base64", "content": "dmVyc2lv\nbjogMQo=\n" });
    let rows = vec![
        (
            "/user".into(),
            Said::json(&json!({ "login": "ann", "id": 1 })),
        ),
        (
            "/user/repos?per_page=2&page=1&sort=full_name".into(),
            Said::json(&json!([repo("a"), repo("net")])),
        ),
        (
            "/user/repos?per_page=2&page=2&sort=full_name".into(),
            Said::json(&json!([repo("z")])),
        ),
        (
            at("/branches?per_page=50&page=1"),
            Said::json(&json!([branch("feature/x", OLD), branch("main", NEW)])),
        ),
        (
            at("/branches?per_page=1&page=1"),
            Said::json(&json!([branch("feature/x", OLD)])),
        ),
        (at("/branches/main"), Said::json(&branch("main", NEW))),
        (
            at("/branches/feature%2Fx"),
            Said::json(&branch("feature/x", OLD)),
        ),
        (
            at(&format!("/commits/{NEW}?per_page=1")),
            Said::json(&git_object(NEW)),
        ),
        (
            at(&format!("/contents/{FILE}?ref={NEW}")),
            Said::json(&file),
        ),
        (
            at(&format!("/commits/{OLD}?per_page=1")),
            Said::json(&git_object(OLD)),
        ),
        (
            at(&format!("/compare/{OLD}...{NEW}?per_page=1&page=1")),
            compare("ahead", &files),
        ),
        (
            at(&format!("/compare/{NEW}...{OLD}?per_page=1&page=1")),
            compare("behind", &json!([])),
        ),
        (
            at(&format!("/compare/main...{OLD}?per_page=1&page=1")),
            compare("behind", &json!([])),
        ),
        (
            at(&format!("/compare/feature%2Fx...{NEW}?per_page=1&page=1")),
            compare("diverged", &json!([])),
        ),
        (
            at(&format!("/tarball/{NEW}")),
            Said::bytes("").status(302).header(
                "location",
                format!("/codeload/acme/net/legacy.tar.gz/{NEW}?token=t"),
            ),
        ),
        (
            format!("/codeload/acme/net/legacy.tar.gz/{NEW}?token=t"),
            Said::bytes("packed"),
        ),
    ];
    Played {
        vendor: "GITHUB",
        prefix: "https://github.com/",
        api: "",
        name: "acme/net",
        url: "https://github.com/acme/net.git",
        proof: ("authorization", "Bearer hunter2"),
        viewer: "ann",
        rows,
    }
}
