//! Every question to every vendor, with answers in the shapes that they document.

use futures_util::StreamExt as _;
use gantry_server::code_hosts::Client;
use gantry_server::vcs_probe::{Details, Found};
use serde_json::{Value, json};

use super::played::{Host, NEW, OLD, Said, client, integrate};
use crate::world::World;

const FILE: &str = ".spacelift/config.yml";

/// A vendor as it is played.
struct Played {
    vendor: &'static str,
    prefix: &'static str,
    /// What follows the host in the API's URL.
    api: &'static str,
    /// The repository `net` as people call it, and as git does.
    name: &'static str,
    url: &'static str,
    /// How it knows the token.
    proof: (&'static str, &'static str),
    viewer: &'static str,
    rows: Vec<(String, Said)>,
}

fn git_object(sha: &str) -> Value {
    json!({ "sha": sha, "commit": { "author": { "name": "Ann" }, "committer": { "date": "2025-10-09T08:53:20Z" },
        "message": "one\n\nand why" } })
}

fn github() -> Played {
    let repo = |name: &str| json!({ "full_name": format!("acme/{name}"),
        "clone_url": format!("https://github.com/acme/{name}.git"), "default_branch": "main", "private": true });
    let branch = |name: &str, sha: &str| json!({ "name": name, "commit": { "sha": sha }, "protected": false });
    let at = |rest: &str| format!("/repos/acme/net{rest}");
    let compare = |status: &str, files: &Value| Said::json(&json!({ "status": status, "files": files,
        "commits": [], "total_commits": 1 }));
    let files = json!([{ "filename": "infra/main.tf", "status": "modified" },
        { "filename": "infra/b.tf", "previous_filename": "old/b.tf", "status": "renamed" }]);
    let file = json!({ "type": "file", "encoding": "base64", "content": "dmVyc2lv\nbjogMQo=\n" });
    let rows = vec![
        ("/user".into(), Said::json(&json!({ "login": "ann", "id": 1 }))),
        ("/user/repos?per_page=2&page=1&sort=full_name".into(), Said::json(&json!([repo("a"), repo("net")]))),
        ("/user/repos?per_page=2&page=2&sort=full_name".into(), Said::json(&json!([repo("z")]))),
        (at("/branches?per_page=50&page=1"), Said::json(&json!([branch("feature/x", OLD), branch("main", NEW)]))),
        (at("/branches?per_page=1&page=1"), Said::json(&json!([branch("feature/x", OLD)]))),
        (at("/branches/main"), Said::json(&branch("main", NEW))),
        (at("/branches/feature%2Fx"), Said::json(&branch("feature/x", OLD))),
        (at(&format!("/commits/{NEW}?per_page=1")), Said::json(&git_object(NEW))),
        (at(&format!("/contents/{FILE}?ref={NEW}")), Said::json(&file)),
        (at(&format!("/commits/{OLD}?per_page=1")), Said::json(&git_object(OLD))),
        (at(&format!("/compare/{OLD}...{NEW}?per_page=1&page=1")), compare("ahead", &files)),
        (at(&format!("/compare/{NEW}...{OLD}?per_page=1&page=1")), compare("behind", &json!([]))),
        (at(&format!("/compare/main...{OLD}?per_page=1&page=1")), compare("behind", &json!([]))),
        (at(&format!("/compare/feature%2Fx...{NEW}?per_page=1&page=1")), compare("diverged", &json!([]))),
        (at(&format!("/tarball/{NEW}")), Said::bytes("").status(302)
            .header("location", format!("/codeload/acme/net/legacy.tar.gz/{NEW}?token=t"))),
        (format!("/codeload/acme/net/legacy.tar.gz/{NEW}?token=t"), Said::bytes("packed")),
    ];
    Played { vendor: "GITHUB", prefix: "https://github.com/", api: "", name: "acme/net",
        url: "https://github.com/acme/net.git", proof: ("authorization", "Bearer hunter2"), viewer: "ann", rows }
}

