//! Containers that wait for their run: used once, hardened alike, gone when they are not wanted.

use gantry_test_support::{Docker, LONG, Launcher, World, wait_for};
use serde_json::Value;

use super::{CODE, waiting};

const NAME: &str = "/gantry-standby-";

fn waiting_containers(world: &World) -> Vec<Value> {
    let all = world.containers().into_iter();
    let running = all.filter(|c| c["State"]["Running"] == true);
    let named = |c: &Value| {
        c["Name"]
            .as_str()
            .is_some_and(|name| name.starts_with(NAME))
    };
    running.filter(named).collect()
}

fn launcher(world: &World, capacity: &str, standby: &str) -> Launcher {
    let launcher = world
        .launcher("a")
        .env("GANTRY_CAPACITY", capacity)
        .env("GANTRY_STANDBY", standby)
        .start();
    until("a container that waits", || {
        !waiting_containers(world).is_empty()
    });
    launcher
}

fn until(what: &str, holds: impl Fn() -> bool) {
    wait_for(what, LONG, || match holds() {
        true => Ok(()),
        false => Err("not so".to_owned()),
    });
}

/// What may differ between two containers of equal hardening.
fn hardening(container: &Value) -> Value {
    let mut host = container["HostConfig"].clone();
    for different in ["Binds", "Mounts", "NetworkMode"] {
        host[different] = Value::Null;
    }
    host
}

#[test]
fn a_run_gets_a_container_that_waited_once_and_another_takes_its_place() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("warm", &repo).create();
    let mut launcher = launcher(&world, "2", "1");
    let waited = waiting_containers(&world).remove(0);
    let name = waited["Name"].as_str().unwrap().to_owned();

    let first = stack.task("echo from $(hostname); touch /mnt/workspace/in-task; until [ -e /mnt/workspace/go-task ]; do sleep 0.1; done");
    let dir = launcher.run_dir(first.id(), 1);
    dir.wait_file("in-task");
    let serving = Docker::answering()
        .inspect(&name)
        .expect("it serves the run");
    assert_eq!(serving["Id"], waited["Id"], "the container that waited");
    until("another one in its place", || {
        let others = waiting_containers(&world);
        others.iter().any(|c| c["Id"] != waited["Id"])
    });
    dir.put_file("go-task");
    first.wait("FINISHED");
    first.wait_log("PERFORMING", "from gantry");
    until("the used one to be gone", || {
        Docker::answering().inspect(&name).is_none()
    });

    let second = stack.task("echo again");
    second.wait("FINISHED");
    assert!(
        launcher
            .log()
            .matches("a container waits for its run")
            .count()
            >= 2
    );
    launcher.drain();
    assert_eq!(
        world.containers().len(),
        0,
        "nothing waits on a host that drains"
    );
}

#[test]
fn a_waiting_container_is_hardened_like_any_other() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("alike", &repo).create();
    let mut cold = world.launcher("cold").start();
    let run = stack.task(&waiting("task"));
    let dir = cold.run_dir(run.id(), 1);
    dir.wait_file("in-task");
    let fresh = world.containers().remove(0);
    dir.put_file("go-task");
    run.wait("FINISHED");
    cold.drain();

    let mut warm = launcher(&world, "1", "1");
    let waits = waiting_containers(&world).remove(0);
    assert_eq!(hardening(&waits), hardening(&fresh));
    for same in ["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Hostname"] {
        assert_eq!(waits["Config"][same], fresh["Config"][same], "{same}");
    }
    assert_eq!(
        waits["Mounts"].as_array().map(Vec::len),
        fresh["Mounts"].as_array().map(Vec::len)
    );
    warm.drain();
}

#[test]
fn a_launcher_that_dies_leaves_no_container_waiting_for_ever() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("left", &repo).autodeploy().create();
    let mut launcher = launcher(&world, "1", "1");
    let left = waiting_containers(&world).remove(0);
    launcher.kill();
    launcher.start_again();
    launcher.wait_logged("waited for a run of an earlier process; removed");
    until("a new one", || {
        let now = waiting_containers(&world);
        now.iter().any(|c| c["Id"] != left["Id"])
    });
    // And a run that a waiting container serves is adopted like any other.
    let run = stack.task(&format!("{}; echo done", waiting("task")));
    let dir = launcher.run_dir(run.id(), 1);
    dir.wait_file("in-task");
    launcher.kill();
    launcher.start_again();
    launcher.wait_logged("container adopted");
    dir.put_file("go-task");
    let seen = run.wait("FINISHED");
    assert_eq!((seen.attempt, seen.times("PERFORMING")), (1, 1));
    until("only one that waits", || {
        let all = world.containers();
        all.len() == 1 && waiting_containers(&world).len() == 1
    });
}

#[test]
fn an_image_is_kept_ready_between_its_plan_and_its_apply() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("ready", &repo).create();
    let mut launcher = launcher(&world, "1", "1");
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    until("a container for the apply", || {
        waiting_containers(&world).len() == 1
    });
    run.confirm();
    assert_eq!(run.wait("FINISHED").times("APPLYING"), 1);
    assert_eq!(
        run.all_logs()
            .matches("A container of this image was waiting")
            .count(),
        2,
        "plan and apply were both awaited"
    );
    launcher.drain();
    assert_eq!(world.containers().len(), 0);
}
