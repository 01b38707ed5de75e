//! Messages as the vendors document them, and those that nobody should believe.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const HASH: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";
const ZERO: &str = "0000000000000000000000000000000000000000";
const SECRET: &str = "hunter2";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex = |b: u8| format!("{b:02x}");
    let hex: String = mac.finalize().into_bytes().into_iter().map(hex).collect();
    format!("sha256={hex}")
}

fn github(body: &Value) -> Result<Message, Refusal> {
    let body = body.to_string();
    let signature = signature(SECRET, body.as_bytes());
    let given = headers(&[
        ("X-Hub-Signature-256", &signature),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "d-1"),
    ]);
    read(
        CodeHost::Github,
        &Secret::new(SECRET),
        &given,
        body.as_bytes(),
    )
}

fn github_push(after: &str, more: &Value) -> Value {
    let mut push = json!({ "ref": "refs/heads/feature/x", "before": HASH, "after": after,
        "repository": { "clone_url": "https://github.com/acme/net.git",
            "ssh_url": "git@github.com:acme/net.git" },
        "pusher": { "name": "ann" },
        "commits": [{ "added": ["a/x.tf"], "modified": [], "removed": ["b"] }] });
    for (name, value) in more.as_object().unwrap() {
        push[name] = value.clone();
    }
    push
}

#[test]
fn github_tells_of_a_push() {
    let message = github(&github_push(HASH, &json!({}))).unwrap();
    assert_eq!(message.delivery, "d-1");
    let expected = Push {
        urls: vec![
            "https://github.com/acme/net.git".to_owned(),
            "git@github.com:acme/net.git".to_owned(),
        ],
        branch: "feature/x".to_owned(),
        head: Some(HASH.to_owned()),
        before: Some(HASH.to_owned()),
        pusher: "ann".to_owned(),
        changed: Some(vec!["a/x.tf".to_owned(), "b".to_owned()]),
    };
    assert_eq!(message.pushes, [expected]);
    let gone = github(&github_push(ZERO, &json!({}))).unwrap();
    assert_eq!(gone.pushes[0].head, None);
    // What is new or was forced is not told whole.
    for more in [json!({ "before": ZERO }), json!({ "forced": true })] {
        assert_eq!(
            github(&github_push(HASH, &more)).unwrap().pushes[0].changed,
            None
        );
    }
    for reference in ["refs/tags/v1", "refs/heads/--upload-pack=id", "main"] {
        let more = json!({ "ref": reference });
        assert!(github(&github_push(HASH, &more)).unwrap().pushes.is_empty());
    }
}

