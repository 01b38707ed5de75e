//! Commits that start runs: webhooks and polling on a real repository, what stacks make of them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::policies::{ATTACH, CREATE, new};
use crate::world::{World, git};

const INTEGRATE: &str = "mutation($input:VcsIntegrationInput!){vcsIntegrationCreate(input: $input){integration{id,vendor,webhookUrl,hasToken,pollSeconds},webhookSecret}}";
const RUNS: &str = "{stack(id: \"net\"){runs{id,type,state,title,branch,triggeredBy,note,commit{hash,message,authorName}}}}";
const PUSHES: &str = "{vcsIntegration(id: \"host\"){pushes{branch,commit,pusher,outcome}}}";

struct Host<'a> {
    world: &'a World,
    secret: String,
    sent: std::cell::Cell<u32>,
}

impl<'a> Host<'a> {
    async fn new(world: &'a World, vendor: &str, more: Value) -> Self {
        let mut input = json!({ "name": "Host", "vendor": vendor,
            "urlPrefix": format!("file://{}/", world.dir.path().display()) });
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        let made = world.admin.ok(INTEGRATE, json!({ "input": input })).await;
        let made = &made["vcsIntegrationCreate"];
        assert_eq!(made["integration"]["id"], "host");
        let secret = made["webhookSecret"].as_str().unwrap().to_owned();
        Self {
            world,
            secret,
            sent: std::cell::Cell::new(0),
        }
    }

    fn code(&self) -> PathBuf {
        self.world.dir.path().join("code")
    }

    /// Commits a file to a branch, which is made if need be.
    fn commit(&self, branch: &str, path: &str, message: &str) -> String {
        let code = self.code();
        let known = git(&code, &["branch", "--list", branch]);
        let words: &[&str] = match known.is_empty() {
            true => &["checkout", "-q", "-b", branch],
            false => &["checkout", "-q", branch],
        };
        git(&code, words);
        let file = code.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, message).unwrap();
        git(&code, &["add", "-A"]);
        git(&code, &["commit", "-q", "--allow-empty", "-m", message]);
        git(&code, &["rev-parse", "HEAD"])
    }

    /// What GitHub would send.
    fn push(&self, branch: &str, head: &str, changed: &[&str]) -> String {
        json!({ "ref": format!("refs/heads/{branch}"), "before": "1".repeat(40), "after": head,
            "repository": { "clone_url": format!("file://{}", self.code().display()) },
            "pusher": { "name": "ann" },
            "commits": [{ "added": [], "modified": changed, "removed": [] }] })
        .to_string()
    }

    async fn send(&self, body: &str, delivery: &str, secret: &str) -> (u16, String) {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let hex = mac.finalize().into_bytes().into_iter();
        let hex: String = hex.map(|b| format!("{b:02x}")).collect();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/webhooks/host", self.world.app().base_url);
        let answer = http
            .post(url)
            .header("x-github-event", "push")
            .header("x-github-delivery", delivery)
            .header("x-hub-signature-256", format!("sha256={hex}"))
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Tells of a push and waits until it was acted upon; what came of it.
    async fn tell(&self, branch: &str, head: &str, changed: &[&str]) -> String {
        self.told(&self.push(branch, head, changed)).await
    }

    /// As [`Host::tell`], of a push that lists no paths.
    async fn tell_forced(&self, branch: &str, head: &str) -> String {
        let mut body: Value = serde_json::from_str(&self.push(branch, head, &[])).unwrap();
        body["forced"] = json!(true);
        self.told(&body.to_string()).await
    }

    async fn told(&self, body: &str) -> String {
        self.sent.set(self.sent.get() + 1);
        let delivery = format!("d-{}", self.sent.get());
        let (status, text) = self.send(body, &delivery, &self.secret).await;
        assert_eq!((status, text.as_str()), (202, "1 new pushes\n"));
        let found = until(async || {
            let found = self.world.reader.ok(PUSHES, json!({})).await;
            let newest = found["vcsIntegration"]["pushes"][0].clone();
            newest["outcome"].as_str().map(ToOwned::to_owned)
        });
        found.await
    }

    async fn runs(&self) -> Vec<Value> {
        let found = self.world.reader.ok(RUNS, json!({})).await;
        found["stack"]["runs"].as_array().unwrap().clone()
    }
}

