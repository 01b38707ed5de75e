//! Tools from a mirror: what is believed, what is refused, what is kept.
//!
//! Takes archives signed by real keys, served from a directory or a web server. Never: a refusal that leaves a
//! file behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gantry_launcher::machine::Machine;
use gantry_launcher::tool::{Keys, Mirror, ReadyTool, ToolError, ToolName, Tools};
use gantry_launcher::workspace::BinaryStore;
use gantry_protocol::Digest;
use gantry_protocol::payload::ToolKind;
use gantry_test_support::{KeyRing, WebServer, sum_line, zip_of};
use tempfile::TempDir;

/// What stands in the place of a tool's executable: nothing here runs it.
const TOOL: &[u8] = b"\x7fELF and so on";

/// A key ring and the fingerprint of its key.
pub(super) type Publisher = (KeyRing, String);

/// One for all tests that run at the same time, since making keys takes long; it ends with the last of them.
pub(super) fn publisher() -> Arc<Publisher> {
    static SHARED: Mutex<Weak<Publisher>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(publisher) = shared.upgrade() {
        return publisher;
    }
    let ring = KeyRing::new();
    let key = ring.generate("publisher", "ed25519", "sign,cert", "2y", "");
    let made = Arc::new((ring, key));
    *shared = Arc::downgrade(&made);
    made
}

pub(super) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => panic!("no name for {other}"),
    }
}

/// A mirror's directory, a data directory, a key file.
struct World {
    temp: TempDir,
    publisher: Arc<Publisher>,
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for dir in ["mirror", "data"] {
            fs::create_dir(temp.path().join(dir)).unwrap();
        }
        let publisher = publisher();
        let (ring, key) = &*publisher;
        fs::write(temp.path().join("key"), ring.export(key, true)).unwrap();
        Self { temp, publisher }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Publishes `archive` as Terraform of that version, signed.
    fn publish(&self, version: &str, archive: &[u8]) -> PathBuf {
        let name = format!("terraform_{version}_linux_{}.zip", arch());
        let dir = self.publish_sums(version, &sum_line(&name, archive));
        fs::write(dir.join(name), archive).unwrap();
        dir
    }

    fn publish_sums(&self, version: &str, sums: &str) -> PathBuf {
        let dir = self.path("mirror/terraform").join(version);
        fs::create_dir_all(&dir).unwrap();
        let (ring, key) = &*self.publisher;
        let file = dir.join(format!("terraform_{version}_SHA256SUMS"));
        fs::write(&file, sums).unwrap();
        fs::write(
            file.with_extension(format!("{}_SHA256SUMS.sig", last(version))),
            ring.sign(key, sums.as_bytes(), ""),
        )
        .unwrap();
        dir
    }

    fn tools(&self, mirror: &str) -> Arc<Tools> {
        let keys = Keys::load(&[self.path("key")]).unwrap();
        self.tools_with(keys, mirror)
    }

    fn tools_with(&self, keys: Keys, mirror: &str) -> Arc<Tools> {
        let store = BinaryStore::tools(&self.path("data")).unwrap();
        let mirror = Mirror::parse(mirror).unwrap();
        Arc::new(Tools::new(
            keys,
            mirror,
            gantry_net::Outside::default(),
            store,
            Machine::own(),
        ))
    }

    fn by_directory(&self) -> Arc<Tools> {
        self.tools(self.path("mirror").to_str().unwrap())
    }

