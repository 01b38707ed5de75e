//! Real git and archives, through a real agent.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::world::{World, until};

const LIMIT: Duration = Duration::from_secs(60);

fn git(dir: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "It")
            .env(format!("GIT_{role}_EMAIL"), "it@example.org");
    }
    let output = command.env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn done(dir: &Path, args: &[&str]) -> String {
    let (well, text) = git(dir, args);
    assert!(well, "git {args:?}: {text}");
    text.trim().to_owned()
}

/// A repository below a group in a group, with enough branches that git compresses what it asks.
fn repository(world: &World) -> String {
    let work = world.path().join("work");
    std::fs::create_dir(&work).unwrap();
    done(&work, &["init", "--quiet", "--initial-branch=main"]);
    for number in 0..60 {
        std::fs::write(work.join("main.tf"), format!("# {number}\n")).unwrap();
        done(&work, &["add", "main.tf"]);
        done(&work, &["commit", "--quiet", "--message", "A change"]);
        done(&work, &["branch", &format!("branch-{number}")]);
    }
    let bare = world.repos().join("group/team/app.git");
    done(
        &work,
        &["clone", "--quiet", "--mirror", ".", bare.to_str().unwrap()],
    );
    done(&work, &["rev-parse", "HEAD"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_only_an_agent_reaches_is_cloned() {
    let world = World::new().await;
    let head = repository(&world);
    let agent = world.agent("agent", 4).await;
    let wait = Duration::from_secs(1);
    let direct = |ip: std::net::Ipv4Addr| TcpStream::connect_timeout(&(ip, 8080).into(), wait);
    assert!(
        direct(world.net.far()).is_err(),
        "the server must not reach the host itself"
    );
    assert!(direct([127, 0, 0, 1].into()).is_err());

    let (url, header) = world.bridge("group/team/app.git");
    let header = format!("http.extraHeader={header}");
    let clone = world.path().join("clone");
    let dir = world.path();
    let target = clone.to_str().unwrap().to_owned();
    tokio::task::block_in_place(|| {
        let listed = done(dir, &["-c", &header, "ls-remote", &url, "refs/heads/main"]);
        assert!(listed.starts_with(&head), "{listed}");
        done(dir, &["-c", &header, "clone", "--quiet", &url, &target]);
        assert_eq!(done(&clone, &["rev-parse", "HEAD"]), head);
        assert_eq!(done(&clone, &["branch", "--remotes"]).lines().count(), 62);
        let (well, text) = git(dir, &["ls-remote", &url]);
        assert!(!well, "without the header: {text}");
        let (well, text) = git(
            &clone,
            &["-c", &header, "push", "--quiet", "origin", "HEAD:other"],
        );
        assert!(!well, "a push: {text}");
    });
    until("the lines are there", || agent.lines().len() >= 4).await;
    let lines = agent.lines();
    let names: Vec<_> = lines
        .iter()
        .filter_map(|line| line["name"].as_str())
        .collect();
    assert!(
        names.iter().all(|name| name.starts_with("Git Clone")),
        "{names:?}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line["project"] == "group/team/app" || line["decision"] == "refused")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_500_megabytes_takes_little_memory() {
    let world = World::new().await;
    let agent = world.agent("agent", 4).await;
    let kilobytes: u64 = 500 * 1024;
    let target = format!("/api/v4/projects/bytes%2F{kilobytes}/repository/archive");
    let mut body = world
        .send("archive", &target, LIMIT * 5)
        .await
        .unwrap()
        .body;
    let mut bytes = 0;
    while let Some(piece) = futures_util::StreamExt::next(&mut body).await {
        bytes += piece.unwrap().len() as u64;
    }
    assert_eq!(bytes, kilobytes * 1024);
    let peak = agent.peak();
    assert!(peak < 64 * 1024, "the agent had {peak} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_an_archive_is_waited_for_in_little_memory() {
    let world = World::new().await;
    let agent = world.agent("agent", 4).await;
    let target = "/api/v4/projects/bytes%2F204800/repository/archive";
    let mut held = Vec::new();
    for number in 0..4 {
        held.push(
            world
                .send(&format!("held-{number}"), target, LIMIT)
                .await
                .unwrap(),
        );
    }
    let mut body = held.remove(0).body;
    let mut bytes = 0;
    while let Some(piece) = futures_util::StreamExt::next(&mut body).await {
        bytes += piece.unwrap().len();
    }
    assert_eq!(
        bytes,
        200 << 20,
        "one that is read is not held up by those that are not"
    );
    let peak = agent.peak();
    assert!(peak < 64 * 1024, "the agent had {peak} kB");
}