fn gitlab() -> Played {
    let repo = |name: &str| json!({ "id": 7, "path_with_namespace": format!("acme/sub/{name}"),
        "http_url_to_repo": format!("https://gl.example/acme/sub/{name}.git"), "default_branch": "main" });
    let branch = |name: &str, sha: &str| json!({ "name": name, "commit": { "id": sha }, "default": false });
    let at = |rest: &str| format!("/api/v4/projects/acme%2Fsub%2Fnet{rest}");
    let listed = |page: u32| format!(
        "/api/v4/projects?membership=true&simple=true&order_by=id&per_page=2&page={page}");
    let commit = |sha: &str| json!({ "id": sha, "author_name": "Ann",
        "committed_date": "2025-10-09T10:53:20.000+02:00", "message": "one\n\nand why" });
    let compare = |commits: &Value, diffs: &Value| Said::json(&json!({ "commits": commits, "diffs": diffs,
        "compare_timeout": false, "compare_same_ref": false }));
    let compared = |from: &str, to: &str| at(&format!("/repository/compare?from={from}&to={to}&straight=true"));
    let diffs = json!([{ "old_path": "infra/main.tf", "new_path": "infra/main.tf" },
        { "old_path": "old/b.tf", "new_path": "infra/b.tf", "renamed_file": true }]);
    let rows = vec![
        ("/api/v4/user".into(), Said::json(&json!({ "username": "ann" }))),
        (listed(1), Said::json(&json!([repo("a"), repo("net")]))),
        (listed(2), Said::json(&json!([repo("z")]))),
        (at("/repository/branches?per_page=50&page=1"),
            Said::json(&json!([branch("feature/x", OLD), branch("main", NEW)]))),
        (at("/repository/branches?per_page=1&page=1"), Said::json(&json!([branch("feature/x", OLD)]))),
        (at("/repository/branches/main"), Said::json(&branch("main", NEW))),
        (at("/repository/branches/feature%2Fx"), Said::json(&branch("feature/x", OLD))),
        (at(&format!("/repository/commits/{NEW}")), Said::json(&commit(NEW))),
        (at(&format!("/repository/commits/{OLD}")), Said::json(&commit(OLD))),
        (at(&format!("/repository/files/%2Espacelift%2Fconfig%2Eyml/raw?ref={NEW}")), Said::bytes("version: 1\n")),
        (compared(OLD, NEW), compare(&json!([commit(NEW)]), &diffs)),
        (compared(NEW, OLD), compare(&json!([]), &diffs)),
        (compared("main", OLD), compare(&json!([]), &diffs)),
        (compared("feature%2Fx", NEW), compare(&json!([commit(NEW)]), &diffs)),
        (at(&format!("/repository/archive?sha={NEW}")), Said::bytes("packed")),
    ];
    Played { vendor: "GITLAB", prefix: "https://gl.example/", api: "/api/v4", name: "acme/sub/net",
        url: "https://gl.example/acme/sub/net.git", proof: ("private-token", "hunter2"), viewer: "ann", rows }
}

