//! What a newcomer does: plan, confirm, apply, again, change, discard; previews, tasks, hooks, variables.

use gantry_test_support::World;

use super::CODE;

#[test]
fn a_change_is_planned_confirmed_and_applied() {
    let world = World::builder().key_bits(4096).start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("first", &repo).create();
    let _launcher = world.launcher("a").start();

    let run = stack.deploy();
    let planned = run.wait("UNCONFIRMED");
    assert_eq!(planned.delta, Some([1, 0, 0]));
    run.wait_log("PLANNING", "1 to add");
    assert_eq!(stack.output("said"), None, "nothing was applied yet");
    run.confirm();
    let applied = run.wait("FINISHED");
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));
    assert_eq!(applied.times("APPLYING"), 1);
    let expected = world.images().busybox.digest.clone();
    assert_eq!(
        applied.image, expected,
        "the run executed exactly the admitted digest"
    );
    run.wait_log("APPLYING", "Apply complete");

    let again = stack.deploy();
    let unchanged = again.wait("FINISHED");
    assert_eq!(
        (unchanged.times("UNCONFIRMED"), unchanged.times("APPLYING")),
        (0, 0)
    );
    again.wait_log("PLANNING", "No changes");

    repo.commit(&[("main.tf", &CODE.replace("\"hello\"", "\"good bye\""))]);
    let changed = stack.deploy();
    assert_eq!(changed.wait("UNCONFIRMED").delta, Some([0, 1, 0]));
    changed.discard();
    assert_eq!(changed.wait("DISCARDED").times("APPLYING"), 0);
    assert_eq!(
        stack.output("said").as_deref(),
        Some("\"hello\""),
        "a discarded plan changes nothing"
    );
}

#[test]
fn a_preview_plans_and_ends() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("preview", &repo).autodeploy().create();
    let _launcher = world.launcher("a").start();
    let run = stack.preview();
    let seen = run.wait("FINISHED");
    assert_eq!(
        (
            seen.times("PLANNING"),
            seen.times("APPLYING"),
            seen.times("UNCONFIRMED")
        ),
        (1, 0, 0)
    );
    assert_eq!(seen.delta, Some([1, 0, 0]));
    assert_eq!(stack.output("said"), None);
}

#[test]
fn hooks_variables_and_tasks_work_and_secrets_are_masked() {
    const SECRET: &str = "correct-horse-battery-staple";
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("hooks", &repo)
        .autodeploy()
        .env("GREETER", "Ada")
        .secret("PASSWORD", SECRET)
        .option("--before-plan", "export TF_VAR_greeting=\"hi $GREETER\"")
        .option(
            "--before-apply",
            "echo \"the password is $PASSWORD.\"; echo \"uid $(id -u)\"",
        )
        .option(
            "--after-run",
            "echo \"ended $TF_VAR_spacelift_final_run_state\"",
        )
        .create();
    let _launcher = world.launcher("a").start();

    let run = stack.deploy();
    run.wait("FINISHED");
    assert_eq!(
        stack.output("said").as_deref(),
        Some("\"hi Ada\""),
        "the plan inherits what its hook exported"
    );
    let log = run.wait_log("APPLYING", "uid 1983");
    assert!(log.contains("the password is"), "{log}");
    let task =
        stack.task("echo \"$PASSWORD\" | wc -c; echo task of $GREETER; terraform output said");
    task.wait("FINISHED");
    let performed = task.wait_log("PERFORMING", "hi Ada");
    let length = (SECRET.len() + 1).to_string();
    assert!(
        performed.contains(&length),
        "the task has the secret: {performed}"
    );
    for run in [&run, &task] {
        assert!(
            !run.all_logs().contains(SECRET),
            "the secret stands in the log:\n{}",
            run.all_logs()
        );
    }
    assert!(
        run.all_logs().contains("ended FINISHED"),
        "{}",
        run.all_logs()
    );

    let failing = stack.task("exit 7");
    let failed = failing.wait("FAILED");
    assert!(failed.reasons().contains('7'), "{}", failed.reasons());
}

#[test]
fn an_image_with_nothing_but_the_tool_is_enough() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let image = world.images().scratch.clone();
    let stack = world
        .stack("scratch", &repo)
        .autodeploy()
        .option("--runner-image", &image.tag)
        .create();
    let _launcher = world.launcher("a").start();
    let run = stack.deploy();
    assert_eq!(run.wait("FINISHED").image, image.digest);
    assert_eq!(stack.output("said").as_deref(), Some("\"hello\""));

    let task = stack.bare_task("echo hello");
    let failed = task.wait("FAILED");
    assert!(
        failed.reasons().contains("shell") || failed.reasons().contains("sh"),
        "{}",
        failed.reasons()
    );
}
