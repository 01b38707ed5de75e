//! Code that tries to get out of its container, to starve the host, or to reach another run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use gantry_test_support::{Program, Repo, Run, Seen, World};

use super::{CODE, waiting};

/// Commits the code together with the program of attempts.
fn hostile(world: &World) -> Repo {
    let repo = world.repo("hostile");
    let path = repo.work_tree().join("breakout");
    fs::copy(Program::Breakout.path(), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    repo.commit(&[("main.tf", CODE)]);
    repo
}

fn nothing_was_done(log: &str) {
    let attempts: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(": refused: ") || line.contains(": DONE"))
        .collect();
    let done: Vec<_> = attempts
        .iter()
        .filter(|line| line.ends_with("DONE"))
        .collect();
    assert!(done.is_empty(), "{done:#?}\n{log}");
    let told = format!("{} attempts", attempts.len());
    assert!(attempts.len() > 30 && log.contains(&told), "{log}");
    for none in [
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ] {
        assert!(log.contains(none), "{none}:\n{log}");
    }
}

#[test]
fn what_hostile_code_tries_is_refused() {
    let world = World::start();
    let repo = hostile(&world);
    let stack = world
        .stack("hostile", &repo)
        .autodeploy()
        .option("--before-plan", "/mnt/workspace/source/breakout")
        .option("--before-apply", "/mnt/workspace/source/breakout")
        .create();
    let _launcher = world.launcher("a").start();
    let run = stack.deploy();
    run.wait("FINISHED");
    nothing_was_done(&run.wait_log("PLANNING", " attempts"));
    nothing_was_done(&run.wait_log("APPLYING", " attempts"));
}

#[test]
fn a_writable_root_is_an_exception_and_opens_nothing_else() {
    let world = World::start();
    let repo = hostile(&world);
    let stack = world.stack("hostile", &repo).create();
    let image = &world.images().busybox.tag;
    let repository = image.rsplit_once(':').unwrap().0;
    let _launcher = world
        .launcher("a")
        .env("GANTRY_WRITABLE_ROOT_IMAGES", repository)
        .start();
    // /tmp of the image belongs to root; so does all else, and the run is not root.
    let run = stack.bare_task("/mnt/workspace/source/breakout; mount | grep ' / '");
    run.wait("FINISHED");
    let log = run.wait_log("PERFORMING", " / ");
    nothing_was_done(&log);
    let root = log.lines().find(|line| line.contains(" on / ")).unwrap();
    assert!(root.contains("(rw"), "{root}");
}

#[test]
fn a_fork_bomb_ends_itself_and_nobody_else() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("bomb", &repo).create();
    let _launcher = world.launcher("a").env("GANTRY_RUN_PIDS", "64").start();
    let bomb = "i=0; while [ $i -lt 500 ]; do sleep 100 & i=$((i+1)); echo number $i; done";
    let run = stack.bare_task(bomb);
    let seen = run.wait_end();
    assert_eq!(seen.state, "FAILED", "{seen:#?}");
    let log = run.all_logs();
    assert!(log.contains("can't fork"), "{log}");
    assert!(
        log.contains("number 30") && !log.contains("number 64"),
        "{log}"
    );
    stack.bare_task("echo well").wait("FINISHED");
}

fn fails_for(run: &Run<'_>, variable: &str) -> Seen {
    let seen = run.wait_end();
    assert_eq!(seen.state, "FAILED", "{seen:#?}\n{}", run.all_logs());
    assert!(
        seen.reasons().contains(variable),
        "{seen:#?}\n{}",
        run.all_logs()
    );
    seen
}

#[test]
fn too_much_memory_is_named_as_the_cause() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("hog", &repo)
        .option("--before-plan", "dd if=/dev/zero of=/tmp/x bs=1M count=400")
        .create();
    let _launcher = world
        .launcher("a")
        .env("GANTRY_RUN_MEMORY_MB", "128")
        .start();
    let seen = fails_for(&stack.preview(), "GANTRY_RUN_MEMORY_MB");
    assert!(seen.reasons().contains("128 MiB"), "{seen:#?}");
    fails_for(
        &stack.bare_task("dd if=/dev/zero of=/tmp/x bs=1M count=400"),
        "GANTRY_RUN_MEMORY_MB",
    );
}

#[test]
fn too_much_disk_is_named_as_the_cause() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("hog", &repo).create();
    let _launcher = world.launcher("a").env("GANTRY_RUN_DISK_MB", "64").start();
    let in_files = "dd if=/dev/zero of=/mnt/workspace/x bs=1M count=100; exec sleep 600";
    let seen = fails_for(&stack.bare_task(in_files), "GANTRY_RUN_DISK_MB");
    assert!(seen.reasons().contains("64 MiB"), "{seen:#?}");
    let nameless = "exec 3>/mnt/workspace/x; rm /mnt/workspace/x; dd if=/dev/zero bs=1M count=100 >&3; exec sleep 600";
    fails_for(&stack.bare_task(nameless), "GANTRY_RUN_DISK_MB");
    let small =
        "i=0; while [ $i -lt 20000 ]; do : > /mnt/workspace/$i; i=$((i+1)); done; exec sleep 600";
    fails_for(&stack.bare_task(small), "GANTRY_RUN_DISK_MB");
    stack
        .bare_task("dd if=/dev/zero of=/mnt/workspace/x bs=1M count=20")
        .wait("FINISHED");
}

#[test]
fn a_hog_that_will_not_stop_does_not_get_its_grace() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stubborn = "trap '' INT TERM; dd if=/dev/zero of=/mnt/workspace/x bs=1M count=100; \
        sleep 3; dd if=/dev/zero of=/mnt/workspace/y bs=1M count=100; sleep 600; sleep 600";
    let stack = world
        .stack("hog", &repo)
        .option("--before-plan", stubborn)
        .create();
    let _launcher = world
        .launcher("a")
        .env("GANTRY_RUN_DISK_MB", "64")
        .env("GANTRY_STOP_GRACE", "1h")
        .start();
    fails_for(&stack.preview(), "GANTRY_RUN_DISK_MB");
}

#[test]
fn two_runs_at_a_time_have_a_network_each() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let launcher = world.launcher("a").env("GANTRY_CAPACITY", "2").start();
    let stacks = ["one", "two"].map(|name| {
        let stack = world.stack(name, &repo);
        stack.option("--before-plan", &waiting("plan")).create()
    });
    let runs = [stacks[0].preview(), stacks[1].preview()];
    let dirs = [0, 1].map(|number| launcher.run_dir(runs[number].id(), 1));
    for dir in &dirs {
        dir.wait_file("in-plan");
    }
    let containers = world.containers();
    let networks: Vec<_> = containers
        .iter()
        .map(|container| container["HostConfig"]["NetworkMode"].as_str().unwrap())
        .collect();
    assert_eq!(networks.len(), 2);
    assert_ne!(networks[0], networks[1]);
    assert!(
        networks.iter().all(|name| name.starts_with("gantry-")),
        "{networks:?}"
    );
    for dir in &dirs {
        dir.put_file("go-plan");
    }
    for run in &runs {
        run.wait("FINISHED");
    }
}
