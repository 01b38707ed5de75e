//! What the host's owner hands to runs: variables by phase, hidden values, mounts by class.

use gantry_test_support::{Launcher, World};

use super::CODE;

/// Prints what a phase sees.
const SHOW: &str = "echo \"region=$REGION key=$KEY role=$ROLE none=${ABSENT-unset}\"";

fn launcher(world: &World) -> Launcher {
    let host = world.dir().join("host");
    for name in ["both", "reads", "writes"] {
        let dir = host.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file"), name).unwrap();
    }
    let mount =
        |name: &str, mode: &str| format!("{}:/host/{name}{mode}", host.join(name).display());
    world
        .launcher("a")
        .env(
            "SPACELIFT_WHITELIST_ENVS",
            "REGION,ro_KEY,wo_KEY,wo_ROLE,ABSENT",
        )
        .env("SPACELIFT_MASK_ENVS", "KEY")
        .env("REGION", "eu-west-1")
        .env("ro_KEY", "reading-key-77")
        .env("wo_KEY", "writing-key-88")
        .env("ROLE", "admin")
        .env("SPACELIFT_WORKER_EXTRA_MOUNTS", &mount("both", ":ro"))
        .env("SPACELIFT_WORKER_RO_EXTRA_MOUNTS", &mount("reads", ""))
        .env("SPACELIFT_WORKER_WO_EXTRA_MOUNTS", &mount("writes", ""))
        .start()
}

#[test]
fn variables_reach_the_phases_that_they_are_meant_for_and_stay_hidden() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("handed", &repo)
        .autodeploy()
        .option("--before-plan", SHOW)
        .option("--before-apply", SHOW)
        .create();
    let mut launcher = launcher(&world);
    launcher.wait_logged("ABSENT");
    let run = stack.deploy();
    run.wait("FINISHED");
    run.wait_log("PLANNING", "region=eu-west-1 key=***** role= none=unset");
    run.wait_log(
        "APPLYING",
        "region=eu-west-1 key=***** role=admin none=unset",
    );
    let length = stack.task("echo \"${#KEY} $KEY\"; REGION=x sh -c 'echo $REGION'");
    length.wait("FINISHED");
    length.wait_log("PERFORMING", "14 *****");
    let logs = run.all_logs() + &length.all_logs();
    assert!(!logs.contains("reading-key-77") && !logs.contains("writing-key-88"));
}

#[test]
fn mounts_follow_the_class_of_the_container() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let list = "ls /host; cat /host/*/file; touch /host/both/x 2>&1 || echo read-only";
    let stack = world
        .stack("mounted", &repo)
        .option("--before-plan", list)
        .create();
    let _launcher = launcher(&world);
    let preview = stack.preview();
    preview.wait("FINISHED");
    let log = preview.wait_log("PLANNING", "read-only");
    assert!(
        log.contains("both\nreads\n") && !log.contains("writes"),
        "{log}"
    );
    let task = stack.task(list);
    task.wait("FINISHED");
    let log = task.wait_log("PERFORMING", "read-only");
    assert!(
        log.contains("both\nwrites\n") && !log.contains("reads"),
        "{log}"
    );
}
