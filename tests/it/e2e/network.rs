//! The network, and the server, go away at the worst moments.

use std::time::{Duration, Instant};

use gantry_test_support::{Run, World, wait_for};

use super::{CODE, WAITING_APPLY, waiting};

/// Long enough for a launcher that would not wait for its grant: the worker asks within milliseconds.
const WATCHED: Duration = Duration::from_secs(5);

#[test]
fn without_a_network_nothing_is_applied_and_afterwards_once() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let mark = "echo applied >> /mnt/workspace/applied; echo the hook of the apply ran";
    let stack = world
        .stack("cut", &repo)
        .autodeploy()
        .option("--after-plan", &waiting("plan"))
        .option("--before-apply", mark)
        .option("--after-apply", &waiting("end"))
        .create();
    let launcher = world.launcher("a").start();
    let run = stack.deploy();
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-plan");

    world.wire().cut();
    dir.put_file("go-plan");
    nothing_is_granted(&run);
    assert!(
        !dir.workspace().join("applied").exists(),
        "applied without a grant"
    );

    world.wire().heal();
    dir.wait_file("in-end");
    let applied = std::fs::read_to_string(dir.workspace().join("applied")).unwrap();
    assert_eq!(applied, "applied\n", "applied once");
    dir.put_file("go-end");
    let seen = run.wait("FINISHED");
    assert_eq!((seen.times("APPLYING"), seen.attempt), (1, 1));
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));
    let log = run.wait_log("APPLYING", "the hook of the apply ran");
    assert_eq!(log.matches("the hook of the apply ran").count(), 1, "{log}");
}

#[test]
fn a_network_that_swallows_everything_is_survived_too() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("hole", &repo)
        .autodeploy()
        .option("--after-plan", &waiting("plan"))
        .create();
    let launcher = world.launcher("a").start();
    let run = stack.deploy();
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-plan");
    world.wire().swallow();
    dir.put_file("go-plan");
    nothing_is_granted(&run);
    world.wire().heal();
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);
}

/// Looks for as long as [`WATCHED`] whether an apply begins by mistake.
fn nothing_is_granted(run: &Run<'_>) {
    let until = Instant::now() + WATCHED;
    wait_for("the watched time to pass", WATCHED * 2, || {
        let seen = run.try_look()?;
        assert_eq!(
            seen.times("APPLYING"),
            0,
            "granted without a network: {seen:#?}"
        );
        if Instant::now() >= until {
            Ok(())
        } else {
            Err("nothing was granted".to_owned())
        }
    });
}

#[test]
fn a_server_that_dies_while_state_is_written_loses_nothing() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", WAITING_APPLY)]);
    let stack = world.stack("killed", &repo).autodeploy().create();
    let launcher = world.launcher("a").start();
    let run = stack.deploy();
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-apply");

    world.server().kill();
    // The resource is made and Terraform writes the state that says so, to nobody.
    dir.put_file("go-apply");
    world.server().start_again();

    let seen = run.wait("FINISHED");
    assert_eq!((seen.times("APPLYING"), seen.attempt), (1, 1));
    assert_eq!(stack.output("said").as_deref(), Some("\"made\""));
    run.wait_log("APPLYING", "Apply complete");
    let again = stack.deploy();
    again.wait("FINISHED");
    again.wait_log("PLANNING", "No changes");
}
