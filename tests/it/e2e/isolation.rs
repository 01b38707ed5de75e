//! What Docker shows of a run's container.

use gantry_test_support::World;
use serde_json::{Value, json};

use super::CODE;

const SECRET: &str = "the-secret-that-docker-must-not-see";

#[test]
fn a_runs_container_shows_no_secret_and_has_no_rights() {
    let world = World::builder().keeps_containers().start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("isolated", &repo)
        .autodeploy()
        .env("PLAIN", "plain-value-of-the-stack")
        .secret("PASSWORD", SECRET)
        .option(
            "--before-plan",
            "echo hook-text-of-the-stack; test -n \"$PASSWORD\"",
        )
        .create();
    let launcher = world
        .launcher("a")
        .env("GANTRY_KEEP_CONTAINERS", "true")
        .start();
    let run = stack.deploy();
    let seen = run.wait("FINISHED");

    let containers = world.containers();
    assert_eq!(containers.len(), 1, "one container for the run");
    let container = &containers[0];
    let everything = container.to_string();
    let pool = world.pool();
    let key_line = pool.key_pem.lines().nth(1).unwrap();
    for hidden in [
        SECRET,
        "plain-value-of-the-stack",
        "hook-text-of-the-stack",
        &pool.token,
        key_line,
    ] {
        assert!(
            !everything.contains(hidden),
            "docker inspect shows `{hidden}`:\n{container:#}"
        );
    }
    assert_eq!(container["Name"], json!(format!("/gantry-{}-1", run.id())));
    assert_eq!(container["Config"]["Image"], json!(seen.image));
    assert!(seen.image.contains("@sha256:"), "{}", seen.image);
    assert_eq!(
        container["Config"]["Labels"]["gantry.launcher"],
        json!(launcher.id())
    );
    check_rights(container);
    check_mounts(container, &world);
}

fn check_rights(container: &Value) {
    let host = &container["HostConfig"];
    assert_eq!(container["Config"]["User"], json!("1983:1983"));
    assert_eq!(host["Privileged"], json!(false));
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert!(
        host["CapAdd"].as_array().is_none_or(Vec::is_empty),
        "{host:#}"
    );
    assert_eq!(host["ReadonlyRootfs"], json!(true));
    let security: Vec<_> = host["SecurityOpt"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    assert!(
        security
            .iter()
            .any(|option| option.contains("no-new-privileges")),
        "{security:?}"
    );
    assert!(
        !security.iter().any(|option| option.contains("unconfined")),
        "{security:?}"
    );
    assert_eq!(host["Memory"], json!(2048_u64 << 20));
    assert_eq!(host["PidsLimit"], json!(1024));
    assert_eq!(host["NanoCpus"], json!(2_000_000_000_u64));
    for namespace in ["NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"] {
        let mode = host[namespace].as_str().unwrap_or_default();
        let shared = mode == "host" || mode == "shareable" || mode.starts_with("container:");
        assert!(!shared, "{namespace} is `{mode}`");
    }
    for empty in [
        "Devices",
        "DeviceRequests",
        "Binds",
        "VolumesFrom",
        "PortBindings",
        "ExtraHosts",
    ] {
        let value = &host[empty];
        let none = value.is_null() || *value == json!([]) || *value == json!({});
        assert!(none, "{empty} is {value}");
    }
}

fn check_mounts(container: &Value, world: &World) {
    let mounts = container["Mounts"].as_array().unwrap();
    let mut targets: Vec<_> = mounts
        .iter()
        .map(|mount| mount["Destination"].as_str().unwrap())
        .collect();
    targets.sort_unstable();
    let own = [
        "/gantry/bin/worker",
        "/gantry/io",
        "/gantry/spool",
        "/mnt/workspace",
    ];
    assert_eq!(
        targets, own,
        "nothing of the host but the run's own directories"
    );
    for mount in mounts {
        let (source, target) = (
            mount["Source"].as_str().unwrap(),
            mount["Destination"].as_str().unwrap(),
        );
        assert!(
            std::path::Path::new(source).starts_with(world.dir()),
            "{target} comes from {source}"
        );
        assert!(!source.contains("docker.sock"), "{source}");
        let writable = matches!(target, "/gantry/spool" | "/mnt/workspace");
        assert_eq!(mount["RW"], json!(writable), "{target}");
    }
}
