//! A day at the command line, from the login to the hosts' new start, as a pipeline's scripts would go through it.

use gantry_test_support::{Cli, Exit, LONG, Run, World};
use serde_json::Value;

use super::CODE;

fn only(cli: &Cli, args: &[&str]) -> Value {
    let mut lines = cli.json(args);
    assert_eq!(lines.len(), 1, "gantry {}: {lines:?}", args.join(" "));
    lines.remove(0)
}

/// What a followed run said last: its end.
fn followed(cli: &Cli, args: &[&str]) -> Vec<Value> {
    let ended = cli.call(&[&["--output", "json"], args].concat());
    let text = String::from_utf8(ended.stdout).expect("text");
    let lines = text.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().expect("JSON lines");
    assert!(!lines.is_empty(), "{}", ended.stderr);
    lines
}

fn last_state(lines: &[Value]) -> &str {
    let mut newest_first = lines.iter().rev();
    let state = newest_first.find_map(|line| line["state"].as_str());
    state.expect("a state")
}

#[test]
fn from_login_to_cycle() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let pool = world.pool().id.clone();
    let _stack = world.stack("net", &repo).local_preview().create();
    let mut launcher = world.launcher("a").start();

    let cli = world.cli().logged_in("work");
    assert!(only(&cli, &["whoami"])["name"].is_string());
    let listed = cli.json(&["stack", "list"]);
    assert_eq!(listed.len(), 1);
    assert_eq!(only(&cli, &["stack", "show", "--id", "net"])["id"], "net");

    let deploy = [
        "stack",
        "deploy",
        "--id",
        "net",
        "--run-metadata",
        "ticket 1",
        "--tail",
    ];
    let lines = followed(&cli, &deploy);
    assert_eq!(last_state(&lines), "UNCONFIRMED");
    let run = lines[0]["run"].as_str().expect("the run's id").to_owned();
    let logged: String = lines
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert!(logged.contains("1 to add"), "{logged}");
    let of_run = ["--id", "net", "--run", &run];
    let changes = cli.text(&[&["stack", "changes"], &of_run[..]].concat());
    assert!(changes.contains("terraform_data.it"), "{changes}");

    let confirm = ["--run-metadata", "ticket 2", "--tail"];
    let lines = followed(
        &cli,
        &[&["stack", "confirm"], &of_run[..], &confirm].concat(),
    );
    assert_eq!(last_state(&lines), "FINISHED");
    let shown = only(&cli, &["run", "show", "--stack", "net", "--run", &run]);
    assert_eq!(
        shown["userProvidedMetadata"],
        serde_json::json!(["ticket 1", "ticket 2"])
    );
    let outputs = cli.text(&["stack", "outputs", "--id", "net"]);
    assert!(outputs.contains("hello"), "{outputs}");

    previews_what_is_on_disk(&cli, &repo);
    let task = ["stack", "task", "--id", "net", "--tail", "echo of the day"];
    assert_eq!(last_state(&followed(&cli, &task)), "FINISHED");

    // The host is asked to take nothing more, and is idle when the command ends.
    let drained = only(&cli, &["pool", "drain", "--id", &pool, "--wait"]);
    assert_eq!(drained["busy"], serde_json::json!([]));
    let waits = ["stack", "task", "--id", "net", "echo later"];
    let later = only(&cli, &waits)["id"].as_str().expect("an id").to_owned();
    let worker = launcher.id();
    cli.text(&["pool", "undrain", "--id", &pool, "--worker", &worker]);
    Run::of(&world, "net", &later).wait("FINISHED");

    cli.text(&["pool", "cycle", "--id", &pool]);
    assert_eq!(launcher.wait_exit(LONG), Exit::Code(0));
}

/// What is not committed is planned, and nothing of it is applied.
fn previews_what_is_on_disk(cli: &Cli, repo: &gantry_test_support::Repo) {
    let changed = CODE.replace("\"hello\"", "\"from my disk\"");
    std::fs::write(repo.work_tree().join("main.tf"), changed).expect("write");
    let place = repo.work_tree().display().to_string();
    let preview = [
        "stack",
        "local-preview",
        "--id",
        "net",
        "--directory",
        &place,
    ];
    let lines = followed(cli, &preview);
    assert_eq!(last_state(&lines), "FINISHED");
    let logged: String = lines
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert!(logged.contains("from my disk"), "{logged}");
    let outputs = cli.text(&["stack", "outputs", "--id", "net"]);
    assert!(outputs.contains("hello"), "{outputs}");
}
