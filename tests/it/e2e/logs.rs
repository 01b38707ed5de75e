//! Logs under bad conditions: secrets in every writing, servers that are away or forget, spools that somebody
//! tampers with.

use std::path::Path;
use std::process::Command;

use gantry_test_support::{Launcher, Run, World, wait_for};
use serde_json::Value;

use super::{CODE, waiting};

const MIB: usize = 1 << 20;

/// Prints 20 MB of numbered lines of 100 bytes.
const FLOOD: &str = "awk 'BEGIN { for (i = 0; i < 200000; i++) printf \"%099d\\n\", i }'";

fn flood() -> Vec<u8> {
    (0..200_000)
        .flat_map(|i| format!("{i:099}\n").into_bytes())
        .collect()
}

/// A task that is about to print, on a launcher with these settings.
struct Scene<'w> {
    launcher: Launcher,
    run: Run<'w>,
}

impl<'w> Scene<'w> {
    fn new(world: &'w World, settings: &[(&str, &str)], command: &str) -> Self {
        let repo = world.repo("code");
        repo.commit(&[("main.tf", CODE)]);
        let stack = world.stack("logs", &repo).create();
        let mut launcher = world.launcher("a");
        for (name, value) in settings {
            launcher = launcher.env(name, value);
        }
        let launcher = launcher.start();
        let run = stack.bare_task(&format!("{}; {command}", waiting("task")));
        launcher.run_dir(run.id(), 1).wait_file("in-task");
        Self { launcher, run }
    }

    fn go(&self, name: &str) {
        let dir = self.launcher.run_dir(self.run.id(), 1);
        dir.put_file(&format!("go-{name}"));
    }

    fn wait_in(&self, name: &str) {
        let dir = self.launcher.run_dir(self.run.id(), 1);
        dir.wait_file(&format!("in-{name}"));
    }

    /// The task's log once the run has ended.
    fn log(&self) -> Vec<u8> {
        self.run.wait("FINISHED");
        self.run.download("PERFORMING")
    }
}

/// How many bytes the markers in `log` say are missing, and the log without markers.
fn without_markers(log: &[u8]) -> (usize, Vec<u8>) {
    let text = String::from_utf8_lossy(log);
    let (mut missing, mut rest) = (0, String::new());
    for (index, part) in text.split("\n[gantry: ").enumerate() {
        if index == 0 {
            rest.push_str(part);
            continue;
        }
        let (marker, after) = part.split_once("]\n").expect("a whole marker");
        let count = marker.split(' ').next().expect("a count");
        missing += count.parse::<usize>().expect("a count");
        rest.push_str(after);
    }
    (missing, rest.into_bytes())
}

#[test]
fn a_run_prints_on_without_a_server_and_no_byte_is_lost() {
    let world = World::start();
    let floods = [FLOOD; 6].join("; ");
    let scene = Scene::new(
        &world,
        &[],
        &format!("{floods}; touch /mnt/workspace/in-printed"),
    );
    world.wire().cut();
    scene.go("task");
    scene.wait_in("printed");
    world.wire().heal();
    let log = scene.log();
    assert!(log == flood().repeat(6), "120 MB, byte for byte");
}

#[test]
fn beyond_the_budget_the_middle_is_missing_behind_a_marker() {
    let world = World::start();
    let floods = [FLOOD; 3].join("; ");
    let scene = Scene::new(
        &world,
        &[("GANTRY_LOG_SPOOL_MB", "16")],
        &format!("{floods}; touch /mnt/workspace/in-printed"),
    );
    world.wire().cut();
    scene.go("task");
    scene.wait_in("printed");
    world.wire().heal();
    let printed = flood().repeat(3);
    let (missing, rest) = without_markers(&scene.log());
    assert_eq!(rest.len() + missing, printed.len());
    assert!(
        (8 * MIB..=17 * MIB).contains(&rest.len()),
        "{} bytes",
        rest.len()
    );
    let common =
        |one: &mut dyn Iterator<Item = (&u8, &u8)>| one.take_while(|(a, b)| a == b).count();
    let head = common(&mut rest.iter().zip(&printed));
    let tail = common(&mut rest.iter().rev().zip(printed.iter().rev()));
    assert!(
        head > MIB && tail > MIB && head + tail >= rest.len(),
        "{head} {tail}"
    );
}

#[test]
fn a_spool_that_the_run_cuts_short_is_marked() {
    let world = World::start();
    let cut = "for file in /gantry/spool/log-*; do : > $file; done; touch /mnt/workspace/in-cut";
    let scene = Scene::new(
        &world,
        &[],
        &format!("{FLOOD}; {cut}; echo behind the cut; {FLOOD}"),
    );
    world.wire().cut();
    scene.go("task");
    scene.wait_in("cut");
    world.wire().heal();
    let (missing, rest) = without_markers(&scene.log());
    let printed = 2 * flood().len() + "behind the cut\n".len();
    assert_eq!(
        rest.len() + missing,
        printed,
        "what is not there is counted"
    );
    assert!(missing > 15_000_000, "{missing}");
}