async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "it did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_push_starts_a_run_once() {
    let world = World::new().await;
    world.stack().await;
    let host = Host::new(&world, "GITHUB", json!({ "token": "hunter2" })).await;
    let head = host.commit("main", "main.tf", "add a thing\n\nand why");
    let outcome = host.tell("main", &head, &["main.tf"]).await;
    assert!(outcome.starts_with("net: TRACKED run "), "{outcome}");
    let runs = host.runs().await;
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!(
        (
            &run["type"],
            &run["title"],
            &run["commit"]["hash"],
            &run["triggeredBy"]
        ),
        (
            &json!("TRACKED"),
            &json!("add a thing"),
            &json!(head),
            &json!(null)
        )
    );
    assert_eq!(run["commit"]["authorName"], "t");

    // Sent again, told again, and told of by somebody else.
    let body = host.push("main", &head, &[]);
    let again = host.send(&body, "d-1", &host.secret).await;
    assert_eq!(again, (202, "0 new pushes\n".to_owned()));
    let outcome = host.tell("main", &head, &[]).await;
    assert_eq!(outcome, "net: it was told of this commit before");
    // What counts is where the branch points, not what a message says.
    let outcome = host.tell("main", &"2".repeat(40), &[]).await;
    assert_eq!(outcome, "net: it was told of this commit before");
    assert_eq!(host.runs().await.len(), 1);
}

#[tokio::test]
async fn a_preview_is_replaced_by_the_next_push_of_its_branch() {
    let world = World::new().await;
    world.stack().await;
    let host = Host::new(&world, "GITHUB", json!({})).await;
    let first = host.commit("feature", "a", "one");
    assert!(
        host.tell("feature", &first, &[])
            .await
            .contains("PROPOSED run")
    );
    let second = host.commit("feature", "a", "two");
    assert!(
        host.tell("feature", &second, &[])
            .await
            .contains("PROPOSED run")
    );
    let other = host.commit("other", "a", "three");
    assert!(
        host.tell("other", &other, &[])
            .await
            .contains("PROPOSED run")
    );
    let find = "{stack(id: \"net\"){proposedRuns{state,branch,commit{hash}}}}";
    let found = world.reader.ok(find, json!({})).await;
    let runs = found["stack"]["proposedRuns"].as_array().unwrap().clone();
    let states: Vec<_> = runs.iter().map(|r| (&r["branch"], &r["state"])).collect();
    let expected = [
        ("other", "READY"),
        ("feature", "READY"),
        ("feature", "CANCELED"),
    ];
    let expected: Vec<_> = expected.iter().map(|(b, s)| (json!(b), json!(s))).collect();
    let states: Vec<_> = states
        .into_iter()
        .map(|(b, s)| (b.clone(), s.clone()))
        .collect();
    assert_eq!(states, expected);

    git(&host.code(), &["checkout", "-q", "main"]);
    git(&host.code(), &["branch", "-q", "-D", "feature"]);
    let outcome = host.tell("feature", &"0".repeat(40), &[]).await;
    assert_eq!(outcome, "net: the branch is gone; 1 previews were ended");
}

/// A stack `net` of the directory `infra` of a real repository.
async fn stack_of_a_directory(world: &World) {
    let pool = world.pool().await;
    let (url, _) = world.repository();
    let input = json!({ "name": "Net", "repository": url, "branch": "main", "projectRoot": "infra",
        "workerPool": pool["id"], "vendorConfig": { "openTofu": { "version": "1.8.2" } } });
    let text = "mutation($input:StackInput!){stackCreate(input: $input, manageState: true){id}}";
    world.admin.ok(text, json!({ "input": input })).await;
}

#[tokio::test]
async fn what_a_message_does_not_tell_is_found_by_comparing() {
    let world = World::new().await;
    stack_of_a_directory(&world).await;
    let host = Host::new(&world, "GITHUB", json!({})).await;
    let first = host.commit("main", "infra/a", "code");
    // Nothing is known to compare it with.
    let outcome = host.tell_forced("main", &first).await;
    assert!(outcome.contains("TRACKED run"), "{outcome}");
    let elsewhere = host.commit("main", "README.md", "words");
    assert_eq!(
        host.tell_forced("main", &elsewhere).await,
        "net: nothing started: nothing below its project root changed"
    );
    let inside = host.commit("main", "infra/b", "more code");
    let outcome = host.tell_forced("main", &inside).await;
    assert!(outcome.contains("TRACKED run"), "{outcome}");
}

