//! The inventory of what is stored.

use super::*;
use crate::clock::UnixMillis;
use crate::store::testing::World;

fn integration(id: &str, host: CodeHost, api_url: &str) -> Integration {
    Integration {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        space: "root".to_owned(),
        host,
        url_prefix: "https://git.example/".to_owned(),
        api_url: Some(api_url.to_owned()),
        username: None,
        token: Some("hunter2".to_owned()),
        webhook_secret: "hunter2".to_owned(),
        poll_seconds: None,
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
    }
}

fn target(world: &World, name: &str, enabled: bool) -> Target {
    Target {
        id: world.store.new_id(),
        name: name.to_owned(),
        space: "root".to_owned(),
        url: format!("https://{name}.example/hook?token=hunter2"),
        secret: "hunter2".to_owned(),
        states: Vec::new(),
        enabled,
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
    }
}

/// `purpose host:port on|off`, of all but the name servers.
async fn told(data_dir: &Path) -> Vec<String> {
    let told = inventory(data_dir, &Proxies::default())
        .await
        .unwrap()
        .json();
    assert!(!told.to_string().contains("hunter2"), "{told}");
    let line = |one: &serde_json::Value| {
        let place = &one["place"];
        let place = match place["host"].as_str() {
            Some(host) => format!("{host}:{}", place["port"]),
            None => place["class"].as_str().unwrap().to_owned(),
        };
        let switch = if one["enabled"] == true { "on" } else { "off" };
        format!("{} {place} {switch}", one["purpose"].as_str().unwrap())
    };
    let all = told["contacts"].as_array().unwrap();
    all.iter()
        .map(line)
        .filter(|line| !line.starts_with("name_servers "))
        .collect()
}

#[tokio::test]
async fn before_the_first_start_there_are_classes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        told(dir.path()).await,
        [
            "code_hosts the API of each VCS integration off",
            "webhooks each webhook's URL off",
            "git the git host of each stack off",
        ]
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}

#[tokio::test]
async fn what_people_stored_is_named() {
    let world = World::new().await;
    let mut tx = world.store.begin().await.unwrap();
    let gateway = integration("inner", CodeHost::Gitlab, "private://pool/api/v4");
    let github = integration("github", CodeHost::Github, "https://api.github.com");
    for one in [github, gateway] {
        integrations::insert(&mut tx, &one).await.unwrap();
    }
    for (name, enabled) in [("chat", true), ("paused", false)] {
        outbox::put_target(&mut tx, &target(&world, name, enabled))
            .await
            .unwrap();
    }
    world.store.commit(tx).await.unwrap();
    assert_eq!(
        told(world.dir()).await,
        [
            "code_hosts api.github.com:443 on",
            "code_hosts codeload.github.com:443 on",
            "webhooks chat.example:443 on",
            "webhooks paused.example:443 off",
            "git git.example:443 on",
        ]
    );
}

#[test]
fn a_clone_url_names_whom_git_dials() {
    for (url, expected) in [
        (
            "https://git.example/a.git",
            Some(("git.example", 443, false)),
        ),
        (
            "https://git.example:8443/a",
            Some(("git.example", 8443, false)),
        ),
        ("https://[fd00::1]:8443/a", Some(("fd00::1", 8443, false))),
        ("https://[fd00::1]/a", Some(("fd00::1", 443, false))),
        (
            "ssh://git@git.example:2222/a",
            Some(("git.example", 2222, true)),
        ),
        (
            "git@git.example:acme/a.git",
            Some(("git.example", 22, true)),
        ),
        ("file:///srv/a", None),
        ("private://pool/a", None),
    ] {
        let found = dialled(url);
        let found = found
            .as_ref()
            .map(|(host, port, ssh)| (host.as_str(), *port, *ssh));
        assert_eq!(found, expected, "{url}");
    }
}
