//! Code hosts that only agents reach: every question through the real agent and its rules, git through the bridge.

use gantry_server::announce::{Word, ignored};
use gantry_server::store::commit::Commit;
use gantry_server::store::stacks;
use serde_json::{Value, json};

use super::agent::{GATEWAY, pool, start};
use super::answers::all;
use super::git_host::GitHost;
use super::played::{Host, NEW, Said, client, integrate};
use super::vendors::{Played, lists, questions};
use crate::notifications::{run_at, until};
use crate::world::World;

/// What the agent calls the vendor.
fn vendor(played: &Played) -> &'static str {
    match played.vendor {
        "GITHUB" => "github_enterprise",
        "GITLAB" => "gitlab",
        "BITBUCKET_DATACENTER" => "bitbucket_datacenter",
        _ => "azure_devops",
    }
}

/// Where the status of the commit goes.
fn status(played: &Played) -> String {
    match played.vendor {
        "GITHUB" => format!("/repos/acme/net/statuses/{NEW}"),
        "GITLAB" => format!("/api/v4/projects/acme%2Fsub%2Fnet/statuses/{NEW}"),
        "BITBUCKET_DATACENTER" => {
            format!("/rest/api/1.0/projects/acme/repos/net/commits/{NEW}/builds")
        }
        _ => format!("/org/proj/_apis/git/repositories/net/commits/{NEW}/statuses?api-version=7.1"),
    }
}

#[tokio::test]
async fn every_vendor_answers_every_question_through_an_agent() {
    for played in all() {
        let world = World::with(&GATEWAY).await;
        world.stack().await;
        let host = Host::new().await;
        for (target, said) in &played.rows {
            host.says(target, said.clone());
        }
        let taken = Said::json(&json!({})).status(201);
        host.says(&status(&played), taken);
        let pool = pool(&world, "corp", "root").await;
        let _agent = start(&world, pool, (vendor(&played), &host.url), None);
        let api = format!("private://corp{}", played.api);
        integrate(&world, played.vendor, "private://corp/", &api).await;
        // What a stack has there.
        let (listed, url) = match played.vendor {
            "GITHUB" => ("private://corp/acme/net.git", "private://corp/acme/net.git"),
            "GITLAB" => (
                "private://corp/acme/sub/net.git",
                "private://corp/acme/sub/net",
            ),
            "BITBUCKET_DATACENTER" => (
                "private://corp/scm/ACME/net.git",
                "private://corp/scm/acme/net.git",
            ),
            _ => (
                "private://corp/org/proj/_git/net",
                "private://corp/org/proj/_git/net",
            ),
        };
        lists(&world, &played, listed).await;
        questions(&client(&world).await, &played, url).await;
        let run = run_at(&world, NEW, url).await;
        world.plans_changes(&run).await;
        let told = until(async || {
            let of = |seen: &super::played::Seen| seen.body.contains("waits for a decision");
            host.seen().into_iter().find(of)
        });
        let told = told.await;
        assert_eq!(told.target, status(&played));
        let (name, value) = played.proof;
        assert_eq!(told.headers[name], value, "{}", played.vendor);
        // A push that starts nothing may show as a failed check.
        say_ignored(&world, url, "docs are elsewhere").await;
        let of = |seen: &super::played::Seen| seen.body.contains("docs are elsewhere");
        let told = host.seen().into_iter().find(of).unwrap();
        assert_eq!(told.target, status(&played));
        assert!(told.body.to_lowercase().contains("\"fail"), "{}", told.body);
    }
}

async fn say_ignored(world: &World, url: &str, text: &str) {
    let app = world.app();
    let mut conn = app.store.read().await.unwrap();
    let stack = stacks::get(&mut conn, &"net".parse().unwrap()).await;
    drop(conn);
    let mut stack = stack.unwrap();
    url.clone_into(&mut stack.settings.code.url);
    let commit = Commit {
        hash: NEW.to_owned(),
        ..Commit::default()
    };
    let word = Word {
        fails: true,
        text: text.to_owned(),
    };
    let told = ignored(app, &stack, &commit, &word).await.unwrap();
    assert_eq!(told, Ok(()));
}

const TRIGGER: &str = "mutation{runTrigger(stack: \"net\"){id,branch,commit{hash,message},note}}";

async fn stack(world: &World, repository: &str) -> Value {
    let pool = world.pool().await;
    let input = json!({ "name": "Net", "repository": repository, "branch": "main",
        "workerPool": pool["id"], "vendorConfig": { "openTofu": { "version": "1.8.2" } } });
    let text = "mutation($input:StackInput!){stackCreate(input: $input, manageState: true, slug: \"net\"){id}}";
    world.admin.post(text, json!({ "input": input })).await
}

#[tokio::test]
async fn a_stack_s_repository_is_read_by_git_through_an_agent() {
    let world = World::with(&GATEWAY).await;
    // The agent holds the login: the server has none.
    let host = GitHost::new(world.dir.path(), "Basic YW5uOmh1bnRlcjI=").await;
    let head = host.commit(
        ".spacelift/config.yml",
        "version: \"1\"\nstack_defaults:\n  before_init: [\"echo hi\"]\n",
    );
    let id = pool(&world, "corp", "root").await;
    let agent = start(&world, id, ("gitlab", &host.url), Some("basic:ann:hunter2"));
    let made = stack(&world, "private://corp/acme/sub/net.git").await;
    assert_eq!(made["data"]["stackCreate"]["id"], "net", "{made}");
    let run = world.writer.ok(TRIGGER, json!({})).await["runTrigger"].clone();
    assert_eq!(run["commit"]["hash"], head);
    assert_eq!(run["commit"]["message"], "a change");
    // A run is not started when the repository can't be read, and it is said why.
    drop(agent);
    until(async || world.app().gateway.agents(&id).is_empty().then_some(())).await;
    let refused = world.writer.refused(TRIGGER, json!({})).await;
    assert!(
        refused.contains("no agent of VCS agent pool `corp` is connected")
            && refused.contains("private://corp/acme/sub/net.git")
            && !refused.contains("127.0.0.1"),
        "{refused}"
    );
}

#[tokio::test]
async fn pools_of_other_spaces_are_as_if_they_were_not_there() {
    let world = World::with(&GATEWAY).await;
    crate::spaces::space(&world, "other", "root").await;
    pool(&world, "corp", "other").await;
    for (repository, words) in [
        (
            "private://corp/acme/net",
            "`private://corp/acme/net` names no VCS agent pool of space `root`",
        ),
        (
            "private://none/acme/net",
            "`private://none/acme/net` names no VCS agent pool of space `root`",
        ),
        ("private://", "names no VCS agent pool"),
    ] {
        let refused = stack(&world, repository).await;
        let text = refused["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(text.contains(words), "{text}");
    }
    pool(&world, "mine", "root").await;
    for bad in [
        "private://Mine/acme/net",
        "private://mine/a/../b",
        "private://mine/a//b",
        "private://mine/%2e%2e/b",
        "private://mine/",
    ] {
        let refused = stack(&world, bad).await;
        let text = refused["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(
            text.contains("expected `private://POOL/path/of/repository`"),
            "{bad}: {text}"
        );
    }
    let text = "mutation($input:VcsIntegrationInput!){vcsIntegrationCreate(input: $input){integration{id}}}";
    let input = json!({ "name": "Host", "vendor": "GITHUB", "urlPrefix": "private://corp/" });
    let refused = world.admin.refused(text, json!({ "input": input })).await;
    assert!(
        refused.contains("names no VCS agent pool of space `root`"),
        "{refused}"
    );
}
