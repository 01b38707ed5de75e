//! What a run leaves behind was written by hostile code: links out of it, lines without an end.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use gantry_test_support::World;

use super::CODE;

#[test]
fn links_out_of_the_workspace_are_neither_read_nor_written() {
    const MARKER: &str = "a-line-of-the-host-that-no-run-may-see";
    let world = World::start();
    let outside = world.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(outside.join("file"), MARKER).unwrap();
    let repo = world.repo("code");
    symlink("/etc/passwd", repo.work_tree().join("passwd")).unwrap();
    symlink(outside.join("file"), repo.work_tree().join("outside")).unwrap();
    repo.commit(&[("main.tf", CODE)]);
    let dir = outside.display();
    let links = format!(
        "cd /mnt/workspace; ln -s {dir} a-directory; ln -s {dir}/file a-file; ln -s {dir}/made dangling; \
         ln -s ../../../../../../../../{dir}/file climbing; ln -s source/main.tf inside; mkfifo a-pipe"
    );
    let look = "cd /mnt/workspace; for name in a-directory a-file dangling climbing inside source/passwd; do \
                if [ -L $name ]; then echo \"link $name\"; else echo \"none $name\"; fi; done; \
                cat a-file climbing a-directory/file; echo written > dangling; true";
    let stack = world
        .stack("links", &repo)
        .option("--after-plan", &links)
        .option("--before-apply", look)
        .create();
    let _launcher = world.launcher("a").start();
    let run = stack.deploy();
    run.wait("UNCONFIRMED");
    run.confirm();
    run.wait("FINISHED");

    let log = run.wait_log("APPLYING", "link inside");
    let told = run.all_logs();
    let told = told
        .lines()
        .find(|line| line.starts_with("Left out of the stored workspace"));
    let told = told.expect("what was not packed is told");
    for name in [
        "a-directory",
        "a-file",
        "climbing",
        "dangling",
        "a-pipe",
        "source/passwd",
    ] {
        assert!(told.contains(name), "{name} in: {told}");
    }
    assert!(
        !run.all_logs().contains(MARKER),
        "the host's file was packed:\n{log}"
    );
    let left: Vec<_> = fs::read_dir(&outside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["file"], "something was written outside");
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), MARKER);
}

#[test]
fn a_line_of_ten_megabytes_arrives_whole() {
    const LENGTH: usize = 10_000_000;
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("line", &repo).create();
    let _launcher = world.launcher("a").start();
    let run = stack.bare_task(&format!(
        "head -c {LENGTH} /dev/zero | tr '\\0' x; echo; echo after"
    ));
    run.wait("FINISHED");
    run.wait_log("PERFORMING", "after");
    let log = run.log_bytes("PERFORMING");
    let longest = log.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert_eq!(longest, Some(LENGTH));
    let whole = log
        .split(|byte| *byte == b'\n')
        .filter(|line| line.len() == LENGTH);
    assert!(
        whole.flatten().all(|byte| *byte == b'x'),
        "nothing was put into the line"
    );
}
