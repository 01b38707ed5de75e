//! The launcher's disk is full.

use gantry_test_support::{LONG, LoopDisk, World, wait_for};

use super::CODE;

#[test]
fn a_full_disk_is_named_and_afterwards_all_is_well() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("full", &repo).autodeploy().create();
    let disk = LoopDisk::mount(&world.dir().join("a"), 512);
    let launcher = world.launcher("a").start();
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
