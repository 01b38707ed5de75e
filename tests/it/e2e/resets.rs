//! A pool that gets another key: plans that wait survive it, hosts change one by one.

use gantry_test_support::{SHORT, World, wait_for};

use super::{CODE, refuses_to_start, waiting};

#[test]
fn a_plan_that_waits_outlives_a_reset_and_its_host_takes_the_new_key_when_it_is_idle() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("net", &repo).create();
    let mut former = world.launcher("a").start();
    let id = former.id();
    let planned = stack.deploy();
    planned.wait("UNCONFIRMED");

    let reset = world.pool().reset(world.cli(), world.dir(), 24);
    let mut newcomer = world.launcher("b").pool(&reset).start();
    // The newcomer is idle and newer, and can't open the plan.
    planned.confirm();
    planned.wait("FINISHED");
    assert!(!newcomer.log().contains(planned.id()), "{}", newcomer.log());
    newcomer.drain();

    // With a run in hand the host keeps the key that opens it.
    let slow = world
        .stack("slow", &repo)
        .option("--before-init", &waiting("init"))
        .create();
    let run = slow.deploy();
    let place = former.run_dir(run.id(), 1);
    place.wait_file("in-init");
    former.kill();
    let (line, _) = refuses_to_start(world.launcher("a").pool(&reset));
    for words in [
        "SPACELIFT_POOL_PRIVATE_KEY",
        "1 unfinished runs",
        "former token and key",
    ] {
        assert!(line.contains(words), "{line}");
    }
    former.start_again();
    place.put_file("go-init");
    run.wait("UNCONFIRMED");
    run.discard();
    former.drain();

    // Idle, it proves the new key and is the launcher that it was.
    let again = world.launcher("a").pool(&reset).start();
    assert_eq!(again.id(), id);
    repo.commit(&[("main.tf", &CODE.replace("\"hello\"", "\"again\""))]);
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    run.confirm();
    run.wait("FINISHED");
    assert_eq!(stack.output("said").as_deref(), Some("\"again\""));
    let shown = world
        .cli()
        .json(&["pool", "show", "--id", &reset.id])
        .remove(0);
    let keys = shown["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 2);
    assert!(keys[0]["retiresAt"].is_null() && keys[1]["retiresAt"].is_i64());
}

#[test]
fn a_newcomer_waits_until_it_is_let_in() {
    let world = World::start();
    let pool = world.pool().id.clone();
    let cli = world.cli();
    cli.text(&["pool", "update", "--id", &pool, "--enrol-by-approval"]);
    let mut launcher = world.launcher("a").spawn();
    launcher.wait_logged("waits until an administrator lets it into pool");
    let listed = cli.json(&["pool", "workers", "--id", &pool]);
    assert_eq!(listed[0]["status"], "PENDING");
    let worker = launcher.id();
    cli.text(&["pool", "approve", "--id", &pool, "--worker", &worker]);
    launcher.wait_logged("joined the pool");
    wait_for("an idle launcher", SHORT, || {
        let status = cli.json(&["pool", "workers", "--id", &pool])[0]["status"].clone();
        match status == "IDLE" {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    });
}
