//! A launcher that dies and comes back while the worker goes on.
//!
//! Takes runs in mid-phase, checks that nothing is asked, done or lost twice. Never: a real restart.

use gantry_protocol::RunType;
use gantry_protocol::socket::{FromWorker, Phase, WorkerEnd};

use crate::launcher::{Reply, Seen};
use crate::world::{CODE, World};

fn hellos(seen: &Seen) -> Vec<bool> {
    let sessions = seen.messages.iter().filter_map(|message| match message {
        FromWorker::Hello { session, .. } => Some(session.is_some()),
        _ => None,
    });
    sessions.collect()
}

#[test]
fn a_run_goes_on_without_its_launcher() {
    let world = World::new(RunType::Proposed).code(CODE);
    let world = world.hooks(|hooks| hooks.before_plan = vec!["cat ../go; echo went on".into()]);
    nix::unistd::mkfifo(&world.at("workspace/go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let running = world.start();
    running.launcher.wait("the plan", |_| {
        let events = std::fs::read_to_string(world.at("spool/events")).unwrap_or_default();
        events.contains(r#""section":2"#)
    });
    running.launcher.vanish();
    std::fs::write(world.at("workspace/go"), "").unwrap();
    running.launcher.bind();
    running
        .launcher
        .wait("the session's key", |seen| hellos(seen) == [false, true]);
    let ended = running.wait();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert!(ended.logs.contains("went on\n"));
}

#[test]
fn a_run_ends_while_its_launcher_is_away() {
    let mut world = World::new(RunType::Task);
    world.order.skip_init = true;
    world.order.command = Some("cat ../go; echo alone".into());
    nix::unistd::mkfifo(&world.at("workspace/go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let world = world.reply(Phase::Perform, Reply::Grant);
    let running = world.start();
    running
        .launcher
        .wait("the ask", |seen| seen.asked(Phase::Perform) == 1);
    running.launcher.wait("the phase", |_| {
        std::fs::read_to_string(world.at("spool/events"))
            .unwrap_or_default()
            .contains("entered")
    });
    running.launcher.vanish();
    std::fs::write(world.at("workspace/go"), "").unwrap();
    let ended = running.wait();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    assert_eq!(world.log(1), b"alone\n");
}

#[test]
fn an_ask_is_repeated_until_it_is_answered() {
    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.autodeploy = true;
    let running = world.start();
    running
        .launcher
        .wait("the ask", |seen| seen.asked(Phase::Apply) == 1);
    running.launcher.vanish();
    running.launcher.bind();
    running
        .launcher
        .wait("the ask again", |seen| seen.asked(Phase::Apply) == 2);
    assert!(
        !world.source("terraform.tfstate").exists(),
        "no answer means no apply"
    );
    running.launcher.set(|seen| {
        seen.replies.insert(Phase::Apply, Reply::Grant);
    });
    running.launcher.vanish();
    running.launcher.bind();
    let ended = running.wait();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    let applies = ended
        .phases()
        .iter()
        .filter(|phase| **phase == Phase::Apply)
        .count();
    assert_eq!(applies, 1);
}

#[test]
fn the_order_may_come_late() {
    let world = World::new(RunType::Proposed).code(CODE);
    let launcher = crate::launcher::Launcher::new(&world.at("io"), world.order.clone());
    launcher.vanish();
    let running = world.start_with(launcher);
    running.launcher.bind();
    assert_eq!(running.wait().end(), &WorkerEnd::Succeeded);
}
