//! The doctor on a host that is ready, and on hosts that are not.

use std::sync::{Mutex, PoisonError};

use gantry_test_support::{Docker, World};
use serde_json::Value;

/// One test at a time: a doctor's containers can't be told from those of another doctor that is at work.
static ALONE: Mutex<()> = Mutex::new(());

fn lines(answer: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(answer).expect("JSON");
    report["lines"].as_array().expect("lines").clone()
}

fn verdict<'a>(lines: &'a [Value], check: &str) -> &'a str {
    let line = lines.iter().find(|line| line["check"] == check);
    line.and_then(|line| line["verdict"].as_str())
        .unwrap_or_else(|| panic!("no line about {check} in {lines:#?}"))
}

#[test]
fn a_host_that_is_ready() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::start();
    let doctor = world.launcher("a").env("GANTRY_MIN_FREE_DISK_MB", "1");
    let (code, answer) = doctor.ask(&["doctor", "--json"]);
    let lines = lines(&answer);
    assert_eq!(code, 0, "{answer}");
    for check in [
        "configuration",
        "token and key",
        "server",
        "clock",
        "docker",
        "cgroups",
        "runtime",
        "network",
        "runs apart",
        "data directory",
        "docker's directory",
        "git",
        "worker",
        "registry",
        "default image",
        "container",
        "metadata address",
    ] {
        let verdict = verdict(&lines, check);
        assert!(
            matches!(verdict, "ok" | "warning"),
            "{check}: {verdict} in {answer}"
        );
    }
    let left =
        Docker::answering().run(&["ps", "--all", "--filter", "name=gantry-doctor-", "--quiet"]);
    assert_eq!(left.trim(), "", "the doctor leaves nothing behind");
    let (code, text) = doctor.ask(&["doctor"]);
    assert_eq!(code, 0);
    assert!(text.contains("ok    token and key"), "{text}");
    let secret = &world.pool().token;
    assert!(!text.contains(secret.as_str()) && !answer.contains(secret.as_str()));
}

#[test]
fn hosts_that_are_not() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::start();
    let other = world.other_pool("other");
    for (name, value, check) in [
        (
            "SPACELIFT_POOL_PRIVATE_KEY",
            other.key_base64(),
            "token and key",
        ),
        (
            "DOCKER_HOST",
            "unix:///nowhere/docker.sock".to_owned(),
            "docker",
        ),
        ("SPACELIFT_WORKER_RUNTIME", "kata".to_owned(), "runtime"),
        (
            "SPACELIFT_WORKER_NETWORK",
            "no-such-network".to_owned(),
            "network",
        ),
        (
            "GANTRY_MIN_FREE_DISK_MB",
            "1000000000".to_owned(),
            "data directory",
        ),
        (
            "SPACELIFT_DEFAULT_RUNNER_IMAGE",
            "evil.example/runner:1".to_owned(),
            "default image",
        ),
        (
            "GANTRY_SSH_KNOWN_HOSTS",
            "/nowhere/known_hosts".to_owned(),
            "source",
        ),
        ("GANTRY_CAPACITY", "many".to_owned(), "configuration"),
    ] {
        let doctor = world
            .launcher("a")
            .env("GANTRY_MIN_FREE_DISK_MB", "1")
            .env(name, &value);
        let (code, answer) = doctor.ask(&["doctor", "--json"]);
        assert_eq!(code, 1, "{name}: {answer}");
        assert_eq!(
            verdict(&lines(&answer), check),
            "failed",
            "{name}: {answer}"
        );
    }
}
