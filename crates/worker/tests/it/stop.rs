//! Stops: one interrupt, to the tool alone, ever; kills; and what the result says about it.
//!
//! Takes tools that count their signals. Never: a signal to a process by name.

use gantry_protocol::RunType;
use gantry_protocol::socket::{FromLauncher, FromWorker, Phase, StopKind, WorkerEnd};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::launcher::Reply;
use crate::world::{CODE, Running, World};

/// A tool that counts interrupts and goes on until the file `go` appears.
const COUNTING: &str = r#"
case $1 in version) echo Terraform v1.0.0; exit;; init) exit;; esac
signals=0
trap 'signals=$((signals + 1)); echo signal $signals' INT
echo ready
while [ ! -e ../go ]; do sleep 0.02; done
echo "$signals signals"
exit 1
"#;

/// A tool with a child in front, in its own process group: whoever gets an interrupt says so.
const WITH_CHILD: &str = r#"
case $1 in version) echo Terraform v1.0.0; exit;; init) exit;; esac
trap 'echo the tool got it' INT
sh -c 'trap "echo the child got it" INT; echo ready; while [ ! -e ../go ]; do sleep 0.02; done'
exit 1
"#;

fn interrupt(running: &Running<'_>) {
    running.launcher.say(FromLauncher::Stop {
        kind: StopKind::Interrupt,
    });
}

/// Everything that was said on the old connection is read before the worker greets on a new one.
fn reconnect(running: &Running<'_>) {
    let hellos = |seen: &crate::launcher::Seen| {
        let hello = |m: &&FromWorker| matches!(m, FromWorker::Hello { .. });
        seen.messages.iter().filter(hello).count()
    };
    let before = running.launcher.get(hellos);
    running.launcher.vanish();
    running.launcher.bind();
    running
        .launcher
        .wait("a new hello", |seen| hellos(seen) > before);
}

#[test]
fn the_tool_gets_exactly_one_interrupt() {
    let world = World::with_tool(RunType::Proposed, COUNTING);
    let running = world.start();
    running.wait_for_log(2, "ready");
    interrupt(&running);
    interrupt(&running);
    running.wait_for_log(2, "signal 1");
    kill(Pid::from_raw(running.pid()), Signal::SIGTERM).unwrap();
    interrupt(&running);
    reconnect(&running);
    std::fs::write(world.at("workspace/go"), "").unwrap();
    let ended = running.wait();
    assert_eq!(
        String::from_utf8(world.log(2)).unwrap(),
        "ready\nsignal 1\n1 signals\n"
    );
    assert!(matches!(ended.end(), WorkerEnd::Stopped { .. }));
    for part in ["`terraform plan` got one interrupt", "lock"] {
        assert!(ended.message().contains(part), "{}", ended.message());
    }
}

#[test]
fn the_tools_children_get_no_interrupt() {
    let world = World::with_tool(RunType::Proposed, WITH_CHILD);
    let running = world.start();
    running.wait_for_log(2, "ready");
    interrupt(&running);
    reconnect(&running);
    std::fs::write(world.at("workspace/go"), "").unwrap();
    let ended = running.wait();
    let log = String::from_utf8(world.log(2)).unwrap();
    assert_eq!(log, "ready\nthe tool got it\n");
    assert!(matches!(ended.end(), WorkerEnd::Stopped { .. }));
}

#[test]
fn the_containers_stop_is_one_interrupt_too() {
    let world = World::with_tool(RunType::Proposed, COUNTING);
    let running = world.start();
    running.wait_for_log(2, "ready");
    for _ in 0..3 {
        kill(Pid::from_raw(running.pid()), Signal::SIGTERM).unwrap();
    }
    running.wait_for_log(2, "signal 1");
    reconnect(&running);
    std::fs::write(world.at("workspace/go"), "").unwrap();
    let ended = running.wait();
    assert!(ended.logs.contains("1 signals"), "{}", ended.logs);
    assert!(
        ended
            .message()
            .starts_with("the container was told to stop"),
        "{}",
        ended.message()
    );
}

