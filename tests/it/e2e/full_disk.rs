//! The launcher's disk is full.

use gantry_test_support::{LONG, LoopDisk, World, wait_for};

use super::{CODE, waiting};

#[test]
fn a_full_disk_is_named_and_afterwards_all_is_well() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("full", &repo).autodeploy().create();
    let disk = LoopDisk::mount(&world.dir().join("a"), 512);
    let launcher = world
        .launcher("a")
        .env("GANTRY_MIN_FREE_DISK_MB", "0")
        .start();
    stack.preview().wait("FINISHED");

    disk.fill();
    let run = stack.deploy();
    let told = |log: &str| log.contains("No space left") || log.contains("disk is full");
    wait_for("the full disk to be named", LONG, || {
        let seen = run.try_look()?;
        let named = told(&launcher.log()) || told(&seen.reasons()) || told(&run.all_logs());
        assert!(named || !seen.finished, "{seen:#?}\n{}", launcher.log());
        if named {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    disk.free();
    let seen = run.wait_end();
    let names_cause = told(&seen.reasons()) || told(&run.all_logs());
    assert!(
        seen.state == "FINISHED" || names_cause,
        "{seen:#?}\n{}",
        run.all_logs()
    );
    assert!(seen.times("APPLYING") <= 1);

    stack.deploy().wait("FINISHED");
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));
    drop(launcher);
}

#[test]
fn a_disk_that_fills_up_during_a_plan_fails_it_by_name_and_loses_no_log() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("fills", &repo)
        .autodeploy()
        .option("--before-plan", &waiting("plan"))
        .option(
            "--before-plan",
            "echo printed on a full disk; echo x > full || true",
        )
        .create();
    let disk = LoopDisk::mount(&world.dir().join("a"), 512);
    let launcher = world
        .launcher("a")
        .env("GANTRY_MIN_FREE_DISK_MB", "0")
        .start();
    let run = stack.deploy();
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-plan");
    // An empty file needs no block, so the run can be told to go on.
    disk.fill();
    dir.put_file("go-plan");
    let told = |text: &str| text.to_lowercase().contains("no space left");
    wait_for("the full disk to be named", LONG, || {
        let seen = run.try_look()?;
        let named = told(&launcher.log()) || told(&seen.reasons()) || told(&run.all_logs());
        assert!(named || !seen.finished, "{seen:#?}\n{}", run.all_logs());
        if named {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    disk.free();
    let seen = run.wait_end();
    assert!(
        seen.state == "FINISHED" || told(&run.all_logs()) || told(&seen.reasons()),
        "{seen:#?}\n{}",
        run.all_logs()
    );
    assert!(seen.times("APPLYING") <= 1, "{seen:#?}");
    // Printed while nothing could be written: there, or marked as a gap.
    let log = run.log("PLANNING");
    assert!(
        log.contains("printed on a full disk") || log.contains("bytes"),
        "{log}"
    );

    let again = stack.deploy();
    let dir = launcher.run_dir(again.id(), 1);
    dir.wait_file("in-plan");
    dir.put_file("go-plan");
    again.wait("FINISHED");
}
