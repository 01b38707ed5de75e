//! Hooks around phases: what they share, what their failure does, and which one failed.
//!
//! Takes orders with hooks, checks logs and ends. Never: relying on which shell the machine has.

use gantry_protocol::RunType;
use gantry_protocol::socket::{FailureKind, Phase, PhaseExit, WorkerEnd};

use crate::launcher::Reply;
use crate::world::{CODE, World};

fn list(commands: &[&str]) -> Vec<String> {
    commands.iter().map(|c| (*c).to_owned()).collect()
}

#[test]
fn exports_reach_the_tool_and_later_phases() {
    let world = World::new(RunType::Tracked)
        .code(CODE)
        .variable("ODD", "a b\n'c\"$d");
    let mut world = world.hooks(|hooks| {
        hooks.before_init = list(&["export TF_VAR_greeting='from a hook'", "PRIVATE=1"]);
        hooks.after_init = list(&["echo after init: $TF_VAR_greeting$PRIVATE"]);
        hooks.before_plan =
            list(&["export STEP=plan; cd .; echo state $TF_VAR_spacelift_run_state"]);
        hooks.after_apply = list(&[
            "echo $STEP $TF_VAR_spacelift_run_state",
            "printf '%s|' \"$ODD\"",
        ]);
        hooks.after_run = list(&["echo finally $STEP $TF_VAR_spacelift_final_run_state"]);
    });
    world.order.autodeploy = true;
    let ended = world.reply(Phase::Apply, Reply::Grant).run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    for part in [
        "after init: from a hook\n",
        "state PLANNING\n",
        "said = \"from a hook\"",
        "plan APPLYING\na b\n'c\"$d|finally plan FINISHED\n",
    ] {
        assert!(ended.logs.contains(part), "{part} in {}", ended.logs);
    }
}

#[test]
fn the_working_directory_is_shared_within_a_phase() {
    let script = "case $1 in version) echo Terraform v1.0.0;; *) echo \"$1 in $PWD\"; pwd;; esac";
    let world = World::with_tool(RunType::Proposed, script).hooks(|hooks| {
        hooks.before_init = list(&["mkdir -p deep/er", "cd deep/er"]);
        hooks.after_init = list(&["pwd"]);
        hooks.before_plan = list(&["pwd; exit 1"]);
    });
    let ended = world.run();
    let source = std::fs::canonicalize(world.source(""))
        .unwrap()
        .display()
        .to_string();
    let deep = format!("{source}/deep/er");
    let expected = format!("init in {deep}\n{deep}\n{deep}\n\u{c}{source}\n");
    let mut lines = ended.logs.split_inclusive('\n');
    let own = lines.find(|line| line.starts_with("[gantry]"));
    assert!(own.is_some_and(|line| line.contains("Terraform v1.0.0")));
    let said: String = lines.collect();
    assert!(said.starts_with(&expected), "{}", ended.logs);
}

#[test]
fn a_failing_before_hook_skips_the_phase() {
    let world = World::new(RunType::Tracked).code(CODE).hooks(|hooks| {
        hooks.before_plan = list(&["echo one", "echo two; (exit 5)", "echo three"]);
        hooks.after_plan = list(&["echo after"]);
        hooks.after_run = list(&["echo state $TF_VAR_spacelift_final_run_state"]);
    });
    let ended = world.run();
    let exit = PhaseExit::Code {
        what: "before_plan[1]".into(),
        code: 5,
    };
    assert_eq!(ended.exits(), [&PhaseExit::Ok, &exit]);
    let end = WorkerEnd::Failed {
        kind: FailureKind::Hook,
        message: "hook `before_plan[1]` ended with exit code 5".into(),
    };
    assert_eq!(ended.end(), &end);
    let log = String::from_utf8(world.log(2)).unwrap();
    assert_eq!(
        log,
        "one\ntwo\n[gantry] hook `before_plan[1]` ended with exit code 5\nstate FAILED\n"
    );
}

#[test]
fn a_failing_phase_skips_its_after_hooks() {
    let world = World::new(RunType::Tracked).code("output \"x\" { value = nonsense.y }");
    let world = world.hooks(|hooks| hooks.after_plan = list(&["echo after the plan"]));
    let ended = world.run();
    assert!(matches!(
        ended.end(),
        WorkerEnd::Failed {
            kind: FailureKind::Tool,
            ..
        }
    ));
    assert!(!ended.logs.contains("after the plan"), "{}", ended.logs);
}

#[test]
fn a_failing_after_run_changes_nothing() {
    let world = World::new(RunType::Proposed).code(CODE);
    let world = world.hooks(|hooks| hooks.after_run = list(&["echo bye", "exit 3"]));
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    let log = String::from_utf8(world.log(2)).unwrap();
    let tail =
        "bye\n[gantry] hook `after_run[1]` ended with exit code 3; the run's result stands\n";
    assert!(log.ends_with(tail), "{log}");
}

#[test]
fn a_parked_run_has_not_ended() {
    let world = World::new(RunType::Tracked).code(CODE);
    let world = world.hooks(|hooks| hooks.after_run = list(&["echo too early"]));
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Parked);
    assert!(!ended.logs.contains("too early"));
}

#[test]
fn a_hook_that_leaves_the_shell_is_a_failure() {
    let world = World::new(RunType::Tracked).code(CODE);
    let world = world.hooks(|hooks| hooks.before_plan = list(&["true", "exit 0", "true"]));
    let ended = world.run();
    assert!(
        ended.message().contains("`before_plan[1]` ended the shell"),
        "{}",
        ended.message()
    );
    assert_eq!(ended.phases(), [Phase::Init, Phase::Plan]);
    assert!(!ended.logs.contains("Plan: 1 to add"));
}

#[test]
fn a_hook_that_is_killed_is_named() {
    let world = World::new(RunType::Tracked).code(CODE);
    let world = world.hooks(|hooks| hooks.before_init = list(&["true", "kill -9 $$"]));
    let ended = world.run();
    assert_eq!(
        ended.message(),
        "hook `before_init[1]` was ended by signal 9"
    );
    let exit = PhaseExit::Signal {
        what: "before_init[1]".into(),
        signal: 9,
    };
    assert_eq!(ended.exits(), [&exit]);
}

#[test]
fn what_hooks_leave_running_ends_with_the_phase() {
    let world = World::new(RunType::Proposed).code(CODE).hooks(|hooks| {
        hooks.before_init = list(&["sleep 1000 & echo pid $! ; echo $! > ../pid"]);
        hooks.before_plan = list(&["kill -0 $(cat ../pid) 2>/dev/null && echo alive || echo gone"]);
    });
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded, "{}", ended.logs);
    assert!(ended.logs.contains("gone\n"), "{}", ended.logs);
}