#[test]
fn a_server_that_was_restored_from_a_backup_has_a_marker_where_it_forgot() {
    let world = World::start();
    let end = waiting("end");
    let scene = Scene::new(&world, &[], &format!("{FLOOD}; {end}; echo the end"));
    let copy = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.expect("run cp").success());
    };
    let (data, backup) = (world.server().data_dir(), world.dir().join("backup"));
    world.server().kill();
    copy(&data, &backup);
    world.server().start_again();
    scene.go("task");
    scene.wait_in("end");
    wait_for("the flood to be stored", gantry_test_support::LONG, || {
        let stored = scene.run.download("PERFORMING").len();
        (stored >= flood().len())
            .then_some(())
            .ok_or(stored.to_string())
    });

    world.server().kill();
    std::fs::remove_dir_all(&data).expect("lose the server's data");
    copy(&backup, &data);
    world.server().start_again();
    scene.go("end");
    let (missing, rest) = without_markers(&scene.log());
    let text = String::from_utf8_lossy(&rest);
    assert_eq!(missing + rest.len(), flood().len() + "the end\n".len());
    assert!(missing > 15_000_000, "{missing}");
    assert!(text.ends_with("the end\n"), "{text}");
}

/// Secrets with everything that other writings change.
const STACK: &str = "s3cret/with+odd=\"chars\" & <more>";
const HOST: &str = "the host's {token} of 100%";
const KEY: &str = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\nAoIBAQDBj08sp5++4anGcmQxJjAkBgNVBAoTHVByb2dy\n-----END KEY-----";

/// Prints the three secrets in many writings, each behind a mark.
const SHOW: &str = r#"
show() { echo "plain <$1>"; echo "base64 <$(printf %s "$1" | base64)>"; echo "login <$(printf 'user:%s' "$1" | base64)>";
  echo "hex <$(printf %s "$1" | od -An -tx1 | tr -d ' \n')>"; }
show "$STACK"; show "$HOST"; show "$KEY"
echo "indented"; echo "$KEY" | sed 's/^/        /'
echo "slowly"; printf '%s' "$STACK" | while IFS= read -r -n 1 c || [ -n "$c" ]; do printf '%s' "$c"; done; echo
echo "pin $PIN"; echo all shown
"#;

#[test]
fn secrets_are_hidden_in_the_log_on_standard_output_and_in_the_launchers_own() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world
        .stack("secrets", &repo)
        .secret("STACK", STACK)
        .create();
    let mut launcher = world
        .launcher("a")
        .env("SPACELIFT_WHITELIST_ENVS", "HOST,KEY,PIN")
        .env("SPACELIFT_MASK_ENVS", "HOST,KEY,PIN")
        .env("HOST", HOST)
        .env("KEY", KEY)
        .env("PIN", "123")
        .env("SPACELIFT_RUN_LOGS_ON_STANDARD_OUTPUT_ENABLED", "true")
        .env("SPACELIFT_DEBUG", "true")
        .env("GANTRY_LOG", "debug")
        .start();
    let run = stack.bare_task(&format!("{SHOW} : {STACK:?}"));
    run.wait("FINISHED");
    let log = run.wait_log("PERFORMING", "all shown");
    let everything = run.all_logs();
    launcher.drain();
    let output = String::from_utf8(launcher.output()).expect("UTF-8");

    assert_eq!(log.matches("plain <*****>").count(), 3, "{log}");
    assert!(
        log.contains("base64 <*****>") && log.contains("hex <*****>"),
        "{log}"
    );
    assert!(
        log.contains("[gantry] + show()"),
        "the command is shown: {log}"
    );
    assert!(
        everything.contains("1 of the run's secrets are NOT hidden")
            && everything.contains(": PIN."),
        "{everything}"
    );
    for (place, text) in [
        ("the run's log", &everything),
        ("standard output", &output),
        ("the launcher's log", &launcher.log()),
    ] {
        for part in [
            "s3cret",
            "host's {token",
            "MIIEvQ",
            "AoIBAQ",
            "czNjcmV0",
            "dGhlIGhvc3Q",
            "733363726574",
        ] {
            assert!(!text.contains(part), "{part} is in {place}:\n{text}");
        }
    }

    let records: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).expect("only records"))
        .collect();
    assert!(
        records
            .iter()
            .all(|record| record["run_ulid"] == run.id() && record["stack_id"] == "secrets"),
        "{output}"
    );
    let told: Vec<&str> = records.iter().filter_map(|r| r["msg"].as_str()).collect();
    let lines: Vec<&str> = log.lines().collect();
    let first = told.iter().position(|line| *line == lines[0]);
    let first = first.unwrap_or_else(|| panic!("{} is not in {output}", lines[0]));
    assert_eq!(
        told[first..first + lines.len()],
        lines,
        "the same lines in the same order"
    );
}