#[tokio::test]
async fn messages_paths_and_policies_decide() {
    let world = World::new().await;
    stack_of_a_directory(&world).await;
    let host = Host::new(&world, "GITHUB", json!({})).await;

    let skipped = host.commit("main", "infra/a", "later [skip ci]");
    let outcome = host.tell("main", &skipped, &["infra/a"]).await;
    assert_eq!(
        outcome,
        "net: nothing started: its message asks for no runs"
    );
    let elsewhere = host.commit("main", "README.md", "words");
    let outcome = host.tell("main", &elsewhere, &["README.md"]).await;
    assert_eq!(
        outcome,
        "net: nothing started: nothing below its project root changed"
    );
    let inside = host.commit("main", "infra/b", "code");
    assert!(
        host.tell("main", &inside, &["infra/b"])
            .await
            .contains("TRACKED run")
    );

    // A policy has the whole say: it previews the tracked branch, and tracks nothing.
    let body = "package spacelift\npropose { input.push.branch == input.stack.branch }\nignore { input.push.affected_files[_] == \"docs\" }\n";
    world
        .admin
        .ok(CREATE, new("push", "GIT_PUSH", body, &[]))
        .await;
    world
        .admin
        .ok(ATTACH, json!({ "id": "push", "stack": "net" }))
        .await;
    let head = host.commit("main", "README.md", "more words");
    assert!(
        host.tell("main", &head, &["README.md"])
            .await
            .contains("PROPOSED run")
    );
    let head = host.commit("main", "docs", "docs");
    let outcome = host.tell("main", &head, &["docs"]).await;
    assert_eq!(outcome, "net: nothing started: a push policy says so");
    let head = host.commit("feature", "infra/c", "feature");
    let outcome = host.tell("feature", &head, &["infra/c"]).await;
    assert_eq!(outcome, "net: nothing started: no push policy wants it");
    let bad = host.commit("main", ".spacelift/config.yml", "nonsense: 1");
    let outcome = host.tell("main", &bad, &[]).await;
    assert!(outcome.contains("unknown field `nonsense`"), "{outcome}");
}

const RULES: &str = r#"package spacelift
track { input.push.branch == input.stack.branch; not touched["docs"] }
propose { input.push.branch != input.stack.branch }
notrigger { touched["hold"] }
fail { touched["docs"] }
message["docs are elsewhere"] { fail }
prioritize { input.vcs_integration.provider == "GITHUB"; not input.stack.worker_pool.public; touched.first }
cancel[run.id] { run := input.in_progress[_]; run.type }
flag[f] { touched[path]; f := sprintf("touches:%s", [path]) }
touched[path] { path := input.push.affected_files[_] }
sample { input.request.timestamp_ns > 0 }
"#;

#[tokio::test]
async fn push_policies_say_more_than_which_run() {
    let world = World::new().await;
    world.stack().await;
    let host = Host::new(&world, "GITHUB", json!({})).await;
    let rules = new("push", "GIT_PUSH", RULES, &["autoattach:*"]);
    world.admin.ok(CREATE, rules).await;
    let push = async |branch: &str, path: &str| {
        let head = host.commit(branch, path, path);
        let outcome = host.tell(branch, &head, &[path]).await;
        (head, outcome)
    };
    let state = async |run: &str| {
        let all = host.runs().await;
        all.into_iter().find(|one| one["id"] == run).unwrap()["state"].clone()
    };
    let run_of = |outcome: &str| outcome.rsplit(' ').next().unwrap().to_owned();

    let (_, outcome) = push("feature", "first").await;
    assert!(outcome.starts_with("net: PROPOSED run "), "{outcome}");
    let preview = run_of(&outcome);
    let shown = "query($run:ID!){stack(id: \"net\"){run(id: $run){flags,prioritized}}}";
    let found = world.reader.ok(shown, json!({ "run": preview })).await;
    let expected = json!({ "flags": ["touches:first"], "prioritized": true });
    assert_eq!(found["stack"]["run"], expected);

    // A run makes only others of its type pointless, and only while they wait.
    let (_, outcome) = push("main", "second").await;
    let first = run_of(&outcome);
    let (_, outcome) = push("main", "third").await;
    let second = run_of(&outcome);
    assert_eq!(state(&first).await, "CANCELED");
    assert_eq!(state(&preview).await, "READY");
    world
        .happens(&second, gantry_server::domain::RunEvent::Leased)
        .await;

    // Deployments take what is tracked without a run, also when the branch has more by then.
    let (head, outcome) = push("main", "hold").await;
    let expected = format!("net: nothing started: deployments take {head} from here on");
    assert_eq!(outcome, expected);
    assert_eq!(state(&second).await, "PREPARING", "nothing takes its place");
    let (_, outcome) = push("main", "docs").await;
    let expected = "net: nothing started: no push policy wants it: docs are elsewhere";
    assert_eq!(outcome, expected);
    let run = crate::runs::deploy(&world.writer).await;
    let all = host.runs().await;
    let run = all.iter().find(|one| one["id"] == run.as_str()).unwrap();
    assert_eq!(run["commit"]["hash"], head.as_str());
}

