//! Managed state: the tool's `http` backend through the worker to the launcher.
//!
//! Takes real applies, checks what reached the played launcher. Never: a state on the worker's side.

use gantry_protocol::RunType;
use gantry_protocol::socket::{Phase, StateOp, WorkerEnd};

use crate::launcher::{Launcher, Reply};
use crate::world::{CODE, World};

fn managed(code: &str) -> World {
    let mut world = World::new(RunType::Tracked).code(code);
    world.order.managed_state = true;
    world.order.autodeploy = true;
    world.reply(Phase::Apply, Reply::Grant)
}

#[test]
fn state_is_locked_written_and_unlocked() {
    let world = managed(CODE);
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    ended.launcher.get(|seen| {
        let state = String::from_utf8(seen.state.clone().unwrap()).unwrap();
        assert!(
            state.contains("terraform_data") && state.contains("hello"),
            "{state}"
        );
        assert_eq!(seen.lock, None);
        let locks = seen.state_ids(|op| *op == StateOp::Lock).len();
        let unlocks = seen.state_ids(|op| *op == StateOp::Unlock).len();
        assert_eq!(
            (locks, unlocks),
            (2, 2),
            "one for the plan, one for the apply"
        );
        assert!(
            !seen
                .state_ids(|op| matches!(op, StateOp::Write { lock_id: Some(_) }))
                .is_empty()
        );
    });
    assert!(!world.source("terraform.tfstate").exists());
    let file = std::fs::read_to_string(world.source("gantry_backend_override.tf")).unwrap();
    assert!(!file.contains("1983") && !file.contains("password"));
}

#[test]
fn a_plan_is_applied_by_another_worker_with_other_credentials() {
    let mut world = managed(CODE);
    world.order.autodeploy = false;
    // The second worker finds the usual port taken, so that address and credentials both differ.
    let first = world.run();
    assert_eq!(first.end(), &WorkerEnd::Parked, "{}", first.logs);
    let _taken = std::net::TcpListener::bind("127.0.0.1:1983");
    world.second_lease();
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert!(
        ended
            .launcher
            .get(|seen| seen.state.is_some() && seen.lock.is_none())
    );
}

#[test]
fn the_codes_own_backend_is_overridden() {
    let code =
        format!("terraform {{\n  backend \"local\" {{\n    path = \"mine\"\n  }}\n}}\n{CODE}");
    let world = managed(&code);
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert!(ended.launcher.get(|seen| seen.state.is_some()));
    assert!(!world.source("mine").exists());
}

fn is_write(op: &StateOp) -> bool {
    matches!(op, StateOp::Write { .. })
}

fn is_lock(op: &StateOp) -> bool {
    *op == StateOp::Lock
}

/// A launcher that holds requests of this kind until the second restart.
fn held_over_two_restarts(held: fn(&StateOp) -> bool) {
    let world = managed(CODE);
    let launcher = Launcher::new(&world.at("io"), world.order.clone());
    launcher.set(|seen| {
        seen.replies = world.replies.clone();
        seen.hold_state = Some(held);
    });
    let running = world.start_with(launcher);
    running
        .launcher
        .wait("the held request", |seen| seen.state_ids(held).len() == 1);
    running.launcher.vanish();
    running.launcher.bind();
    running.launcher.wait("the same request again", |seen| {
        let ids = seen.state_ids(held);
        ids.len() == 2 && ids[0] == ids[1]
    });
    running.launcher.set(|seen| seen.hold_state = None);
    running.launcher.vanish();
    running.launcher.bind();
    let ended = running.wait();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert!(
        ended
            .launcher
            .get(|seen| seen.state.is_some() && seen.lock.is_none())
    );
}

#[test]
fn a_write_is_held_open_across_outages() {
    held_over_two_restarts(is_write);
}

#[test]
fn a_lock_is_held_open_across_outages() {
    held_over_two_restarts(is_lock);
}

#[test]
fn a_lock_whose_tool_was_killed_is_given_back() {
    let world = managed(CODE);
    let launcher = Launcher::new(&world.at("io"), world.order.clone());
    launcher.set(|seen| seen.hold_state = Some(is_lock));
    let running = world.start_with(launcher);
    running
        .launcher
        .wait("the held lock", |seen| !seen.state_ids(is_lock).is_empty());
    let tool =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap();
    let tools = tool.split_whitespace().map(|pid| pid.parse().unwrap());
    let terraform = |pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("terraform"))
    };
    let tool = tools.into_iter().find(terraform).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(tool), nix::sys::signal::SIGKILL).unwrap();
    running.launcher.set(|seen| seen.hold_state = None);
    running.launcher.vanish();
    running.launcher.bind();
    let ended = running.wait();
    assert!(
        ended.message().contains("was ended by signal 9"),
        "{}",
        ended.message()
    );
    ended.launcher.get(|seen| {
        assert_eq!(seen.lock, None);
        let unlocks = seen.state_ids(|op| *op == StateOp::Unlock);
        assert_eq!(unlocks.len(), 1);
    });
}

#[test]
fn a_refused_write_leaves_a_file_that_the_result_names() {
    let world = managed(CODE);
    let launcher = Launcher::new(&world.at("io"), world.order.clone());
    launcher.set(|seen| {
        seen.replies = world.replies.clone();
        seen.refuse_writes = Some(403);
    });
    let ended = world.start_with(launcher).wait();
    let message = ended.message();
    assert!(
        message.contains("`terraform apply` ended with exit code 1"),
        "{message}"
    );
    assert!(message.contains("`source/errored.tfstate`"), "{message}");
    let left = std::fs::read_to_string(world.source("errored.tfstate")).unwrap();
    assert!(left.contains("terraform_data"));
}

#[test]
fn the_listener_wants_its_credentials() {
    let mut world = World::new(RunType::Task);
    world.order.managed_state = true;
    world.order.skip_init = true;
    let curl = "code() { curl -s -o /dev/null -w '%{http_code} ' \"$@\"; }
        code $TF_HTTP_ADDRESS; code -u gantry:wrong $TF_HTTP_ADDRESS
        code -u $TF_HTTP_USERNAME:$TF_HTTP_PASSWORD $TF_HTTP_ADDRESS
        code -u $TF_HTTP_USERNAME:$TF_HTTP_PASSWORD ${TF_HTTP_ADDRESS}s
        code -u $TF_HTTP_USERNAME:$TF_HTTP_PASSWORD -X DELETE $TF_HTTP_ADDRESS";
    world.order.command = Some(curl.into());
    let world = world.reply(Phase::Perform, Reply::Grant);
    let ended = world.run();
    assert_eq!(
        String::from_utf8(world.log(1)).unwrap(),
        "401 401 204 404 405 "
    );
    assert_eq!(ended.launcher.get(|seen| seen.state_ids(|_| true).len()), 1);
}

#[test]
fn a_file_of_the_users_in_the_overrides_place_is_refused() {
    let world = managed(CODE);
    std::fs::write(world.source("gantry_backend_override.tf"), "locals {}").unwrap();
    let ended = world.run();
    assert!(
        ended.message().contains("this name is reserved"),
        "{}",
        ended.message()
    );
    assert_eq!(ended.phases(), [Phase::Init]);
}
