//! What the host's owner configures for containers, seen from inside and through Docker.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use gantry_test_support::{Docker, Exit, SHORT, World};
use serde_json::json;

use super::CODE;

#[test]
fn every_limit_reaches_the_container() {
    let world = World::builder().keeps_containers().start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("limited", &repo).create();
    let _launcher = world
        .launcher("a")
        .env("GANTRY_RUN_MEMORY_MB", "700")
        .env("GANTRY_RUN_CPUS", "1.5")
        .env("GANTRY_RUN_PIDS", "123")
        .env("GANTRY_RUN_TMP_MB", "77")
        .env("GANTRY_KEEP_CONTAINERS", "true")
        .start();
    stack.bare_task("df -k /tmp | tail -n 1").wait("FINISHED");
    let containers = world.containers();
    let host = &containers[0]["HostConfig"];
    assert_eq!(host["Memory"], json!(700_u64 << 20));
    assert_eq!(host["MemorySwap"], json!(700_u64 << 20));
    assert_eq!(host["NanoCpus"], json!(1_500_000_000_u64));
    assert_eq!(host["PidsLimit"], json!(123));
    let tmp = host["Tmpfs"]["/tmp"].as_str().unwrap();
    assert!(tmp.contains(&format!("size={}", 77_u64 << 20)), "{tmp}");
}

#[test]
fn extra_mounts_reach_the_runs_that_they_are_for() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let srv = world.dir().join("srv");
    for name in ["every", "read", "write"] {
        fs::create_dir_all(srv.join(name)).unwrap();
        fs::set_permissions(srv.join(name), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(srv.join(name).join("name"), name).unwrap();
    }
    symlink("every", srv.join("current")).unwrap();
    let look = "cat /x/*/name; echo; echo mine > /x/every/made; echo mine > /x/read/made; \
        echo mine > /x/write/made; true";
    let stack = world
        .stack("mounts", &repo)
        .option("--before-plan", look)
        .option("--before-apply", look)
        .create();
    let mount = |name: &str, mode: &str| format!("{}/{name}:/x/{name}{mode}", srv.display());
    let _launcher = world
        .launcher("a")
        .env(
            "SPACELIFT_WORKER_EXTRA_MOUNTS",
            &format!("{}/current:/x/every:ro", srv.display()),
        )
        .env("SPACELIFT_WORKER_RO_EXTRA_MOUNTS", &mount("read", ":ro"))
        .env("SPACELIFT_WORKER_WO_EXTRA_MOUNTS", &mount("write", ""))
        .start();
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    run.wait_log("PLANNING", "everyread\n");
    run.confirm();
    run.wait("FINISHED");
    run.wait_log("APPLYING", "everywrite\n");
    assert!(srv.join("write/made").exists());
    for closed in ["every/made", "read/made"] {
        assert!(!srv.join(closed).exists(), "{closed}");
    }
    let task = stack.bare_task("cat /x/*/name; echo");
    task.wait("FINISHED");
    task.wait_log("PERFORMING", "everywrite\n");
    let preview = stack.preview();
    preview.wait("FINISHED");
    preview.wait_log("PLANNING", "everyread\n");
}

#[test]
fn a_mount_that_would_open_the_host_stops_the_launcher() {
    let world = World::start();
    for source in ["/var/run/docker.sock", "/", "/proc", "/nonexistent/gantry"] {
        let mut launcher = world
            .launcher("refused")
            .env("SPACELIFT_WORKER_EXTRA_MOUNTS", &format!("{source}:/x"))
            .spawn();
        assert_eq!(launcher.wait_exit(SHORT), Exit::Code(64), "{source}");
        let log = launcher.log();
        assert!(log.contains("SPACELIFT_WORKER_EXTRA_MOUNTS"), "{log}");
        assert!(log.contains(&format!("`{source}`")), "{log}");
    }
}

#[test]
fn a_pool_without_room_stops_the_launcher() {
    let world = World::start();
    let number = std::process::id() % 256;
    let pool = format!("10.229.{number}.0/28");
    let theirs = format!("gantry-test-{number}");
    Docker.run(&["network", "create", "--subnet", &pool, &theirs]);
    let mut launcher = world
        .launcher("refused")
        .env("GANTRY_NETWORK_POOL", &pool)
        .spawn();
    let exit = launcher.wait_exit(SHORT);
    Docker.run(&["network", "rm", &theirs]);
    let log = launcher.log();
    assert_eq!(exit, Exit::Code(64), "{log}");
    for part in ["GANTRY_NETWORK_POOL", &pool, &theirs] {
        assert!(log.contains(part), "{part}: {log}");
    }
}
