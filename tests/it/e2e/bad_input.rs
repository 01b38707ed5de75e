//! Things that a run needs and that are missing or damaged: the run ends and says what is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use gantry_test_support::{Docker, Program, Run, Seen, World};

use super::CODE;

fn fails(run: &Run<'_>, named: &[&str]) -> Seen {
    let seen = run.wait("FAILED");
    let told = format!("{}\n{}", seen.reasons(), run.all_logs());
    for name in named {
        assert!(
            seen.reasons().contains(name),
            "the reason does not name `{name}`:\n{told}"
        );
        assert!(
            run.all_logs().contains(name),
            "the log does not name `{name}`:\n{told}"
        );
    }
    assert_eq!(seen.times("APPLYING"), 0);
    seen
}

#[test]
fn a_worker_with_one_bit_flipped_is_never_executed() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("flipped", &repo).autodeploy().create();
    let whole = fs::read(Program::Worker.path()).unwrap();
    let stored =
        file_of_content(&world.server().data_dir(), &whole).expect("the server keeps the worker");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&stored, &flipped).unwrap();

    let launcher = world.launcher("a").start();
    let run = stack.deploy();
    fails(&run, &["worker"]);
    assert!(run.all_logs().contains("signed"), "{}", run.all_logs());
    assert!(
        file_of_content(launcher.data_dir(), &flipped).is_none(),
        "the damaged worker is kept"
    );

    fs::write(&stored, &whole).unwrap();
    stack.deploy().wait("FINISHED");
}

fn file_of_content(dir: &Path, content: &[u8]) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let (path, kind) = (entry.path(), entry.file_type().ok()?);
        if kind.is_dir() {
            if let Some(found) = file_of_content(&path, content) {
                return Some(found);
            }
        } else if entry.metadata().ok()?.len() == content.len() as u64
            && fs::read(&path).ok()? == content
        {
            return Some(path);
        }
    }
    None
}

#[test]
fn a_missing_repository_or_commit_is_named() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("sources", &repo).create();
    let missing = "0123456789012345678901234567890123456789";
    let args = ["stack", "deploy", "--id", "sources", "--sha", missing];
    let of_no_commit = world.cli().json(&args).remove(0)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let of_no_repository = stack.preview();
    let launcher = world.launcher("a").start();
    let of_no_commit = Run::of(&world, "sources", &of_no_commit);
    fails(&of_no_commit, &[missing, "does not exist"]);
    of_no_repository.wait("FINISHED");

    let path = repo.url().trim_start_matches("file://").to_owned();
    let moved = format!("{path}.away");
    drop(launcher);
    let late = stack.deploy();
    fs::rename(&path, &moved).unwrap();
    let _launcher = world.launcher("b").start();
    let late = fails(&late, &["repos/code", "moved or removed"]);
    assert_eq!(
        late.attempt, 1,
        "it was not handed to the launcher that had left"
    );

    // The server can't find the branch's head: there is no run at all, and the repository is named.
    let refused = world.cli().call(&["stack", "deploy", "--id", "sources"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains(&path), "{}", refused.stderr);
    fs::rename(&moved, &path).unwrap();
    stack.deploy().wait("UNCONFIRMED");
}

#[test]
fn images_that_are_missing_or_not_allowed_are_never_started() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let none = format!("{}/it/none:1", world.registry());
    let elsewhere = "registry.example.org/it/busybox:1";
    // A name that only begins like the allowed one.
    let longer = format!("{}0/it/busybox:1", world.registry());
    let unreadable = format!("{}/it/UPPER:1", world.registry());
    let images = [
        ("none", none.as_str()),
        ("elsewhere", elsewhere),
        ("longer", &longer),
        ("unreadable", &unreadable),
    ];
    let _launcher = world.launcher("a").start();
    for (id, image) in images {
        let stack = world
            .stack(id, &repo)
            .option("--runner-image", image)
            .create();
        let run = stack.deploy();
        let seen = fails(&run, &[image]);
        assert_eq!(
            seen.times("PLANNING") + seen.times("INITIALIZING"),
            0,
            "{seen:#?}"
        );
    }
    let known = Docker::answering().run(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(
        !known.contains("registry.example.org"),
        "a denied image was pulled: {known}"
    );
}