#[test]
fn terraform_gives_its_lock_back_when_interrupted() {
    let code = "resource \"terraform_data\" \"it\" {
        provisioner \"local-exec\" { command = \"echo slow; exec sleep 1000\" }\n}";
    let mut world = World::new(RunType::Tracked).code(code);
    world.order.managed_state = true;
    world.order.autodeploy = true;
    let world = world.reply(Phase::Apply, Reply::Grant);
    let running = world.start();
    running.wait_for_log(3, "(local-exec): slow");
    interrupt(&running);
    let ended = running.wait();
    assert!(ended.logs.contains("Interrupt received."), "{}", ended.logs);
    assert!(
        !ended.logs.contains("Two interrupts received."),
        "{}",
        ended.logs
    );
    let message = ended.message();
    assert!(
        message.contains("`terraform apply` got one interrupt"),
        "{message}"
    );
    assert!(message.contains("half done"), "{message}");
    assert!(
        ended
            .launcher
            .get(|seen| seen.lock.is_none() && seen.state.is_some())
    );
}

#[test]
fn a_stop_within_a_hook_skips_the_tool() {
    let world = World::new(RunType::Proposed).code(CODE);
    let world = world.hooks(|hooks| {
        hooks.before_plan =
            vec!["trap : INT; echo ready; while [ ! -e ../go ]; do sleep 0.02; done".into()];
        hooks.after_run = vec!["echo state $TF_VAR_spacelift_final_run_state".into()];
    });
    let running = world.start();
    running.wait_for_log(2, "ready");
    interrupt(&running);
    reconnect(&running);
    std::fs::write(world.at("workspace/go"), "").unwrap();
    let ended = running.wait();
    assert_eq!(
        String::from_utf8(world.log(2)).unwrap(),
        "ready\nstate STOPPED\n"
    );
    assert!(
        ended.message().contains("`before_plan` got one interrupt"),
        "{}",
        ended.message()
    );
}

#[test]
fn a_stop_while_asking_ends_the_run() {
    let mut world = World::new(RunType::Tracked).code(CODE);
    world.order.autodeploy = true;
    let running = world.start();
    running
        .launcher
        .wait("the ask", |seen| seen.asked(Phase::Apply) == 1);
    interrupt(&running);
    let ended = running.wait();
    assert!(matches!(ended.end(), WorkerEnd::Stopped { .. }));
    assert_eq!(ended.phases(), [Phase::Init, Phase::Plan]);
}

#[test]
fn a_kill_ends_what_ignores_interrupts() {
    let world = World::with_tool(RunType::Proposed, COUNTING);
    let world = world.hooks(|hooks| hooks.after_run = vec!["echo too late".into()]);
    let running = world.start();
    running.wait_for_log(2, "ready");
    interrupt(&running);
    running.wait_for_log(2, "signal 1");
    running.launcher.say(FromLauncher::Stop {
        kind: StopKind::Kill,
    });
    let ended = running.wait();
    assert!(
        ended.message().contains("`terraform plan` was killed"),
        "{}",
        ended.message()
    );
    assert!(!ended.logs.contains("too late"));
}

#[test]
fn a_stop_before_the_order_ends_at_once() {
    let world = World::new(RunType::Proposed).code(CODE);
    let launcher = crate::launcher::Launcher::new(&world.at("io"), world.order.clone());
    launcher.vanish();
    let running = world.start_with(launcher);
    // The file of facts is made once signals are handled.
    running
        .launcher
        .wait("the worker's start", |_| world.at("spool/events").exists());
    kill(Pid::from_raw(running.pid()), Signal::SIGTERM).unwrap();
    let ended = running.wait();
    assert!(
        ended.message().contains("before the run began"),
        "{}",
        ended.message()
    );
    assert!(ended.phases().is_empty());
}
