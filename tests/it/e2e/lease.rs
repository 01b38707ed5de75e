//! The network stays away for longer than a lease lives: before a grant the run starts over, after one never.

use std::time::Duration;

use gantry_test_support::{Run, World, wait_for};

use super::{CODE, WAITING_APPLY, waiting};

/// A lease lives for a minute; then the server acts within seconds.
const EXPIRY: Duration = Duration::from_secs(120);

fn applied_lines(run: &Run<'_>) -> usize {
    let log = run.wait_log("APPLYING", "the hook of the apply ran");
    log.matches("the hook of the apply ran").count()
}

#[test]
fn a_plan_whose_lease_expires_starts_over_and_is_applied_once() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("expired", &repo)
        .autodeploy()
        .option("--after-plan", &waiting("plan"))
        .option("--before-apply", "echo the hook of the apply ran")
        .create();
    let mut first = world.launcher("a").start();
    let run = stack.deploy();
    let dir = first.run_dir(run.id(), 1);
    dir.wait_file("in-plan");

    world.wire().cut();
    dir.put_file("go-plan");
    wait_for("the lease to expire", EXPIRY, || {
        let seen = run.try_look()?;
        assert_eq!(seen.times("APPLYING"), 0, "{seen:#?}");
        if seen.times("READY") == 2 {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });

    world.wire().heal();
    // The first attempt asks for its grant, is told that it is late, and leaves no trace.
    first.wait_logged("no longer ours");
    let again = first.run_dir(run.id(), 2);
    again.wait_file("in-plan");
    assert_eq!(world.containers().len(), 1, "only the new attempt runs");
    again.put_file("go-plan");
    let seen = run.wait("FINISHED");
    assert_eq!((seen.attempt, seen.times("APPLYING")), (2, 1));
    assert_eq!(applied_lines(&run), 1);
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));
    first.drain();
}

#[test]
fn a_granted_apply_is_waited_for_and_never_handed_out_twice() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", WAITING_APPLY)]);
    let stack = world
        .stack("granted", &repo)
        .autodeploy()
        .option("--before-apply", "echo the hook of the apply ran")
        .create();
    let launcher = world.launcher("a").start();
    let run = stack.deploy();
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-apply");

    world.wire().cut();
    wait_for("the server to know that contact is lost", EXPIRY, || {
        let seen = run.try_look()?;
        assert_eq!(seen.state, "APPLYING", "{seen:#?}");
        match world.server().log().contains("ContactLost") {
            true => Ok(()),
            false => Err(format!("{seen:?}")),
        }
    });
    world.wire().heal();
    dir.put_file("go-apply");
    let seen = run.wait("FINISHED");
    assert_eq!((seen.attempt, seen.times("APPLYING")), (1, 1));
    assert_eq!(applied_lines(&run), 1);
    assert_eq!(stack.output("said").as_deref(), Some("\"made\""));
}
