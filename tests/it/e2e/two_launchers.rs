//! A run that plans on one launcher and applies on another.

use gantry_test_support::{World, contains_bytes};

use super::CODE;

const MARKER: &str = "a-marker-that-only-the-workspace-holds";

#[test]
fn a_sealed_workspace_is_restored_by_the_other_launcher() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("travels", &repo)
        .option(
            "--after-plan",
            "printf %s-%s a-marker-that-only the-workspace-holds > /mnt/workspace/made-by-plan",
        )
        .option(
            "--before-apply",
            "echo \"found $(cat /mnt/workspace/made-by-plan)\"",
        )
        .create();
    let mut first = world.launcher("a").start();
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    first.drain();

    // Nothing has printed the marker yet: it stands in the workspace and nowhere else.
    let data = world.server().data_dir();
    let unsealed = contains_bytes(&data, MARKER.as_bytes());
    assert!(
        unsealed.is_empty(),
        "the workspace lies unsealed on the server: {unsealed:?}"
    );
    let sealed = contains_bytes(&data, b"age-encryption.org/v1");
    assert!(!sealed.is_empty(), "the sealed workspace is on the server");

    let mut second = world.launcher("b").start();
    run.confirm();
    let applied = run.wait("FINISHED");
    assert_eq!(applied.attempt, 2, "the apply is a lease of its own");
    run.wait_log("APPLYING", &format!("found {MARKER}"));
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));
    second.drain();

    for launcher in [&first, &second] {
        let found = contains_bytes(launcher.data_dir(), MARKER.as_bytes());
        assert!(
            found.is_empty(),
            "the workspace was left on the host: {found:?}"
        );
    }
}