fn bitbucket() -> Played {
    let repo = |slug: &str| json!({ "slug": slug, "project": { "key": "ACME" }, "links": { "clone": [
        { "href": format!("ssh://git@bb.example:7999/acme/{slug}.git"), "name": "ssh" },
        { "href": format!("https://bb.example/scm/acme/{slug}.git"), "name": "http" }] } });
    let page = |values: &Value, next: Option<u64>| Said::json(&json!({ "values": values, "size": 2, "limit": 2,
        "isLastPage": next.is_none(), "nextPageStart": next, "start": 0 }));
    let branch = |name: &str, sha: &str| json!({ "id": format!("refs/heads/{name}"), "displayId": name,
        "latestCommit": sha, "type": "BRANCH" });
    let at = |rest: &str| format!("/rest/api/1.0/projects/acme/repos/net{rest}");
    let commit = |sha: &str| json!({ "id": sha, "author": { "name": "ann", "displayName": "Ann" },
        "committerTimestamp": 1_760_000_000_000_i64, "message": "one\n\nand why" });
    let change = |path: &str, from: &str| json!({ "path": { "toString": path }, "srcPath": { "toString": from } });
    let between = |from: &str, to: &str| at(&format!("/compare/commits?from={from}&to={to}&limit=1"));
    let changes = |start: u64| at(&format!("/compare/changes?from={NEW}&to={OLD}&limit=1000&start={start}"));
    let named = |name: &str| at(&format!("/branches?limit=100&start=0&filterText={name}&boostMatches=true"));
    let both = json!([branch("feature/x", OLD), branch("main", NEW)]);
    let rows = vec![
        ("/rest/api/1.0/repos?limit=1".into(), page(&json!([repo("a")]), Some(1)).header("x-ausername", "ann")),
        ("/rest/api/1.0/repos?limit=2&start=0".into(), page(&json!([repo("a"), repo("net")]), Some(2))),
        ("/rest/api/1.0/repos?limit=2&start=2".into(), page(&json!([repo("z")]), None)),
        (at("/branches?limit=50&start=0"), page(&both, None)),
        (named("main"), page(&json!([branch("main-old", OLD), branch("main", NEW)]), None)),
        (named("feature%2Fx"), page(&json!([branch("feature/x", OLD)]), None)),
        (named("none"), page(&json!([]), None)),
        (at(&format!("/commits/{NEW}")), Said::json(&commit(NEW))),
        (at(&format!("/commits/{OLD}")), Said::json(&commit(OLD))),
        (format!("/projects/acme/repos/net/raw/{FILE}?at={NEW}"), Said::bytes("version: 1\n")),
        (changes(0), page(&json!([{ "path": { "toString": "infra/main.tf" } }]), Some(1))),
        (changes(1), page(&json!([change("infra/b.tf", "old/b.tf")]), None)),
        (between(OLD, NEW), page(&json!([]), None)),
        (between(NEW, OLD), page(&json!([commit(NEW)]), None)),
        (between(OLD, "refs%2Fheads%2Fmain"), page(&json!([]), None)),
        (between(NEW, "refs%2Fheads%2Ffeature%2Fx"), page(&json!([commit(NEW)]), None)),
        (at(&format!("/archive?at={NEW}&format=tgz")), Said::bytes("packed")),
    ];
    Played { vendor: "BITBUCKET_DATACENTER", prefix: "https://bb.example/", api: "", name: "acme/net",
        url: "https://bb.example/scm/acme/net.git", proof: ("authorization", "Bearer hunter2"), viewer: "ann", rows }
}