    /// Names of what is kept.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("data/tools")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// What stands behind the last dot of a version.
fn last(version: &str) -> &str {
    version.rsplit('.').next().unwrap()
}

fn terraform(version: &str) -> ToolName {
    ToolName::parse(ToolKind::Terraform, version).unwrap()
}

async fn ready(tools: &Arc<Tools>, version: &str) -> Result<ReadyTool, ToolError> {
    tools.ready(&terraform(version), None).await
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_signed_tool_is_kept_and_needs_no_mirror_afterwards() {
    let world = World::new();
    world.publish(
        "1.2.3",
        &zip_of(&[("LICENSE.txt", b"l"), ("terraform", TOOL)]),
    );
    let web = WebServer::start(&world.path("mirror"));
    let tools = world.tools(&web.url());
    let tool = ready(&tools, "1.2.3").await.unwrap();
    assert_eq!(fs::read(&tool.path).unwrap(), TOOL);
    assert_eq!(
        (tool.digest, &tool.signer),
        (Digest::of(TOOL), &world.publisher.1)
    );
    assert!(tool.path.starts_with(world.path("data/tools")));
    assert_eq!(
        world.kept().len(),
        2,
        "executable and record: {:?}",
        world.kept()
    );

    fs::remove_dir_all(world.path("mirror")).unwrap();
    assert_eq!(ready(&tools, "1.2.3").await.unwrap(), tool);
    let gone = web.url();
    drop(web);
    let after_restart = world.tools(&gone);
    assert_eq!(ready(&after_restart, "1.2.3").await.unwrap(), tool);
    let text = told(&ready(&after_restart, "1.2.4").await.unwrap_err());
    for part in ["Terraform 1.2.4", "GANTRY_TOOL_MIRROR", "can't be reached"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_kept_tool_counts_as_long_as_its_key_does() {
    let world = World::new();
    world.publish("1.2.3", &zip_of(&[("terraform", TOOL)]));
    ready(&world.by_directory(), "1.2.3").await.unwrap();
    let mirror = world.path("mirror").display().to_string();
    let error = ready(&world.tools_with(Keys::default(), &mirror), "1.2.3").await;
    assert!(matches!(error, Err(ToolError::NoKeys { .. })), "{error:?}");
    let (ring, other) = super::tool_keys::other();
    fs::write(world.path("key"), ring.export(&other, false)).unwrap();
    let error = ready(&world.by_directory(), "1.2.3").await;
    assert!(
        matches!(error, Err(ToolError::Signature { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_kept_tool_that_was_changed_is_fetched_again() {
    let world = World::new();
    world.publish("1.2.3", &zip_of(&[("terraform", TOOL)]));
    let tools = world.by_directory();
    let tool = ready(&tools, "1.2.3").await.unwrap();
    fs::remove_file(&tool.path).unwrap();
    fs::write(&tool.path, b"\x7fELF but another").unwrap();
    assert_eq!(ready(&tools, "1.2.3").await.unwrap(), tool);
    assert_eq!(fs::read(&tool.path).unwrap(), TOOL);
    fs::remove_dir_all(world.path("mirror")).unwrap();
    fs::remove_file(&tool.path).unwrap();
    fs::write(&tool.path, b"\x7fELF but another").unwrap();
    let error = ready(&tools, "1.2.3").await;
    assert!(matches!(error, Err(ToolError::Fetch { .. })), "{error:?}");
}

/// Every refusal names the tool and leaves nothing.
async fn refused(world: &World, version: &str, parts: &[&str]) {
    let error = ready(&world.by_directory(), version).await.unwrap_err();
    let text = told(&error);
    for part in parts.iter().chain([&version]) {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert_eq!(world.kept(), [""; 0], "{text}");
}

#[tokio::test]
async fn what_is_not_as_signed_is_refused() {
    let world = World::new();
    let good = zip_of(&[("terraform", TOOL)]);
    let name = |version: &str| format!("terraform_{version}_linux_{}.zip", arch());

    let dir = world.publish("1.0.1", &good);
    fs::write(
        dir.join("terraform_1.0.1_SHA256SUMS"),
        sum_line(&name("1.0.1"), b"x"),
    )
    .unwrap();
    refused(
        &world,
        "1.0.1",
        &["not made by it over these checksums", &world.publisher.1],
    )
    .await;

    let dir = world.publish("1.0.2", &good);
    fs::write(dir.join("terraform_1.0.2_SHA256SUMS.sig"), b"no signature").unwrap();
    refused(&world, "1.0.2", &["not an OpenPGP"]).await;

    let dir = world.publish("1.0.3", &good);
    fs::write(
        dir.join(name("1.0.3")),
        zip_of(&[("terraform", b"another")]),
    )
    .unwrap();
    refused(&world, "1.0.3", &["hashes to", "the signed checksums"]).await;

    let other = format!("terraform_1.0.4_linux_{}.zip", "s390x");
    world.publish_sums("1.0.4", &sum_line(&other, &good));
    refused(
        &world,
        "1.0.4",
        &["do not list", &name("1.0.4"), "architecture"],
    )
    .await;

    let dir = world.publish("1.0.5", &good);
    fs::remove_file(dir.join(name("1.0.5"))).unwrap();
    refused(&world, "1.0.5", &["does not exist", &name("1.0.5")]).await;

    refused(
        &world,
        "9.9.9",
        &["does not exist", "terraform_9.9.9_SHA256SUMS"],
    )
    .await;
}

#[tokio::test]
async fn archives_that_are_no_archives_of_a_tool_are_refused() {
    let world = World::new();
    let rows: [(&str, Vec<u8>, &str); 4] = [
        (
            "1.1.1",
            zip_of(&[("../../terraform", TOOL), ("../evil", b"x")]),
            "holds no file `terraform`",
        ),
        (
            "1.1.2",
            zip_of(&[("sub/terraform", TOOL)]),
            "holds no file `terraform`",
        ),
        ("1.1.3", b"PK but no more".to_vec(), "is not a zip archive"),
        ("1.1.4", claiming_a_terabyte(), "larger than 512 MiB"),
    ];
    for (version, archive, part) in rows {
        world.publish(version, &archive);
        refused(&world, version, &[part]).await;
    }
    assert!(!world.path("evil").exists() && !world.path("data/evil").exists());
    world.publish_sums("1.1.5", &"x".repeat(2 << 20));
    refused(&world, "1.1.5", &["larger than 1048576 bytes"]).await;
}

/// An archive whose directory says that the tool is as large as a 32-bit size can be.
fn claiming_a_terabyte() -> Vec<u8> {
    let mut archive = zip_of(&[("terraform", TOOL)]);
    let central = archive
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    archive[central + 24..central + 28].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    archive
}

#[tokio::test]
async fn requests_at_the_same_time_download_once() {
    let world = World::new();
    world.publish("1.2.3", &zip_of(&[("terraform", TOOL)]));
    let web = WebServer::start(&world.path("mirror"));
    let tools = world.tools(&web.url());
    let name = terraform("1.2.3");
    let wanted = (0..8).map(|_| tools.ready(&name, None));
    for tool in futures_util::future::join_all(wanted).await {
        assert_eq!(tool.unwrap().digest, Digest::of(TOOL));
    }
    assert_eq!(web.seen().len(), 3, "{:?}", web.seen());
}

#[tokio::test]
async fn an_apply_gets_what_planned_or_nothing() {
    let world = World::new();
    world.publish("1.2.3", &zip_of(&[("terraform", TOOL)]));
    let tools = world.by_directory();
    let name = terraform("1.2.3");
    let planned = Digest::of(TOOL);
    assert_eq!(
        tools.ready(&name, Some(planned)).await.unwrap().digest,
        planned
    );
    let other = Digest::of(b"other");
    let text = told(&tools.ready(&name, Some(other)).await.unwrap_err());
    assert!(
        text.contains("plan again") && text.contains(&other.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn redirects_are_followed_within_bounds() {
    let world = World::new();
    let archive = zip_of(&[("terraform", TOOL)]);
    world.publish("1.2.3", &archive);
    let web = WebServer::start(&world.path("mirror"));
    let path = format!("/terraform/1.2.3/terraform_1.2.3_linux_{}.zip", arch());
    let objects = WebServer::start(&world.path("objects"));
    fs::create_dir(world.path("objects")).unwrap();
    fs::write(world.path("objects/by-hash"), &archive).unwrap();
    web.redirect(&path, "/elsewhere");
    web.redirect("/elsewhere", &format!("{}/by-hash", objects.url()));
    let tools = world.tools(&web.url());
    assert_eq!(
        ready(&tools, "1.2.3").await.unwrap().digest,
        Digest::of(TOOL)
    );
    assert_eq!(objects.seen(), ["/by-hash"]);

    let sums = "/terraform/1.2.4/terraform_1.2.4_SHA256SUMS";
    for (target, part) in [
        (sums, "too often"),
        ("http://mirror.example.org/x", "not encrypted"),
        ("file:///etc/passwd", "without https"),
        ("https://user:pw@mirror.example.org/x", "credentials"),
    ] {
        web.redirect(sums, target);
        let text = told(&ready(&tools, "1.2.4").await.unwrap_err());
        assert!(
            text.contains(part) && !text.contains("pw@"),
            "{target}: {text}"
        );
    }
}

#[tokio::test]
async fn a_mirror_with_a_private_ca_is_reached() {
    let world = World::new();
    world.publish("1.2.3", &zip_of(&[("terraform", TOOL)]));
    let site = https(&world.path("mirror"), &world.path("tls"));
    let store = || BinaryStore::tools(&world.path("data")).unwrap();
    let keys = || Keys::load(&[world.path("key")]).unwrap();
    let mirror = || Mirror::parse(&site.url).unwrap();
    let stranger = Arc::new(Tools::new(
        keys(),
        mirror(),
        gantry_net::Outside::default(),
        store(),
        Machine::own(),
    ));
    let text = told(&ready(&stranger, "1.2.3").await.unwrap_err());
    assert!(text.contains("certificate"), "{text}");
    let pem = site.ca.clone();
    let origin = "ca.pem".to_owned();
    let outside = gantry_net::Outside {
        roots: vec![gantry_net::NamedPem { origin, pem }],
        ..gantry_net::Outside::default()
    };
    let friend = Arc::new(Tools::new(
        keys(),
        mirror(),
        outside,
        store(),
        Machine::own(),
    ));
    assert_eq!(
        ready(&friend, "1.2.3").await.unwrap().digest,
        Digest::of(TOOL)
    );
}

/// `openssl s_server`, which serves the files below its directory.
struct Site {
    child: std::process::Child,
    url: String,
    ca: Vec<u8>,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn https(root: &Path, keep: &Path) -> Site {
    fs::create_dir(keep).unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(keep.join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(keep.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let child = std::process::Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-WWW",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .arg("-cert")
        .arg(keep.join("cert.pem"))
        .arg("-key")
        .arg(keep.join("key.pem"))
        .current_dir(root)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl");
    super::world::wait_until("the web server listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Site {
        child,
        url: format!("https://127.0.0.1:{port}"),
        ca: key.cert.pem().into_bytes(),
    }
}
