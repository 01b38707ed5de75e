//! Runs that take too long or say nothing; an apply that says nothing is left alone.

use gantry_test_support::World;

use super::{CODE, WAITING_APPLY};

#[test]
fn a_silent_run_is_interrupted_and_the_variable_is_named() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("silent", &repo)
        .option("--before-plan", "echo begun; sleep 600")
        .create();
    let _launcher = world
        .launcher("a")
        .env("SPACELIFT_LAUNCHER_LOGS_TIMEOUT", "4s")
        .env("GANTRY_STOP_GRACE", "20s")
        .start();
    let run = stack.deploy();
    let why = run.wait("FAILED").reasons();
    assert!(why.contains("SPACELIFT_LAUNCHER_LOGS_TIMEOUT"), "{why}");
    run.wait_log("PLANNING", "begun");
}

#[test]
fn a_long_run_is_interrupted_though_it_talks() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("long", &repo)
        .option("--before-plan", "while :; do echo talking; sleep 0.5; done")
        .create();
    let _launcher = world
        .launcher("a")
        .env("SPACELIFT_LAUNCHER_RUN_TIMEOUT", "8s")
        .start();
    let run = stack.deploy();
    let why = run.wait("FAILED").reasons();
    assert!(why.contains("SPACELIFT_LAUNCHER_RUN_TIMEOUT"), "{why}");
}

#[test]
fn a_silent_apply_goes_on_across_a_restart_of_its_launcher() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", WAITING_APPLY)]);
    let stack = world.stack("quiet", &repo).autodeploy().create();
    let mut launcher = world
        .launcher("a")
        .env("SPACELIFT_LAUNCHER_LOGS_TIMEOUT", "3s")
        .start();
    let run = stack.deploy();
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-apply");
    launcher.kill();
    launcher.start_again();
    launcher.wait_logged("container adopted");
    // Three times the limit of a silence.
    gantry_test_support::outage(std::time::Duration::from_secs(9));
    dir.put_file("go-apply");
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);
}
