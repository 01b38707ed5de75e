//! Answers that no honest server gives: to questions that were not asked, about times, about stored logs.

use gantry_protocol::control::inbox::Content;
use gantry_protocol::control::run::{GrantAnswer, Outcome};
use gantry_protocol::payload::RunPayload;
use gantry_protocol::{RunState, RunType};
use gantry_test_support::hostile::{HostileWorld, lease_of, secret};

use super::scene::Scene;

#[test]
fn nothing_is_granted_that_was_not_asked_for() {
    let scene = Scene::start();
    let planned = scene.world.plan("planned");
    let preview = RunPayload {
        run_type: RunType::Proposed,
        autodeploy: true,
        ..scene.world.plan("preview")
    };
    let denied = scene.world.task("denied");
    for payload in [&planned, &preview] {
        scene.offer(payload);
    }
    for payload in [&planned, &preview] {
        scene.server().wait_result(lease_of(payload));
    }
    scene.server().lie(|lies| {
        let reason = "because".to_owned();
        lies.grant = GrantAnswer::Denied { reason };
    });
    scene.offer(&denied);
    let refused = scene.server().wait_result(lease_of(&denied));
    assert!(
        matches!(refused.outcome, Outcome::Failed { .. }),
        "{refused:?}"
    );
    assert!(scene.world.marks("denied.").is_empty());

    let told = |payload| scene.server().told(lease_of(payload));
    for (payload, name) in [(&planned, "planned"), (&preview, "preview")] {
        let (told, phases) = (told(payload), [RunState::Initializing, RunState::Planning]);
        assert_eq!(
            (&told.phases[..], &told.grants[..]),
            (&phases[..], &[][..]),
            "{name}"
        );
        let mut marks = scene.world.marks(&format!("{name}."));
        marks.sort();
        assert_eq!(marks, [format!("{name}.init"), format!("{name}.plan")]);
    }
    assert!(matches!(
        told(&planned).results[0].outcome,
        Outcome::Parked { .. }
    ));
    assert_eq!(told(&preview).results[0].outcome, Outcome::Succeeded);
}

#[test]
fn messages_out_of_order_and_of_unknown_kinds_change_nothing() {
    let scene = Scene::start();
    let run = scene.world.task("late");
    let lease = lease_of(&run);
    let stop = || Content::Stop {
        run: lease.run,
        attempt: lease.attempt,
        note: "now".to_owned(),
    };
    let sealed = scene.server().issue(&run);
    scene.send(vec![stop(), Content::Unknown, stop()]);
    scene.send(vec![
        Content::Drain { on: true },
        Content::Drain { on: false },
    ]);
    scene.send(vec![Content::Run(Box::new(sealed)), Content::Unknown]);
    let result = scene.server().wait_result(lease);
    assert_eq!(result.outcome, Outcome::Succeeded);
    scene.send(vec![stop()]);
    assert_eq!(
        (
            scene.world.marked("late.task"),
            scene.server().told(lease).results.len()
        ),
        (1, 1)
    );
}

#[test]
fn times_without_sense_do_not_end_a_launcher() {
    for (seconds, clock) in [(u64::MAX, i64::MIN), (0, i64::MAX)] {
        let world = HostileWorld::start();
        world.hostile().lie(|lies| {
            (lies.session_seconds, lies.lease_seconds) = (seconds, seconds);
            lies.clock = Some(clock);
        });
        let launcher = world.launcher("a").start();
        let mut scene = Scene::of(world, launcher);
        let run = scene.world.task("run");
        scene.offer(&run);
        let result = scene.server().wait_result(lease_of(&run));
        assert_eq!(result.outcome, Outcome::Succeeded);
        assert!(
            scene
                .launcher
                .log()
                .contains("the clocks of this host and the server differ")
        );
        scene.launcher.drain();
    }
}

#[test]
fn more_runs_than_there_is_room_for_wait_for_each_other() {
    const RUNS: usize = 6;
    let world = HostileWorld::start();
    let launcher = world.launcher("a").env("GANTRY_CAPACITY", "1").start();
    let scene = Scene::of(world, launcher);
    // Each tells how many others it meets.
    let meet = "cd /marks; touch here.$$-$SPACELIFT_RUN_ID; ls here.* | wc -l >> met.task; sleep 0.3; rm here.$$-$SPACELIFT_RUN_ID";
    let runs: Vec<_> = (0..RUNS)
        .map(|_| RunPayload {
            command: Some(meet.to_owned()),
            ..scene.world.task("met")
        })
        .collect();
    let all = runs
        .iter()
        .map(|run| Content::Run(Box::new(scene.server().issue(run))));
    scene.send(all.collect());
    for run in &runs {
        assert_eq!(
            scene.server().wait_result(lease_of(run)).outcome,
            Outcome::Succeeded
        );
    }
    let met = std::fs::read_to_string(scene.world.dir().join("marks/met.task")).unwrap();
    let met: Vec<_> = met.split_whitespace().collect();
    assert_eq!(met, ["1"; RUNS], "runs at the same time");
    scene.server().wait_free_slots(1);
}

#[test]
fn a_log_that_is_asked_for_from_within_a_secret_does_not_show_its_rest() {
    const SECRET: &str = "correct-horse-battery-staple-and-then-some-more-of-the-same";
    let scene = Scene::start();
    // Some of which most are in the middle of a secret, and one that no log can have.
    for place in [1001, 1011, 1021, u64::MAX] {
        let mut run = scene.world.task(&format!("p{place}"));
        run.environment.push(secret("PASSWORD", SECRET));
        let print = "for n in $(seq 100); do echo \"$PASSWORD\"; done; echo the-end";
        run.command = Some(format!("{}; {print}", run.command.unwrap()));
        scene.server().lie(|lies| {
            lies.positions.insert((run.run, 1), place);
            if place == u64::MAX {
                lies.positions.insert((run.run, 0), place);
            }
        });
        let lease = scene.offer(&run);
        let result = scene.server().wait_result(lease);
        assert_eq!(result.outcome, Outcome::Succeeded, "{place}");
        let told = scene.server().told(lease);
        let log = told.log();
        assert_eq!(log.contains("the-end"), place < u64::MAX, "{log}");
        for rest in [8, 16, 32] {
            assert!(!told.has(&SECRET[SECRET.len() - rest..]), "{place}: {log}");
        }
    }
}