#[tokio::test]
async fn repositories_are_asked_in_turns() {
    let world = World::new().await;
    world.stack().await;
    let host = Host::new(&world, "GIT", json!({ "pollSeconds": 5 })).await;
    // Seen for the first time: nothing starts, and nothing is known of what was before.
    let known = "{stack(id: \"net\"){id}}";
    world.reader.ok(known, json!({})).await;
    until(async || {
        let mut conn = world.app().store.read().await.unwrap();
        let id = "host".parse().unwrap();
        let later = gantry_server::clock::UnixMillis(i64::MAX);
        let polls = gantry_server::store::pushes::due_polls(&mut conn, &id, later).await;
        polls.unwrap().first().filter(|poll| poll.known).map(|_| ())
    })
    .await;
    assert!(host.runs().await.is_empty());
    let head = host.commit("main", "main.tf", "news");
    let run = until(async || host.runs().await.first().cloned()).await;
    assert_eq!(
        (&run["type"], &run["commit"]["hash"]),
        (&json!("TRACKED"), &json!(head))
    );
    let (status, text) = host.send("{}", "d", &host.secret).await;
    assert_eq!(status, 400);
    assert!(text.contains("takes no webhooks"), "{text}");
}

#[tokio::test]
async fn nothing_unproven_malformed_or_too_long_is_taken() {
    let world = World::new().await;
    let head = world.stack().await;
    let host = Host::new(&world, "GITHUB", json!({})).await;
    let body = host.push("main", &head, &[]);
    let (status, text) = host.send(&body, "d", "another secret").await;
    assert_eq!(status, 401);
    assert!(
        text.contains("X-Hub-Signature-256 is missing or wrong"),
        "{text}"
    );
    let (status, text) = host.send("{\"ref\":", "d", &host.secret).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("this is no webhook of GitHub: "), "{text}");
    let long = "x".repeat(6 << 20);
    assert_eq!(host.send(&long, "d", &host.secret).await.0, 413);
    let found = world.reader.ok(PUSHES, json!({})).await;
    assert_eq!(found["vcsIntegration"]["pushes"], json!([]));

    let gone = "mutation{vcsIntegrationDelete(id: \"host\"){id}}";
    world.admin.ok(gone, json!({})).await;
    assert_eq!(host.send(&body, "d", &host.secret).await.0, 404);
    for (client, text) in [(&world.reader, gone), (&world.writer, gone)] {
        let denied = client.refused(text, json!({})).await;
        assert!(denied.starts_with("unauthorized"), "{denied}");
    }
}

#[tokio::test]
async fn tokens_and_prefixes_are_checked_and_never_shown() {
    let world = World::new().await;
    let with = |prefix: &str, token: &str| {
        json!({ "input": { "name": "Host", "vendor": "GITLAB", "urlPrefix": prefix,
            "token": token, "apiUrl": "https://gitlab.example/api/v4/" } })
    };
    for (prefix, token, words) in [
        ("https://gitlab.example", "hunter2", "`urlPrefix` can't be"),
        (
            "https://gitlab.example/",
            "hunter2 hunter3",
            "`token` can't be",
        ),
    ] {
        let refused = world.admin.refused(INTEGRATE, with(prefix, token)).await;
        assert!(refused.starts_with(words), "{refused}");
        assert!(!refused.contains("hunter"), "{refused}");
    }
    let made = world
        .admin
        .ok(INTEGRATE, with("https://gitlab.example/acme/", "hunter2"))
        .await;
    assert!(!made.to_string().contains("hunter2"), "{made}");
    assert_eq!(
        made["vcsIntegrationCreate"]["integration"]["hasToken"],
        true
    );
    let list = "{vcsIntegrations{id,name,space,vendor,urlPrefix,apiUrl,username,hasToken,webhookUrl,pollSeconds,createdAt,updatedAt}}";
    let found = world.reader.ok(list, json!({})).await;
    assert_eq!(
        found["vcsIntegrations"][0]["apiUrl"],
        "https://gitlab.example/api/v4"
    );
    let update = "mutation{vcsIntegrationUpdate(id: \"host\", token: \"\", pollSeconds: 300){hasToken,pollSeconds}}";
    let changed = world.admin.ok(update, json!({})).await;
    assert_eq!(
        changed["vcsIntegrationUpdate"],
        json!({ "hasToken": false, "pollSeconds": 300 })
    );
}
