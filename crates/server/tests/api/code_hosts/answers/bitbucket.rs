//! What Bitbucket Data Center answers, as it documents it.

use serde_json::{Value, json};

use super::super::FILE;
use super::super::played::{NEW, OLD, Said};
use super::super::vendors::Played;

#[expect(clippy::too_many_lines, reason = "a table of answers")]
pub(crate) fn bitbucket() -> Played {
    let repo = |slug: &str| {
        json!({ "slug": slug, "project": { "key": "ACME" }, "links": { "clone": [
        { "href": format!("ssh://git@bb.example:7999/acme/{slug}.git"), "name": "ssh" },
        { "href": format!("https://bb.example/scm/acme/{slug}.git"), "name": "http" }] } })
    };
    let page = |values: &Value, next: Option<u64>| {
        Said::json(&json!({ "values": values, "size": 2, "limit": 2,
        "isLastPage": next.is_none(), "nextPageStart": next, "start": 0 }))
    };
    let branch = |name: &str, sha: &str| {
        json!({ "id": format!("refs/heads/{name}"), "displayId": name,
        "latestCommit": sha, "type": "BRANCH" })
    };
    let at = |rest: &str| format!("/rest/api/1.0/projects/acme/repos/net{rest}");
    let commit = |sha: &str| {
        json!({ "id": sha, "author": { "name": "ann", "displayName": "Ann" },
        "committerTimestamp": 1_760_000_000_000_i64, "message": "one\n\nand why" })
    };
    let change = |path: &str, from: &str| json!({ "path": { "toString": path }, "srcPath": { "toString": from } });
    let between =
        |from: &str, to: &str| at(&format!("/compare/commits?from={from}&to={to}&limit=1"));
    let changes = |start: u64| {
        at(&format!(
            "/compare/changes?from={NEW}&to={OLD}&limit=1000&start={start}"
        ))
    };
    let named = |name: &str| {
        at(&format!(
            "/branches?limit=100&start=0&filterText={name}&boostMatches=true"
        ))
    };
    let both = json!([branch("feature/x", OLD), branch("main", NEW)]);
    let rows = vec![
        (
            "/rest/api/1.0/repos?limit=1".into(),
            page(&json!([repo("a")]), Some(1)).header("x-ausername", "ann"),
        ),
        (
            "/rest/api/1.0/repos?limit=2&start=0".into(),
            page(&json!([repo("a"), repo("net")]), Some(2)),
        ),
        (
            "/rest/api/1.0/repos?limit=2&start=2".into(),
            page(&json!([repo("z")]), None),
        ),
        (at("/branches?limit=50&start=0"), page(&both, None)),
        (
            named("main"),
            page(&json!([branch("main-old", OLD), branch("main", NEW)]), None),
        ),
        (
            named("feature%2Fx"),
            page(&json!([branch("feature/x", OLD)]), None),
        ),
        (named("none"), page(&json!([]), None)),
        (at(&format!("/commits/{NEW}")), Said::json(&commit(NEW))),
        (at(&format!("/commits/{OLD}")), Said::json(&commit(OLD))),
        (
            format!("/projects/acme/repos/net/raw/{FILE}?at={NEW}"),
            Said::bytes("version: 1\n"),
        ),
        (
            changes(0),
            page(
                &json!([{ "path": { "toString": "infra/main.tf" } }]),
                Some(1),
            ),
        ),
        (
            changes(1),
            page(&json!([change("infra/b.tf", "old/b.tf")]), None),
        ),
        (between(OLD, NEW), page(&json!([]), None)),
        (between(NEW, OLD), page(&json!([commit(NEW)]), None)),
        (between(OLD, "refs%2Fheads%2Fmain"), page(&json!([]), None)),
        (
            between(NEW, "refs%2Fheads%2Ffeature%2Fx"),
            page(&json!([commit(NEW)]), None),
        ),
        (
            at(&format!("/archive?at={NEW}&format=tgz")),
            Said::bytes("packed"),
        ),
    ];
    Played {
        vendor: "BITBUCKET_DATACENTER",
        prefix: "https://bb.example/",
        api: "",
        name: "acme/net",
        url: "https://bb.example/scm/acme/net.git",
        proof: ("authorization", "Bearer hunter2"),
        viewer: "ann",
        rows,
    }
}