#[test]
fn gitlab_bitbucket_and_azure_tell_of_pushes() {
    let body = json!({ "ref": "refs/heads/main", "before": HASH, "after": HASH, "user_name": "Ann",
        "project": { "git_http_url": "https://gitlab.example/acme/net.git",
            "git_ssh_url": "git@gitlab.example:acme/net.git" },
        "commits": [{ "added": [], "modified": ["x"], "removed": [] }], "total_commits_count": 1 });
    let given = headers(&[
        ("X-Gitlab-Token", SECRET),
        ("X-Gitlab-Event", "Push Hook"),
        ("X-Gitlab-Event-UUID", "u-1"),
    ]);
    let told = |host, given: &HeaderMap, body: &Value| {
        read(
            host,
            &Secret::new(SECRET),
            given,
            body.to_string().as_bytes(),
        )
        .unwrap()
    };
    let message = told(CodeHost::Gitlab, &given, &body);
    assert_eq!(
        (message.delivery.as_str(), message.pushes.len()),
        ("u-1", 1)
    );
    assert_eq!(
        message.pushes[0].changed.as_deref(),
        Some(&["x".to_owned()][..])
    );
    let mut many = body;
    many["total_commits_count"] = json!(21);
    assert_eq!(
        told(CodeHost::Gitlab, &given, &many).pushes[0].changed,
        None
    );

    let body = json!({ "actor": { "displayName": "Ann" }, "repository": { "links": { "clone":
        [{ "href": "https://bb.example/scm/acme/net.git", "name": "http" }] } },
        "changes": [{ "refId": "refs/heads/main", "fromHash": HASH, "toHash": HASH, "type": "UPDATE" },
            { "refId": "refs/heads/old", "toHash": ZERO, "type": "DELETE" },
            { "refId": "refs/tags/v1", "toHash": HASH, "type": "ADD" }] });
    let signature = signature(SECRET, body.to_string().as_bytes());
    let given = headers(&[
        ("X-Hub-Signature", &signature),
        ("X-Event-Key", "repo:refs_changed"),
    ]);
    let message = told(CodeHost::BitbucketDatacenter, &given, &body);
    let heads: Vec<_> = message
        .pushes
        .iter()
        .map(|push| push.head.is_some())
        .collect();
    assert_eq!(heads, [true, false]);
    assert_eq!(
        message.delivery,
        Digest::of(body.to_string().as_bytes()).hex()
    );

    let body = json!({ "id": "n-1", "eventType": "git.push", "resource": {
        "refUpdates": [{ "name": "refs/heads/main", "newObjectId": HASH, "oldObjectId": ZERO }],
        "repository": { "remoteUrl": "https://acme@dev.azure.com/acme/p/_git/net" },
        "pushedBy": { "displayName": "Ann" } } });
    let basic = format!("Basic {}", base64_of(&format!("any:{SECRET}")));
    let message = told(
        CodeHost::AzureDevops,
        &headers(&[("Authorization", &basic)]),
        &body,
    );
    assert_eq!(
        (message.delivery.as_str(), message.pushes[0].branch.as_str()),
        ("n-1", "main")
    );
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn nothing_is_believed_without_its_proof() {
    let body = github_push(HASH, &json!({})).to_string();
    let good = signature(SECRET, body.as_bytes());
    let other = signature("hunter3", body.as_bytes());
    let moved = signature(SECRET, b"another body");
    let basic = format!("Basic {}", base64_of("any:hunter3"));
    for (host, given) in [
        (CodeHost::Github, headers(&[])),
        (
            CodeHost::Github,
            headers(&[("X-Hub-Signature-256", &other)]),
        ),
        (
            CodeHost::Github,
            headers(&[("X-Hub-Signature-256", &moved)]),
        ),
        (
            CodeHost::Github,
            headers(&[("X-Hub-Signature-256", &good[..20])]),
        ),
        (CodeHost::Github, headers(&[("X-Hub-Signature", &good)])),
        (CodeHost::Gitlab, headers(&[])),
        (CodeHost::Gitlab, headers(&[("X-Gitlab-Token", "hunter")])),
        (CodeHost::Gitlab, headers(&[("X-Gitlab-Token", "")])),
        (
            CodeHost::BitbucketDatacenter,
            headers(&[("X-Hub-Signature", &other)]),
        ),
        (CodeHost::AzureDevops, headers(&[("Authorization", &basic)])),
        (
            CodeHost::AzureDevops,
            headers(&[("Authorization", "Basic !")]),
        ),
        (CodeHost::AzureDevops, headers(&[])),
    ] {
        let refused = read(host, &Secret::new(SECRET), &given, body.as_bytes()).unwrap_err();
        assert!(
            matches!(refused, Refusal::Unproven(_)),
            "{host:?} {given:?}"
        );
        assert!(!refused.to_string().contains("hunter"));
    }
    let none = read(CodeHost::Git, &Secret::new(SECRET), &headers(&[]), b"{}");
    assert_eq!(none, Err(Refusal::NoWebhooks));
}

#[test]
fn what_is_proven_and_unreadable_is_one_sentence() {
    for body in [json!({}), json!([]), json!({ "ref": 5 }), json!("x")] {
        let refused = github(&body).unwrap_err().to_string();
        assert!(
            refused.starts_with("this is no webhook of GitHub: "),
            "{refused}"
        );
        assert!(!refused.contains('\n'));
    }
}

proptest! {
    #[test]
    fn no_body_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let signature = signature(SECRET, &bytes);
        let basic = format!("Basic {}", base64_of(&format!("a:{SECRET}")));
        let given = headers(&[("X-Hub-Signature-256", &signature), ("X-Hub-Signature", &signature),
            ("X-GitHub-Event", "push"), ("X-Event-Key", "repo:refs_changed"), ("X-Gitlab-Token", SECRET),
            ("X-Gitlab-Event", "Push Hook"), ("Authorization", &basic)]);
        for host in [CodeHost::Github, CodeHost::Gitlab, CodeHost::BitbucketDatacenter, CodeHost::AzureDevops] {
            let _ = read(host, &Secret::new(SECRET), &given, &bytes);
        }
    }
}
