//! Runs with a tool that the host brings: the real Terraform from a mirror, signed by a real key.
//!
//! Takes a world with a mirror, gives runs. Never: a run that executes what nobody signed for.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use gantry_test_support::{KeyRing, LauncherBuilder, World, find_program, sum_line, zip_of};

use super::CODE;

/// A publisher's site in a world's directory.
struct Site {
    ring: KeyRing,
    key: String,
    root: PathBuf,
    keys: PathBuf,
}

impl Site {
    fn new(world: &World) -> Self {
        let ring = KeyRing::new();
        let key = ring.generate("publisher", "ed25519", "sign,cert", "1y", "");
        let (root, keys) = (
            world.dir().join("mirror"),
            world.dir().join("publisher.asc"),
        );
        fs::write(&keys, ring.export(&key, true)).unwrap();
        Self {
            ring,
            key,
            root,
            keys,
        }
    }

    /// Publishes this host's Terraform as `version`.
    fn publish(&self, version: &str) {
        let program = find_program("terraform", "terraform");
        let archive = zip_of(&[("terraform", &fs::read(program).unwrap())]);
        let arch = if cfg!(target_arch = "x86_64") {
            "amd64"
        } else {
            "arm64"
        };
        let name = format!("terraform_{version}_linux_{arch}.zip");
        let sums = sum_line(&name, &archive);
        let dir = self.root.join("terraform").join(version);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), archive).unwrap();
        let sums_name = format!("terraform_{version}_SHA256SUMS");
        let signature = self.ring.sign(&self.key, sums.as_bytes(), "");
        fs::write(dir.join(format!("{sums_name}.sig")), signature).unwrap();
        fs::write(dir.join(sums_name), sums).unwrap();
    }

    fn used_by(&self, launcher: LauncherBuilder) -> LauncherBuilder {
        launcher
            .env("GANTRY_TOOL_KEYS", self.keys.to_str().unwrap())
            .env("GANTRY_TOOL_MIRROR", self.root.to_str().unwrap())
    }
}

/// The version of this host's Terraform, which is also the test image's.
fn installed() -> String {
    let program = find_program("terraform", "terraform");
    let said = Command::new(program).arg("version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let first = said.lines().next().unwrap_or_default();
    first.strip_prefix("Terraform v").unwrap().to_owned()
}

#[test]
fn a_plan_and_its_apply_use_the_tool_that_the_host_brings() {
    let world = World::start();
    let site = Site::new(&world);
    let version = installed();
    site.publish(&version);
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("brought", &repo)
        .option("--tool-version", &version)
        .option("--before-plan", "command -v terraform")
        .create();
    let mut first = site.used_by(world.launcher("a")).start();
    assert!(
        first.log().contains(&site.key),
        "the key's fingerprint is logged: {}",
        first.log()
    );
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    let from =
        format!("Terraform v{version} from the host's verified store (/gantry/tool/terraform)");
    run.wait_log("INITIALIZING", &from);
    run.wait_log("PLANNING", "/gantry/tool/terraform");
    run.wait_log("PREPARING", &format!("signed for by key {}", site.key));

    // The apply goes to a host that has not had it yet.
    first.drain();
    let _second = site.used_by(world.launcher("b")).start();
    run.confirm();
    run.wait("FINISHED");
    run.wait_log("APPLYING", &from);
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));

    // The mirror is away: what was verified serves on.
    fs::rename(&site.root, world.dir().join("away")).unwrap();
    stack.deploy().wait("FINISHED");
}

#[test]
fn an_apply_gets_its_plans_tool_or_none() {
    let world = World::start();
    let site = Site::new(&world);
    let version = installed();
    site.publish(&version);
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("planned", &repo)
        .option("--tool-version", &version)
        .create();
    let mut first = site.used_by(world.launcher("a")).start();
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    first.drain();
    // The image has that version too, but it is not what planned.
    let _second = world.launcher("b").start();
    run.confirm();
    let seen = run.wait("FAILED");
    assert_eq!(seen.times("APPLYING"), 0);
    assert!(
        seen.reasons().contains("GANTRY_TOOL_KEYS"),
        "{}",
        seen.reasons()
    );
}

#[test]
fn without_keys_the_image_serves_its_own_version_and_no_other() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let version = installed();
    let _launcher = world.launcher("a").start();
    let own = world
        .stack("own", &repo)
        .autodeploy()
        .option("--tool-version", &version)
        .create();
    let run = own.deploy();
    run.wait("FINISHED");
    run.wait_log(
        "INITIALIZING",
        &format!("Terraform v{version} from the image"),
    );

    let rows: [(&str, &str, &[&str]); 2] = [
        ("other", "1.0.11", &["1.0.11", &version, "GANTRY_TOOL_KEYS"]),
        ("range", "~> 1.5", &["`~> 1.5`", "exact version"]),
    ];
    for (id, asked, parts) in rows {
        let stack = world
            .stack(id, &repo)
            .option("--tool-version", asked)
            .create();
        let run = stack.deploy();
        let seen = run.wait("FAILED");
        let told = format!("{}\n{}", seen.reasons(), run.all_logs());
        for part in parts {
            assert!(seen.reasons().contains(part), "no `{part}`:\n{told}");
        }
        assert_eq!(seen.times("PLANNING"), 0, "{told}");
    }
}

#[test]
fn a_tool_that_nobody_trusted_signed_is_never_started() {
    let world = World::start();
    let site = Site::new(&world);
    let version = installed();
    site.publish(&version);
    let stranger = KeyRing::new();
    let key = stranger.generate("stranger", "ed25519", "sign,cert", "1y", "");
    fs::write(&site.keys, stranger.export(&key, true)).unwrap();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("stranger", &repo)
        .option("--tool-version", &version)
        .create();
    let launcher = site.used_by(world.launcher("a")).start();
    let run = stack.deploy();
    let seen = run.wait("FAILED");
    for part in [&version, &site.key, "GANTRY_TOOL_KEYS"] {
        assert!(seen.reasons().contains(part), "{}", seen.reasons());
    }
    assert_eq!(seen.times("INITIALIZING"), 0);
    let kept = fs::read_dir(launcher.data_dir().join("tools")).unwrap();
    assert_eq!(kept.count(), 0);
}
