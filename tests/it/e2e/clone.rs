//! One identity, one process.

use gantry_test_support::{Exit, SHORT, World, copy_tree};

use super::CODE;

/// Exit codes of launchers that lost their identity: to a newer process, and to a person's decision.
const FENCED: Exit = Exit::Code(66);
const SHUT_OUT: Exit = Exit::Code(65);

#[test]
fn a_cloned_data_directory_is_noticed() {
    let world = World::start();
    let mut original = world.launcher("a").start();
    let clone_dir = world.dir().join("clone");
    copy_tree(original.data_dir(), &clone_dir);
    // The clone takes over, as a restart would: the original ends and touches nothing.
    let mut clone = world.launcher("c").data_dir(&clone_dir).start();
    // Only a process that the server has heard of since it took over lives, and can be copied.
    clone.wait_logged("ready for runs");
    assert_eq!(original.wait_exit(SHORT), FENCED, "{}", original.log());
    assert_eq!(
        world.api().workers().unwrap().len(),
        1,
        "it is the same launcher to the server"
    );

    // The original's supervisor starts it again: now it is no restart, two have the same identity.
    let mut again = world.launcher("a").spawn();
    assert_eq!(again.wait_exit(SHORT), SHUT_OUT, "{}", again.log());
    assert_eq!(clone.wait_exit(SHORT), SHUT_OUT, "{}", clone.log());
    assert!(clone.log().contains("quarantined"), "{}", clone.log());
    let workers = world.api().workers().unwrap();
    let note = workers[0]["quarantine"].as_str().unwrap_or_default();
    assert!(
        !note.is_empty(),
        "the quarantine is visible in the API: {workers:?}"
    );
}

#[test]
fn a_restart_is_not_a_clone() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("restarted", &repo).autodeploy().create();
    let mut launcher = world.launcher("a").start();
    let id = launcher.id();
    launcher.kill();
    launcher.start_again();
    launcher.drain();
    launcher.start_again();
    assert_eq!(launcher.id(), id, "the identity is kept");
    let workers = world.api().workers().unwrap();
    assert_eq!(workers.len(), 1, "{workers:?}");
    assert!(workers[0]["quarantine"].is_null(), "{workers:?}");
    stack.deploy().wait("FINISHED");
}

#[test]
fn two_launchers_on_one_directory_are_refused() {
    let world = World::start();
    let launcher = world.launcher("a").start();
    let mut second = world.launcher("b").data_dir(launcher.data_dir()).spawn();
    assert_eq!(second.wait_exit(SHORT), Exit::Code(1));
    let log = second.log();
    assert!(log.contains("another launcher process uses"), "{log}");
    assert!(
        log.contains(&launcher.data_dir().display().to_string()),
        "{log}"
    );
}
