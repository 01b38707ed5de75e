//! Every question to every vendor, with answers in the shapes that they document.

use futures_util::StreamExt as _;
use gantry_server::code_hosts::Client;
use gantry_server::vcs_probe::{Details, Found};
use serde_json::{Value, json};

use super::FILE;
use super::answers::all;
use super::played::{Host, NEW, OLD, Said, client, integrate};
use crate::world::World;

/// A vendor as it is played.
pub(crate) struct Played {
    pub(crate) vendor: &'static str,
    pub(crate) prefix: &'static str,
    /// What follows the host in the API's URL.
    pub(crate) api: &'static str,
    /// The repository `net` as people call it, and as git does.
    pub(crate) name: &'static str,
    pub(crate) url: &'static str,
    /// How it knows the token.
    pub(crate) proof: (&'static str, &'static str),
    pub(crate) viewer: &'static str,
    pub(crate) rows: Vec<(String, Said)>,
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

pub(crate) async fn lists(world: &World, played: &Played, url: &str) {
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
    assert_eq!(names[1]["url"], url, "{}", played.vendor);
    assert!(
        names[1]["name"]
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case(played.name)
    );
    let text = "query($repository:String!){vcsIntegration(id: \"host\"){branches(repository: $repository)\
        {nodes{name,commit},hasNextPage}}}";
    let found = world
        .admin
        .ok(text, json!({ "repository": played.name }))
        .await;
    let expected = json!({ "nodes": [{ "name": "feature/x", "commit": OLD }, { "name": "main", "commit": NEW }],
        "hasNextPage": false });
    assert_eq!(
        found["vcsIntegration"]["branches"], expected,
        "{}",
        played.vendor
    );
    for (client, words) in [(&world.writer, "needs"), (&world.nobody(), "unauthorized")] {
        let refused = client
            .refused(text, json!({ "repository": played.name }))
            .await;
        assert!(refused.contains(words), "{refused}");
    }
}

pub(crate) async fn questions(client: &Client, played: &Played, url: &str) {
    let (place, who) = (client.place(url).unwrap(), played.vendor);
    assert_eq!(place, client.named(played.name).unwrap());
    for (branch, expected) in [
        ("main", Some(NEW)),
        ("feature/x", Some(OLD)),
        ("none", None),
    ] {
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
    assert_eq!(
        client.file(&place, OLD, FILE).await.unwrap(),
        Found::Nothing,
        "{who}"
    );
    // Neither of them: nothing is known of the file.
    assert!(
        client.file(&place, &"c".repeat(40), FILE).await.is_err(),
        "{who}"
    );
    let mut changed = client.changed(&place, OLD, NEW).await.unwrap().unwrap();
    changed.sort();
    assert_eq!(
        changed,
        ["infra/b.tf", "infra/main.tf", "old/b.tf"],
        "{who}"
    );
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
    for played in all() {
        let (world, host) = play(&played).await;
        lists(&world, &played, played.url).await;
        questions(&client(&world).await, &played, played.url).await;
        let (name, value) = played.proof;
        for seen in host.seen() {
            // What opens an archive elsewhere is in its address.
            let elsewhere = seen.target.starts_with("/codeload/");
            assert_eq!(
                seen.headers.get(name).is_some_and(|given| given == value),
                !elsewhere,
                "{seen:?}"
            );
            assert!(
                elsewhere || seen.headers.contains_key("user-agent"),
                "{seen:?}"
            );
        }
    }
}

#[tokio::test]
async fn commits_that_are_not_in_line_have_no_known_changes() {
    for played in all().into_iter().filter(|played| played.vendor != "GITLAB") {
        let (world, _host) = play(&played).await;
        let client = client(&world).await;
        let place = client.place(played.url).unwrap();
        assert_eq!(
            client.changed(&place, NEW, OLD).await.unwrap(),
            None,
            "{}",
            played.vendor
        );
    }
}