fn azure() -> Played {
    let repo = |name: &str| json!({ "id": "0b", "name": name, "project": { "name": "proj" },
        "remoteUrl": format!("https://dev.azure.com/org/proj/_git/{name}"), "defaultBranch": "refs/heads/main" });
    let branch = |name: &str, sha: &str| json!({ "name": name, "commit": { "commitId": sha },
        "aheadCount": 0, "behindCount": 0 });
    let at = |rest: &str| format!("/org/proj/_apis/git/repositories/net{rest}");
    let commit = |sha: &str| json!({ "commitId": sha, "author": { "name": "Ann" },
        "committer": { "date": "2025-10-09T08:53:20Z" }, "comment": "one\n\nand why" });
    let diff = |base: (&str, &str), target: (&str, &str), top: u32| at(&format!(
        "/diffs/commits?baseVersion={}&baseVersionType={}&targetVersion={}&targetVersionType={}\
         &diffCommonCommit=false&$top={top}&$skip=0&api-version=7.1", base.0, base.1, target.0, target.1));
    let ahead = |count: u32| Said::json(&json!({ "aheadCount": count, "behindCount": 0, "changes": [] }));
    let changes = json!([
        { "item": { "path": "/infra", "isFolder": true, "gitObjectType": "tree" }, "changeType": "edit" },
        { "item": { "path": "/infra/main.tf", "gitObjectType": "blob" }, "changeType": "edit" },
        { "item": { "path": "/infra/b.tf" }, "sourceServerItem": "/old/b.tf", "changeType": "rename" }]);
    let item = |path: &str, more: &str| at(&format!(
        "/items?path={path}&versionDescriptor.version={NEW}&versionDescriptor.versionType=commit{more}&api-version=7.1"));
    let rows = vec![
        ("/org/_apis/git/repositories?api-version=7.1".into(), Said::json(
            &json!({ "value": [repo("a"), repo("net"), repo("z")], "count": 3 }))),
        ("/org/_apis/connectionData".into(),
            Said::json(&json!({ "authenticatedUser": { "providerDisplayName": "ann" }, "instanceId": "1" }))),
        (at("/stats/branches?api-version=7.1"),
            Said::json(&json!({ "value": [branch("feature/x", OLD), branch("main", NEW)] }))),
        (at("/stats/branches?name=main&api-version=7.1"), Said::json(&branch("main", NEW))),
        (at("/stats/branches?name=feature%2Fx&api-version=7.1"), Said::json(&branch("feature/x", OLD))),
        (at(&format!("/commits/{NEW}?api-version=7.1")), Said::json(&commit(NEW))),
        (at(&format!("/commits/{OLD}?api-version=7.1")), Said::json(&commit(OLD))),
        (item("%2F.spacelift%2Fconfig.yml", "&includeContent=true&$format=json"),
            Said::json(&json!({ "path": "/.spacelift/config.yml", "content": "version: 1\n" }))),
        (diff((OLD, "commit"), (NEW, "commit"), 2000),
            Said::json(&json!({ "allChangesIncluded": true, "changes": changes }))),
        (diff((NEW, "commit"), (OLD, "commit"), 2000),
            Said::json(&json!({ "allChangesIncluded": false, "changes": [] }))),
        (diff(("main", "branch"), (OLD, "commit"), 1), ahead(0)),
        (diff(("feature%2Fx", "branch"), (NEW, "commit"), 1), ahead(1)),
        (item("%2F", "&recursionLevel=full&$format=zip&download=true"), Said::bytes("packed")),
    ];
    Played { vendor: "AZURE_DEVOPS", prefix: "https://dev.azure.com/org/", api: "/org", name: "proj/net",
        url: "https://dev.azure.com/org/proj/_git/net", proof: ("authorization", "Basic Omh1bnRlcjI="),
        viewer: "ann", rows }
}

/// The host of one vendor, and a world with an integration of it.
async fn play(played: &Played) -> (World, Host) {
    let world = World::with(&["--outgoing-networks", "127.0.0.0/8"]).await;
    let host = Host::new().await;
    for (target, said) in &played.rows {
        host.says(target, said.clone());
    }
    let api = format!("{}{}", host.url, played.api);
    integrate(&world, played.vendor, played.prefix, &api).await;
    (world, host)
}

