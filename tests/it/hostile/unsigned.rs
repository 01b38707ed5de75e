//! What a server can change of a run that somebody wanted, as long as no signature is required.
//!
//! Each row shows by its mark that the change is executed. Where signatures are required the same rows are refused by
//! the name of the changed part, so these rows say what the requirement is worth.

use gantry_protocol::payload::{MountedFile, RunPayload, ToolKind};
use gantry_protocol::{Attempt, Secret};
use gantry_test_support::hostile::{apply_of, lease_of, secret};

use super::scene::{Expect, Scene};

/// Something of a payload that is not as it was wanted.
pub(super) struct Change {
    pub(super) name: &'static str,
    /// What a refusal calls the part.
    pub(super) part: &'static str,
    pub(super) make: fn(&Scene, &mut RunPayload),
}

const fn change(
    name: &'static str,
    part: &'static str,
    make: fn(&Scene, &mut RunPayload),
) -> Change {
    Change { name, part, make }
}

pub(super) const OF_TASKS: &[Change] = &[
    change("another command", "`command`", |_, run| {
        run.command = run.command.take().map(|command| format!("{command}; true"));
    }),
    change("another hook", "`hooks.before_perform`", |_, run| {
        run.hooks.before_perform = run.command.replace("true".to_owned()).into_iter().collect();
    }),
    change("another image", "`image`", |s, run| {
        run.image = Some(s.world.images().busybox.digest.clone())
    }),
    change("another value of a variable", "`environment`", |_, run| {
        run.environment = vec![secret("WANTED", "something else")];
    }),
    change("one variable more", "`environment`", |_, run| {
        run.environment
            .push(secret("LD_PRELOAD", "/mnt/workspace/x"))
    }),
    change("a file", "`files`", |_, run| {
        run.files.push(MountedFile {
            path: "source/terraform.rc".to_owned(),
            content: Secret::new("AA=="),
            secret: false,
        });
    }),
    change("another commit", "`commit`", |s, run| {
        run.source.commit = s
            .world
            .repo()
            .commit(&[("more.tf", "locals { more = 1 }\n")]);
    }),
    change(
        "another directory of the code",
        "`project_root`",
        |_, run| run.source.project_root = ".".to_owned(),
    ),
    change("another tool", "`tool`", |_, run| {
        run.tool.kind = ToolKind::OpenTofu
    }),
    change("the name of another stack", "`stack`", |_, run| {
        run.stack = "another".parse().unwrap()
    }),
    change("another space", "`space`", |_, run| {
        run.space = "elsewhere".to_owned()
    }),
    change("another person", "`triggered_by`", |_, run| {
        run.triggered_by = "somebody-else".to_owned()
    }),
    change("other labels", "`labels`", |_, run| {
        run.labels = vec!["approved".to_owned()]
    }),
    change(
        "state that the server keeps",
        "`managed_state`",
        |_, run| run.managed_state = true,
    ),
];

/// Of a plan that was reviewed, at its apply.
pub(super) const OF_APPLIES: &[Change] = &[
    change(
        "another hook at the apply",
        "`hooks.before_apply`",
        |_, run| {
            let hooks = &mut run.hooks.before_apply;
            hooks.push("true".to_owned());
        },
    ),
    change(
        "another value of a variable at the apply",
        "`environment`",
        |_, run| {
            run.environment = vec![secret("WANTED", "something else")];
        },
    ),
];

/// A value that a run is given to keep to itself.
pub(super) const WANTED: &str = "what-was-wanted-is-secret";

/// A payload as somebody wanted it.
pub(super) fn wanted(payload: RunPayload) -> RunPayload {
    RunPayload {
        environment: vec![secret("WANTED", WANTED)],
        ..payload
    }
}

#[test]
fn without_signatures_a_server_decides_what_is_executed() {
    let scene = Scene::start();
    let planned = wanted(scene.world.plan("planned"));
    scene.offer(&planned);
    let mut sent = Vec::new();
    let mut send = |name, mark: String, run: &RunPayload| {
        let send = || scene.offer(run);
        sent.push(scene.sending(name, Expect::Executed, &mark, send));
    };
    for (at, change) in OF_TASKS.iter().enumerate() {
        let mark = format!("task{at}");
        let mut run = wanted(scene.world.task(&mark));
        (change.make)(&scene, &mut run);
        send(change.name, mark, &run);
    }
    scene.server().wait_result(lease_of(&planned));
    let packed = scene.server().told(lease_of(&planned)).packed.unwrap();
    let again = ["an apply that nobody confirmed", "the same apply again"];
    let again = again.map(|name| Change {
        name,
        part: "",
        make: |_, _| {},
    });
    for (at, change) in again.iter().chain(OF_APPLIES).enumerate() {
        let mark = format!("apply{at}");
        let mut run = RunPayload {
            attempt: Attempt(2 + u32::try_from(at).unwrap()),
            hooks: scene.world.plan(&mark).hooks,
            ..apply_of(&planned, &packed)
        };
        (change.make)(&scene, &mut run);
        send(change.name, mark, &run);
    }
    scene.judge_all("changes, no signature required", &sent);
}
