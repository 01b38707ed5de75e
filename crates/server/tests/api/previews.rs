//! Previews of uploaded files, with the operations that clients send: place, upload, run.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use gantry_protocol::{Digest, RunId};
use gantry_server::clock::UnixMillis;
use gantry_server::store::{local_workspaces, run_overrides, runs};
use serde_json::{Value, json};

use crate::world::{Client, World};

const UPLOAD: &str = "mutation($stack:ID!){uploadLocalWorkspace(stack: $stack){id,uploadUrl,uploadHeaders{entries{key,value}}}}";
const PROPOSE: &str = "mutation($environmentVarsOverrides:[EnvironmentVariable!]!$stack:ID!$workspace:ID!){runProposeLocalWorkspace(stack: $stack, workspace: $workspace, environmentVarsOverrides: $environmentVarsOverrides){id}}";

/// A stack that allows previews.
async fn stack(world: &World) {
    world.stack().await;
    stack_on(world).await;
}

async fn place(world: &World) -> (String, String) {
    let made = world.writer.ok(UPLOAD, json!({ "stack": "net" })).await;
    let made = &made["uploadLocalWorkspace"];
    assert!(
        made["uploadHeaders"]["entries"].as_array().is_some(),
        "{made}"
    );
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("uploadUrl"))
}

/// What the client sends: a raw body with its length, and nothing else.
async fn send(url: &str, body: Vec<u8>) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.put(url).body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn propose(workspace: &str, overrides: Value) -> Value {
    json!({ "stack": "net", "workspace": workspace, "environmentVarsOverrides": overrides })
}

struct Packed(tar::Builder<GzEncoder<Vec<u8>>>);

