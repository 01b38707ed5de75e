//! The launcher dies, the run does not.

use gantry_test_support::{Docker, LONG, Launcher, Run, SlowRepo, World, wait_for};

use super::{WAITING_APPLY, waiting};

/// Prints 3 MB whose bytes are known: numbered lines of 100 bytes.
const NUMBERS: &str = "awk 'BEGIN { for (i = 0; i < 30000; i++) printf \"%099d\\n\", i }'";

fn numbers() -> Vec<u8> {
    (0..30_000)
        .flat_map(|i| format!("{i:099}\n").into_bytes())
        .collect()
}

/// Kills the launcher with a run in the middle and starts the next process once the run went on without it.
fn kill_and_adopt(launcher: &mut Launcher, run: &Run<'_>, world: &World, go: &str, gone_on: &str) {
    let dir = launcher.run_dir(run.id(), 1);
    launcher.kill();
    let running = || {
        world
            .containers()
            .iter()
            .filter(|c| c["State"]["Running"] == true)
            .count()
    };
    assert_eq!(running(), 1, "the container goes on without its launcher");
    dir.put_file(go);
    dir.wait_file(gone_on);
    assert_eq!(running(), 1);
    launcher.start_again();
    launcher.wait_logged("container adopted");
}

#[test]
fn a_plan_outlives_its_launcher_and_no_byte_is_lost() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", super::CODE)]);
    let stack = world
        .stack("crash-plan", &repo)
        .autodeploy()
        .option("--before-plan", NUMBERS)
        .option("--before-plan", &waiting("plan"))
        .option("--before-plan", &format!("{NUMBERS}; {}", waiting("rest")))
        .option("--before-plan", NUMBERS)
        .create();
    let mut launcher = world.launcher("a").start();
    let run = stack.deploy();
    launcher.run_dir(run.id(), 1).wait_file("in-plan");
    kill_and_adopt(&mut launcher, &run, &world, "go-plan", "in-rest");
    launcher.run_dir(run.id(), 1).put_file("go-rest");

    let seen = run.wait("FINISHED");
    assert_eq!(
        (seen.attempt, seen.times("PLANNING"), seen.times("APPLYING")),
        (1, 1, 1)
    );
    run.wait_log("PLANNING", "Plan: 1 to add");
    let log = run.log_bytes("PLANNING");
    let printed = numbers();
    let found = find_all(&log, &printed);
    assert_eq!(
        found,
        3,
        "what was printed stands in the log three times, whole ({} bytes)",
        log.len()
    );
    let numbered = log
        .split(|byte| *byte == b'\n')
        .filter(|line| line.len() == 99)
        .count();
    assert_eq!(numbered, 3 * 30_000, "and no line of it is there twice");
}

#[test]
fn an_apply_outlives_its_launcher_and_runs_once() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", WAITING_APPLY)]);
    let stack = world
        .stack("crash-apply", &repo)
        .autodeploy()
        .option("--before-apply", NUMBERS)
        .option("--after-apply", &format!("{NUMBERS}; {}", waiting("end")))
        .create();
    let mut launcher = world.launcher("a").start();
    let run = stack.deploy();
    launcher.run_dir(run.id(), 1).wait_file("in-apply");
    // Managed state goes through the launcher: the apply ends only once the next process is there.
    let dir = launcher.run_dir(run.id(), 1);
    launcher.kill();
    dir.put_file("go-apply");
    launcher.start_again();
    launcher.wait_logged("container adopted");
    dir.wait_file("in-end");
    dir.put_file("go-end");

    let seen = run.wait("FINISHED");
    assert_eq!((seen.attempt, seen.times("APPLYING")), (1, 1));
    assert_eq!(stack.output("said").as_deref(), Some("\"made\""));
    let text = run.wait_log("APPLYING", "Apply complete");
    assert_eq!(text.matches("Apply complete").count(), 1);
    assert_eq!(find_all(&run.log_bytes("APPLYING"), &numbers()), 2);
    let again = stack.deploy();
    again.wait("FINISHED");
    again.wait_log("PLANNING", "No changes");
}

#[test]
fn a_task_that_ended_meanwhile_is_reported_with_its_exact_bytes() {
    let world = World::start();
    let repo = world.repo("code");
    let noise = noise(3_000_000);
    std::fs::write(repo.work_tree().join("noise.bin"), &noise).unwrap();
    repo.commit(&[("main.tf", super::CODE)]);
    let stack = world.stack("crash-task", &repo).create();
    let mut launcher = world.launcher("a").start();
    let run = stack.bare_task(&format!(
        "cat noise.bin; {}; cat noise.bin",
        waiting("task")
    ));
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-task");
    launcher.kill();
    dir.put_file("go-task");
    wait_for("the container to end", LONG, || {
        let containers = world.containers();
        let mut states = containers
            .iter()
            .map(|container| &container["State"]["Running"]);
        match states.all(|running| *running == false) {
            true => Ok(()),
            false => Err(format!("{} runs", containers[0]["Name"])),
        }
    });
    launcher.start_again();
    let seen = run.wait("FINISHED");
    assert_eq!((seen.attempt, seen.times("PERFORMING")), (1, 1));
    let served = run.download("PERFORMING");
    let printed = [noise.clone(), noise].concat();
    let differs = served
        .iter()
        .zip(&printed)
        .position(|(served, printed)| served != printed);
    let lengths = (served.len(), printed.len());
    assert!(
        served == printed,
        "first difference at {differs:?}, lengths {lengths:?}"
    );
}

/// Bytes without any pattern, the same each time: every value of a byte, also what is no text.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// How often `needle` stands in `text`, without overlap.
fn find_all(text: &[u8], needle: &[u8]) -> usize {
    let first = &needle[..200];
    let mut found = 0;
    let mut at = 0;
    while at + needle.len() <= text.len() {
        if &text[at..at + 200] == first && text[at..at + needle.len()] == *needle {
            found += 1;
            at += needle.len();
        } else {
            at += 1;
        }
    }
    found
}

/// An engine that restarts stops containers whose start it had not yet written down.
#[test]
fn a_container_that_is_stopped_before_it_has_its_order_is_followed_by_another() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", super::CODE)]);
    let run = world
        .stack("crash-early", &repo)
        .autodeploy()
        .create()
        .deploy();
    let mut slow = SlowRepo::of(&repo);
    let _launcher = world.launcher("a").start();
    slow.wait_read();
    let first = wait_for("a container that waits for its order", LONG, || {
        let running = world.containers().into_iter();
        let mut running = running.filter(|c| c["State"]["Running"] == true);
        running.next().ok_or("none runs yet".to_owned())
    });
    let id = first["Id"].as_str().expect("an id");
    Docker.run(&["stop", id]);
    slow.release();

    let seen = run.wait("FINISHED");
    assert_eq!((seen.attempt, seen.times("APPLYING")), (1, 1));
    run.wait_log("PREPARING", "stopped from outside before it had its order");
}