async fn lists(world: &World, played: &Played) {
    let text = "query($after:String){vcsIntegration(id: \"host\"){viewer,repositories(first: 2, after: $after)\
        {nodes{name,url},endCursor,hasNextPage}}}";
    let (mut names, mut after) = (Vec::new(), Value::Null);
    for _ in 0..2 {
        let page = world.admin.ok(text, json!({ "after": after })).await;
        let page = &page["vcsIntegration"];
        assert_eq!(page["viewer"], played.viewer, "{}", played.vendor);
        let nodes = page["repositories"]["nodes"].as_array().unwrap().clone();
        names.extend(nodes);
        after = page["repositories"]["endCursor"].clone();
    }
    assert_eq!(after, Value::Null, "{}", played.vendor);
    assert_eq!(names.len(), 3, "{}: {names:?}", played.vendor);
    assert_eq!(names[1]["url"], played.url, "{}", played.vendor);
    assert!(names[1]["name"].as_str().unwrap().eq_ignore_ascii_case(played.name));
    let text = "query($repository:String!){vcsIntegration(id: \"host\"){branches(repository: $repository)\
        {nodes{name,commit},hasNextPage}}}";
    let found = world.admin.ok(text, json!({ "repository": played.name })).await;
    let expected = json!({ "nodes": [{ "name": "feature/x", "commit": OLD }, { "name": "main", "commit": NEW }],
        "hasNextPage": false });
    assert_eq!(found["vcsIntegration"]["branches"], expected, "{}", played.vendor);
    for (client, words) in [(&world.writer, "needs"), (&world.nobody(), "unauthorized")] {
        let refused = client.refused(text, json!({ "repository": played.name })).await;
        assert!(refused.contains(words), "{refused}");
    }
}

async fn questions(client: &Client, played: &Played) {
    let (place, who) = (client.place(played.url).unwrap(), played.vendor);
    assert_eq!(place, client.named(played.name).unwrap());
    for (branch, expected) in [("main", Some(NEW)), ("feature/x", Some(OLD)), ("none", None)] {
        let head = client.head(&place, branch).await.unwrap();
        assert_eq!(head.as_deref(), expected, "{who} {branch}");
    }
    let expected = Details {
        author: "Ann".to_owned(),
        message: "one\n\nand why".to_owned(),
        committed_at: 1_760_000_000,
    };
    assert_eq!(client.commit(&place, NEW).await.unwrap(), expected, "{who}");
    let file = client.file(&place, NEW, FILE).await.unwrap();
    assert_eq!(file, Found::Text("version: 1\n".to_owned()), "{who}");
    // The commit is there, the file is not.
    assert_eq!(client.file(&place, OLD, FILE).await.unwrap(), Found::Nothing, "{who}");
    // Neither of them: nothing is known of the file.
    assert!(client.file(&place, &"c".repeat(40), FILE).await.is_err(), "{who}");
    let mut changed = client.changed(&place, OLD, NEW).await.unwrap().unwrap();
    changed.sort();
    assert_eq!(changed, ["infra/b.tf", "infra/main.tf", "old/b.tf"], "{who}");
    for (branch, hash, expected) in [("main", OLD, true), ("feature/x", NEW, false)] {
        let found = client.is_on_branch(&place, branch, hash).await.unwrap();
        assert_eq!(found, expected, "{who} {branch}");
    }
    let mut body = client.archive(&place, NEW).await.unwrap().body;
    let mut packed = Vec::new();
    while let Some(piece) = body.next().await {
        packed.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(packed, b"packed", "{who}");
}

#[tokio::test]
async fn every_vendor_answers_every_question() {
    for played in [github(), gitlab(), bitbucket(), azure()] {
        let (world, host) = play(&played).await;
        lists(&world, &played).await;
        questions(&client(&world).await, &played).await;
        let (name, value) = played.proof;
        for seen in host.seen() {
            // What opens an archive elsewhere is in its address.
            let elsewhere = seen.target.starts_with("/codeload/");
            assert_eq!(seen.headers.get(name).is_some_and(|given| given == value), !elsewhere, "{seen:?}");
            assert!(elsewhere || seen.headers.contains_key("user-agent"), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn commits_that_are_not_in_line_have_no_known_changes() {
    for played in [github(), bitbucket(), azure()] {
        let (world, _host) = play(&played).await;
        let client = client(&world).await;
        let place = client.place(played.url).unwrap();
        assert_eq!(client.changed(&place, NEW, OLD).await.unwrap(), None, "{}", played.vendor);
    }
}