impl Packed {
    fn new() -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        Self(tar::Builder::new(gzip))
    }

    /// Appends an entry whose name is written as it is.
    fn entry(mut self, name: &str, kind: tar::EntryType, target: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

fn code(top: &str) -> Vec<u8> {
    let file = tar::EntryType::Regular;
    let name = format!("{top}/main.tf");
    Packed::new().entry(&name, file, "", b"# nothing\n").bytes()
}

#[tokio::test]
async fn an_upload_becomes_one_proposed_run() {
    let world = World::new().await;
    stack(&world).await;
    let (id, url) = place(&world).await;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(id.chars().all(plain), "{id}");
    assert!(url.starts_with(&world.app().base_url), "{url}");
    let overrides =
        json!([{ "key": "A", "value": "one-secret" }, { "key": "TF_foo", "value": "2" }]);
    let early = world
        .writer
        .refused(PROPOSE, propose(&id, overrides.clone()))
        .await;
    assert!(
        early.contains(&id) && early.contains("upload them again"),
        "{early}"
    );

    let archive = code(&id);
    assert_eq!(send(&url, archive.clone()).await, (201, String::new()));
    let (status, text) = send(&url, archive.clone()).await;
    assert_eq!(status, 409, "{text}");

    let made = world.writer.ok(PROPOSE, propose(&id, overrides)).await;
    let run = made["runProposeLocalWorkspace"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = "query($run:ID!){stack(id: \"net\"){run(id: $run){type,title,localPreview,driftDetection,expired,isMostRecent,canRetry,comments{body,createdAt,username}}}}";
    let shown = world.reader.ok(text, json!({ "run": run })).await["stack"]["run"].clone();
    assert_eq!(
        shown,
        json!({ "type": "PROPOSED", "title": "Local preview of net",
        "localPreview": true, "driftDetection": false, "expired": false, "isMostRecent": true,
        "canRetry": false, "comments": [] })
    );

    let run: RunId = run.parse().unwrap();
    let mut conn = world.app().store.read().await.unwrap();
    let record = runs::get(&mut conn, run).await.unwrap();
    let kept = record.settings.archive.unwrap();
    assert_eq!(
        (kept.digest, kept.bytes),
        (Digest::of(&archive), archive.len() as u64)
    );
    let sealed = run_overrides::list(&mut conn, run).await.unwrap();
    assert_eq!(sealed.len(), 2);
    assert!(
        sealed
            .iter()
            .all(|(_, value)| !value.contains("one-secret"))
    );
    let again = world.writer.refused(PROPOSE, propose(&id, json!([]))).await;
    assert!(again.contains("upload them again"), "{again}");

    // Nobody needs the files once the run has ended.
    let blob = local_workspaces::blob_of(&mut conn, run)
        .await
        .unwrap()
        .unwrap();
    drop(conn);
    world.app().control.upkeep().await.unwrap();
    assert!(world.app().blobs.exists(&blob).await.unwrap());
    let cancel = json!({ "stack": "net", "run": run.to_string() });
    world.writer.ok(crate::runs::CANCEL, cancel.clone()).await;
    world.app().control.upkeep().await.unwrap();
    assert!(!world.app().blobs.exists(&blob).await.unwrap());
    let mut conn = world.app().store.read().await.unwrap();
    assert!(
        run_overrides::list(&mut conn, run)
            .await
            .unwrap()
            .is_empty()
    );
    let retry = "mutation($run:ID!$stack:ID!){runRetry(stack: $stack, run: $run){id}}";
    let gone = world.writer.refused(retry, cancel).await;
    assert!(gone.contains("uploaded files, which are gone"), "{gone}");
}

#[tokio::test]
async fn who_may_not_and_what_is_not() {
    let world = World::new().await;
    world.stack().await;
    let off = world
        .writer
        .refused(UPLOAD, json!({ "stack": "net" }))
        .await;
    assert!(off.contains("`net` allows no local previews"), "{off}");
    stack_on(&world).await;
    for client in [&world.reader, &world.nobody()] {
        client.refused(UPLOAD, json!({ "stack": "net" })).await;
    }
    let (id, url) = place(&world).await;
    let (base, _) = url.split_once('?').unwrap();
    for wrong in [
        base.to_owned(),
        format!("{base}?permission=guessed"),
        url.replace(&id, "01JB8M6Q7N4T0V2X5Y8Z9A1B2C"),
    ] {
        let (status, text) = send(&wrong, code(&id)).await;
        assert!(status == 404 || status == 400, "{wrong}: {status} {text}");
    }
    for (overrides, expected) in [
        (json!([{ "key": "a b", "value": "s3cret" }]), "a b"),
        (json!([{ "key": "A", "value": "s3cret\nx" }]), "one line"),
    ] {
        let refused = world.writer.refused(PROPOSE, propose(&id, overrides)).await;
        assert!(
            refused.contains(expected) && !refused.contains("s3cret"),
            "{refused}"
        );
    }
    let other = world
        .writer
        .refused(PROPOSE, propose("no-such", json!([])))
        .await;
    assert!(other.contains("`no-such`"), "{other}");
    for _ in 1..20 {
        place(&world).await;
    }
    let many = world
        .writer
        .refused(UPLOAD, json!({ "stack": "net" }))
        .await;
    assert!(many.contains("20 uploads"), "{many}");
    let mut conn = world.app().store.read().await.unwrap();
    let now = UnixMillis::now();
    assert!(
        local_workspaces::spent(&mut conn, now.plus(-local_workspaces::KEPT))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        local_workspaces::spent(&mut conn, now.plus(1))
            .await
            .unwrap()
            .len(),
        20
    );
}

async fn stack_on(world: &World) {
    let text = "query($id:ID!){stack(id: $id){repositoryURL,workerPool{id}}}";
    let found = world.reader.ok(text, json!({ "id": "net" })).await["stack"].clone();
    let input = json!({ "name": "Net", "repository": found["repositoryURL"], "branch": "main",
        "workerPool": found["workerPool"]["id"], "localPreviewEnabled": true });
    let text = "mutation($input:StackInput!){stackUpdate(id: \"net\", input: $input){localPreviewEnabled}}";
    world.admin.ok(text, json!({ "input": input })).await;
}

/// The header of a file of 1 GiB of zeros, and the zeros.
fn zeros() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("w/zeros").unwrap();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..1024 {
        gzip.write_all(&piece).unwrap();
    }
    gzip.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_archives_are_refused_while_they_come_in() {
    use tar::EntryType::{Char, Link, Regular, Symlink};
    let world = World::new().await;
    stack(&world).await;
    let one = |name, kind, target| Packed::new().entry(name, kind, target, b"").bytes();
    let long = vec![b'a'; 70_000];
    let name = tar::EntryType::GNULongName;
    let cases = [
        (one("w/../../x", Regular, ""), "segments"),
        (one("/etc/x", Regular, ""), "absolute"),
        (one("w/l", Symlink, "../../x"), "link that leaves"),
        (one("w/l", Symlink, "/etc/passwd"), "link that leaves"),
        (one("w/l", Link, "w/x"), "neither file"),
        (one("w/d", Char, ""), "neither file"),
        (Packed::new().entry("n", name, "", &long).bytes(), "64 KiB"),
        (Packed::new().bytes(), "empty"),
        (b"not an archive".to_vec(), "no gzip"),
        (code("w")[..60].to_vec(), "no gzip"),
        (zeros(), "512 MiB"),
    ];
    for (archive, expected) in cases {
        let (_, url) = place(&world).await;
        let began = std::time::Instant::now();
        let (status, text) = send(&url, archive).await;
        assert_eq!(status, 422, "{expected}: {text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(began.elapsed().as_secs() < 20, "{expected}");
        // Nothing is kept of it, and the place is still free for a good one.
        assert_eq!(send(&url, code("w")).await.0, 201, "{expected}");
    }
}

/// Clients of before there were headers.
#[tokio::test]
async fn the_older_operation_works_too() {
    let world = World::new().await;
    stack(&world).await;
    let text = "mutation($stack:ID!){uploadLocalWorkspace(stack: $stack){id,uploadUrl}}";
    let made: Value = Client::ok(&world.writer, text, json!({ "stack": "net" })).await;
    assert!(made["uploadLocalWorkspace"]["uploadUrl"].is_string());
}
