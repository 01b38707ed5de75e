//! Providers without a registry: baked into an image, in a mirror of the host's, kept from earlier runs.
//!
//! Takes a real provider, built by Go from its published module. Never: a provider that was only pretended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use gantry_test_support::{World, find_program, zip_of};

use super::runner_images::Built;

/// The module, which is also the provider's name in the registry.
const MODULE: &str = "github.com/hashicorp/terraform-provider-time";
/// Old enough for the Go of Debian 12.
const VERSION: &str = "0.9.1";

/// The executable, built once and kept in the build directory of the tests.
static PROVIDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = std::env::current_exe().unwrap();
    let root = exe.ancestors().nth(2).unwrap().join("it-providers");
    let built = root.join(format!("terraform-provider-time_v{VERSION}"));
    if built.is_file() {
        return built;
    }
    fs::create_dir_all(&root).unwrap();
    let module = tempfile::tempdir().unwrap();
    go(module.path(), &["mod", "init", "it"]);
    go(module.path(), &["get", &format!("{MODULE}@v{VERSION}")]);
    let half = root.join("half");
    let out = half.to_str().unwrap();
    go(
        module.path(),
        &["build", "-trimpath", "-ldflags=-s -w", "-o", out, MODULE],
    );
    fs::rename(&half, &built).unwrap();
    built
});

fn go(directory: &Path, args: &[&str]) {
    let local = Path::new("/usr/local/go/bin/go");
    let go = if local.is_file() {
        local.to_owned()
    } else {
        find_program("go", "golang-go")
    };
    let ended = Command::new(go)
        .args(args)
        .current_dir(directory)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .output()
        .expect("run go");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "go {args:?}: {said}");
}

fn platform() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "linux_amd64"
    } else {
        "linux_arm64"
    }
}

/// Code with one resource of the provider.
fn code(source: &str, version: &str) -> String {
    format!(
        "terraform {{\n  required_providers {{\n    time = {{\n      source  = \"{source}\"\n      version = \"{version}\"\n    }}\n  }}\n}}\n\
         resource \"time_static\" \"it\" {{ rfc3339 = \"2020-02-12T06:36:13Z\" }}\n\
         output \"year\" {{ value = time_static.it.year }}\n"
    )
}

#[test]
fn a_provider_in_the_images_plugins_plans_and_applies() {
    let world = World::start();
    let busybox = world.images().busybox.tag.clone();
    let args = [("RUNNER", busybox.as_str()), ("PLATFORM", platform())];
    let files = [("terraform-provider-acme", PROVIDER.as_path())];
    let tag = format!("{}/it/plugins:1", world.registry());
    let image = Built::documented("with-plugin", &tag, &args, &files);
    image.push();
    let repo = world.repo("code");
    let code = code("terraform.example.com/acme/acme", "1.0.0");
    repo.commit(&[("main.tf", &code)]);
    let stack = world
        .stack("plugins", &repo)
        .option("--runner-image", &image.tag)
        .create();
    let mut first = world.launcher("a").start();
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    run.wait_log(
        "INITIALIZING",
        "copied into the workspace, for the apply: 1",
    );
    // The apply is restored on another host, in a container that has not seen the init.
    first.drain();
    let _second = world.launcher("b").start();
    run.confirm();
    run.wait("FINISHED");
    assert_eq!(stack.output("year").as_deref(), Some("2020"));
}

#[test]
fn a_hosts_mirror_is_all_that_runs_get_and_what_they_got_is_kept() {
    let world = World::start();
    let source = "registry.terraform.io/hashicorp/time";
    let packed = world.dir().join("providers").join(source);
    fs::create_dir_all(&packed).unwrap();
    let name = format!("terraform-provider-time_v{VERSION}");
    let archive = zip_of(&[(&name, &fs::read(&*PROVIDER).unwrap())]);
    let archive_name = format!("terraform-provider-time_{VERSION}_{}.zip", platform());
    let archive_path = packed.join(archive_name);
    fs::write(&archive_path, archive).unwrap();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", &code("hashicorp/time", VERSION))]);
    let offline = |name: &str| {
        let mirror = world.dir().join("providers");
        world
            .launcher(name)
            .env("SPACELIFT_WORKER_NETWORK", "none")
            .env("GANTRY_PROVIDER_CACHE", "true")
            .env("GANTRY_PROVIDER_MIRROR", mirror.to_str().unwrap())
    };
    let stack = world.stack("mirror", &repo).autodeploy().create();
    let mut launcher = offline("a").start();
    let run = stack.deploy();
    run.wait("FINISHED");
    assert_eq!(stack.output("year").as_deref(), Some("2020"));
    run.wait_log("INITIALIZING", "providers come from this host's mirror");
    assert!(
        run.all_logs().contains("Providers kept for later runs: 1"),
        "{}",
        run.all_logs()
    );
    let lock = stack.task("cat .terraform.lock.hcl | sed 's/^/LOCK /'");
    lock.wait("FINISHED");
    let log = lock.wait_log("PERFORMING", "LOCK }");
    launcher.drain();

    // The mirror now holds other bytes under that version: a run that pins the first ones can't have them from there.
    let other = [&fs::read(&*PROVIDER).unwrap()[..], b"more"].concat();
    fs::write(&archive_path, zip_of(&[(&name, &other)])).unwrap();
    let pinned = log.lines().filter_map(|line| line.strip_prefix("LOCK "));
    let pinned: Vec<&str> = pinned.collect();
    repo.commit(&[
        ("main.tf", &code("hashicorp/time", VERSION)),
        (".terraform.lock.hcl", &pinned.join("\n")),
    ]);
    let mut fresh = offline("b").start();
    let without = stack.deploy();
    without.wait("FAILED");
    without.wait_log("INITIALIZING", "checksums");
    fresh.drain();
    let _kept = offline("a").start();
    let with = stack.deploy();
    with.wait("FINISHED");
    with.wait_log("PREPARING", &format!("hashicorp/time {VERSION}"));
    with.wait_log("INITIALIZING", "previously-installed hashicorp/time");
}
