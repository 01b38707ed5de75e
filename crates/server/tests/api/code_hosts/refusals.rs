//! Code hosts that refuse, are busy, or answer nonsense.

use serde_json::json;

use super::played::{Host, NEW, Said, client, integrate};
use crate::world::World;

async fn github() -> (World, Host) {
    let world = World::with(&["--outgoing-networks", "127.0.0.0/8"]).await;
    let host = Host::new().await;
    integrate(&world, "GITHUB", "https://github.com/", &host.url).await;
    (world, host)
}

const VIEWER: &str = "{vcsIntegration(id: \"host\"){viewer}}";

fn said(status: u16, message: &str) -> Said {
    Said::json(&json!({ "message": message })).status(status)
}

#[tokio::test]
async fn refusals_name_the_host_and_what_to_do() {
    let (world, host) = github().await;
    let limited = said(403, "API rate limit exceeded").header("x-ratelimit-remaining", "0");
    let rows = [
        (
            said(401, "Bad credentials"),
            "does not accept the token of VCS integration `host` (401: Bad credentials)",
        ),
        (
            said(403, "Resource not accessible"),
            "does not let the token of VCS integration `host` get current user (403",
        ),
        (
            said(404, "Not Found"),
            "or `apiUrl` is wrong (404: Not Found)",
        ),
        (
            limited.header("retry-after", "90"),
            "takes no more requests for now (403): it asks to wait 90 s",
        ),
        (
            said(429, "slow").header("retry-after", "3600"),
            "takes no more requests for now (429): it asks to wait 3600 s",
        ),
        (
            said(418, "teapot"),
            "could not get current user: status 418: teapot",
        ),
        (
            Said::bytes("<html>Sign in</html>"),
            "is `apiUrl` the host's API?",
        ),
        (
            Said::bytes("")
                .status(302)
                .header("location", "https://evil.example/"),
            "sends `get current user` on to another host",
        ),
        (
            Said::json(&json!({ "login": "x".repeat(17 << 20) })),
            "with more than 16777216 bytes",
        ),
    ];
    for (answer, words) in rows {
        let before = host.seen().len();
        host.says_once("/user", answer);
        let text = world.admin.refused(VIEWER, json!({})).await;
        assert!(
            text.contains(words) && text.contains("127.0.0.1"),
            "{words}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(host.seen().len(), before + 1, "{words}: asked once");
    }
}

#[tokio::test]
async fn what_may_go_better_in_a_moment_is_asked_again() {
    let (world, host) = github().await;
    host.says("/user", Said::json(&json!({ "login": "ann" })));
    host.says_once("/user", said(503, "unicorn"));
    host.says_once("/user", said(429, "slow").header("retry-after", "1"));
    let found = world.admin.ok(VIEWER, json!({})).await;
    assert_eq!(found["vcsIntegration"]["viewer"], "ann");
    assert_eq!(host.seen().len(), 3);
    // Not for ever.
    for _ in 0..3 {
        host.says_once("/user", said(502, "bad gateway"));
    }
    let text = world.admin.refused(VIEWER, json!({})).await;
    assert!(text.contains("status 502: bad gateway"), "{text}");
    assert_eq!(host.seen().len(), 6);
}

#[tokio::test]
async fn a_file_of_a_hidden_repository_is_not_taken_for_missing() {
    let (world, _host) = github().await;
    let client = client(&world).await;
    let place = client.named("acme/net").unwrap();
    let error = client
        .file(&place, NEW, ".spacelift/config.yml")
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`acme/net`") && text.contains("404"),
        "{text}"
    );
    assert!(client.head(&place, "main").await.is_err());
}

#[tokio::test]
async fn a_comparison_that_is_cut_off_is_no_comparison() {
    let (world, host) = github().await;
    let client = client(&world).await;
    let place = client.named("acme/net").unwrap();
    let (old, many) = ("b".repeat(40), vec![json!({ "filename": "a" }); 300]);
    let target = format!("/repos/acme/net/compare/{old}...{NEW}?per_page=1&page=1");
    host.says_once(
        &target,
        Said::json(&json!({ "status": "ahead", "files": many })),
    );
    assert_eq!(client.changed(&place, &old, NEW).await.unwrap(), None);
    let long = "x".repeat(17 << 20);
    host.says_once(
        &target,
        Said::json(&json!({ "status": "ahead", "files": [], "x": long })),
    );
    assert_eq!(client.changed(&place, &old, NEW).await.unwrap(), None);
}

#[tokio::test]
async fn an_archive_goes_through_the_server_as_it_comes() {
    let (world, host) = github().await;
    let large = vec![7_u8; 40 << 20];
    let at = format!("/repos/acme/net/tarball/{NEW}");
    host.says(
        &at,
        Said::bytes(large.clone()).header("content-type", "application/x-gzip"),
    );
    let branch = json!({ "name": "main", "commit": { "sha": NEW } });
    host.says("/repos/acme/net/branches/main", Said::json(&branch));
    let path = |commit: &str| format!("/api/vcs/host/archive?repository=acme/net&commit={commit}");
    let (status, body) = world.admin.get(&path("main")).await;
    assert_eq!((status, body.len()), (200, large.len()));
    let (status, body) = world.admin.get(&path(&"d".repeat(40))).await;
    let text = String::from_utf8(body).unwrap();
    assert!(
        status == 502 && text.contains("could not get archive of `acme/net`"),
        "{status} {text}"
    );
    assert_eq!(world.writer.get(&path("main")).await.0, 403);
    assert_eq!(world.nobody().get(&path("main")).await.0, 401);
    let elsewhere = Said::bytes("")
        .status(302)
        .header("location", "https://evil.example/x");
    host.says_once(&at, elsewhere);
    let (status, body) = world.admin.get(&path(NEW)).await;
    assert!(status == 502 && String::from_utf8(body).unwrap().contains("another host"));
}

#[tokio::test]
async fn who_has_no_api_is_told_so() {
    let world = World::new().await;
    let text = "mutation($input:VcsIntegrationInput!){vcsIntegrationCreate(input: $input){integration{id}}}";
    for (name, vendor) in [("Host", "GITHUB"), ("Plain", "GIT")] {
        let input = json!({ "name": name, "vendor": vendor, "urlPrefix": "https://git.example/" });
        world.admin.ok(text, json!({ "input": input })).await;
    }
    let refused = world.admin.refused(VIEWER, json!({})).await;
    assert!(refused.contains("`host` has no `apiUrl`"), "{refused}");
    let refused = world
        .admin
        .refused("{vcsIntegration(id: \"plain\"){viewer}}", json!({}))
        .await;
    assert!(refused.contains("only speaks git"), "{refused}");
}
