//! Runtimes that the host names: proved by a canary container when the launcher starts.

use std::time::Duration;

use gantry_test_support::{Docker, Exit, Launcher, Program, World};

use super::CODE;

/// A canary has this long to say its word, and a busy machine some more.
const PATIENCE: Duration = Duration::from_secs(120);

fn no_canary_is_left(launcher: &Launcher) {
    let image = format!("gantry-canary:{}", launcher.id().to_lowercase());
    let images = Docker.run(&["images", "--quiet", &image]);
    assert_eq!(images, "", "{image} is left");
}

fn refused(world: &World, runtime: &str) -> String {
    let mut launcher = world
        .launcher("refused")
        .env("SPACELIFT_WORKER_RUNTIME", runtime)
        .spawn();
    let exit = launcher.wait_exit(PATIENCE);
    let log = launcher.log();
    assert_eq!(exit, Exit::Code(64), "{log}");
    no_canary_is_left(&launcher);
    for part in ["SPACELIFT_WORKER_RUNTIME", runtime] {
        assert!(log.contains(part), "{part}: {log}");
    }
    log
}

#[test]
fn a_named_runtime_is_proved_before_any_run() {
    let world = World::builder().keeps_containers().start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("named", &repo).create();
    let mut launcher = world
        .launcher("a")
        .env("SPACELIFT_WORKER_RUNTIME", "runc")
        .env("GANTRY_KEEP_CONTAINERS", "true")
        .start();
    launcher.wait_logged("a canary container reached its launcher");
    stack.preview().wait("FINISHED");
    no_canary_is_left(&launcher);
    let containers = world.containers();
    assert_eq!(containers.len(), 1, "the run's, and no canary's");
    assert_eq!(containers[0]["HostConfig"]["Runtime"], "runc");
}

#[test]
fn a_runtime_that_the_engine_lacks_is_one_clear_error() {
    refused(&World::start(), "gantry-nonexistent");
}

/// gVisor. Its sandbox has a kernel of its own, so what it must show is that runs work at all: `runsc` with
/// `--host-uds=open`, and one clear error with `runsc-closed`, which lets no container connect to a socket of the host.
#[test]
fn runs_work_in_gvisor() {
    if !has_runtime("runsc") {
        return not_run("runsc");
    }
    let world = World::start();
    let repo = world.repo("code");
    let path = repo.work_tree().join("breakout");
    std::fs::copy(Program::Breakout.path(), &path).unwrap();
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("gvisor", &repo)
        .autodeploy()
        .option("--before-plan", "uname -r; dmesg | head -n 3; true")
        .option("--before-plan", "/mnt/workspace/source/breakout; true")
        .create();
    let mut launcher = world
        .launcher("a")
        .env("SPACELIFT_WORKER_RUNTIME", "runsc")
        .start();
    launcher.wait_logged("a canary container reached its launcher");
    let run = stack.deploy();
    run.wait("FINISHED");
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));
    // Namespaces and chroot work there, within the sandbox's own kernel; the worker stays closed.
    let log = run.wait_log("PLANNING", "see-the-engine: refused");
    for closed in [
        "mount",
        "trace-worker",
        "read-worker-memory",
        "raw-socket",
        "become-root",
    ] {
        assert!(
            log.contains(&format!("{closed}: refused")),
            "{closed}:\n{log}"
        );
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(!log.contains(own.trim()), "the host's kernel shows:\n{log}");
}

#[test]
fn a_runtime_that_closes_sockets_is_one_clear_error() {
    if !has_runtime("runsc-closed") {
        return not_run("runsc-closed");
    }
    let log = refused(&World::start(), "runsc-closed");
    assert!(log.contains("--host-uds=open"), "{log}");
}

fn has_runtime(name: &str) -> bool {
    let listed = Docker.run(&[
        "info",
        "--format",
        "{{range $name, $_ := .Runtimes}}{{println $name}}{{end}}",
    ]);
    listed.lines().any(|runtime| runtime == name)
}

#[expect(clippy::print_stderr, reason = "what was not tested is said")]
fn not_run(runtime: &str) {
    eprintln!(
        "NOT RUN: the engine has no runtime `{runtime}` (scripts/test sets it up where it starts dockerd)"
    );
}
