//! The system's git through the bridge, to a real repository behind an agent.

use std::process::Stdio;

use gantry_server::gateway::BRIDGE_HEADER;
use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{HttpRequest, HttpResponse, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::{Agent, World, chunk, end, head};

/// Answers requests by `git http-backend`, the program that real servers use.
async fn backend(root: std::path::PathBuf, asked: HttpRequest) -> HttpResponse {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&asked.body).await.unwrap();
    drop(stdin);
    let out = child.wait_with_output().await.unwrap().stdout;
    let split = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut status = 200;
    let mut headers = std::collections::HashMap::new();
    for line in String::from_utf8_lossy(&out[..split]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "Status" => status = value[..3].parse().unwrap(),
            _ => drop(headers.insert(name.to_owned(), value.to_owned())),
        }
    }
    HttpResponse {
        status,
        headers,
        body: out[split + 4..].to_vec(),
    }
}

fn serves(mut agent: Agent, root: std::path::PathBuf) {
    tokio::spawn(async move {
        while let Ok(Some(request)) = agent.hears.message().await {
            let Some(Kind::HttpRequest(asked)) = request.request else {
                continue;
            };
            assert!(!asked.headers.contains_key(BRIDGE_HEADER));
            let answer = backend(root.clone(), asked).await;
            let parts = if agent.agreed.chunks {
                let mut parts = vec![Content::ResponseHead(gantry_vcs_wire::wire::ResponseHead {
                    status: answer.status,
                    headers: Vec::new(),
                })];
                if let (Content::ResponseHead(head), Some(kind)) =
                    (&mut parts[0], answer.headers.get("Content-Type"))
                {
                    head.headers.push(gantry_vcs_wire::wire::Header {
                        name: "content-type".to_owned(),
                        value: kind.clone().into_bytes(),
                    });
                }
                parts.extend(answer.body.chunks(64 * 1024).map(chunk));
                parts.push(end(""));
                parts
            } else {
                vec![Content::HttpResponse(answer)]
            };
            for content in parts {
                let response = Response {
                    id: request.id.clone(),
                    content: Some(content),
                };
                drop(agent.says.send(response).await);
            }
        }
    });
}

async fn git(dir: &std::path::Path, arguments: &[&str], header: Option<&str>) -> (bool, String) {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    if let Some(header) = header {
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", header);
    }
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).trim().to_owned(),
    )
}

#[tokio::test]
async fn git_reads_a_repository_that_only_an_agent_reaches() {
    let world = World::new().await;
    let root = world.dir.path().join("repos");
    let code = root.join("team").join("code.git");
    std::fs::create_dir_all(&code).unwrap();
    git(&code, &["init", "-q"], None).await;
    // Larger than one piece of git's buffers, and than one part.
    let noise: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(code.join("noise"), &noise).unwrap();
    git(&code, &["add", "."], None).await;
    git(&code, &["commit", "-q", "-m", "one"], None).await;
    let (_, commit) = git(&code, &["rev-parse", "HEAD"], None).await;
    for (process, features) in [("", ""), ("p", "chunks")] {
        let who = crate::world::Who {
            process,
            features,
            ..Default::default()
        };
        serves(world.agent(who).await.unwrap(), root.clone());
        let (url, (name, secret)) = world.gateway.bridge(&world.pool, "team/code.git");
        let header = format!("{name}: {}", secret.expose());
        let (done, text) = git(
            world.dir.path(),
            &["ls-remote", url.as_str(), "HEAD"],
            Some(&header),
        )
        .await;
        assert!(done && text.starts_with(&commit), "{text}");
        let target = format!("clone-{process}");
        let (done, text) = git(
            world.dir.path(),
            &["clone", "-q", url.as_str(), &target],
            Some(&header),
        )
        .await;
        assert!(done, "{text}");
        let cloned = world.dir.path().join(&target);
        assert_eq!(std::fs::read(cloned.join("noise")).unwrap(), noise);
        // Writing is no business of the bridge.
        let (done, text) = git(
            &cloned,
            &["push", url.as_str(), "HEAD:refs/heads/x"],
            Some(&header),
        )
        .await;
        assert!(!done && text.contains("403"), "{text}");
        // Without the secret, or with another, there is nothing.
        for wrong in [None, Some(format!("{name}: nonsense"))] {
            let (done, text) = git(
                world.dir.path(),
                &["ls-remote", url.as_str()],
                wrong.as_deref(),
            )
            .await;
            assert!(!done && text.contains("not found"), "{text}");
        }
    }
    let lines = world.log(4).await;
    assert!(
        lines
            .iter()
            .any(|line| line.purpose == "git: fetch"
                && line.path == "/team/code.git/git-upload-pack")
    );
}

#[tokio::test]
async fn a_redirect_does_not_lead_git_around_the_agents() {
    let world = World::new().await;
    let mut agent = world.ours("p").await;
    let (url, (name, secret)) = world.gateway.bridge(&world.pool, "a.git");
    let header = format!("{name}: {}", secret.expose());
    let dir = world.dir.path().to_owned();
    let asked =
        tokio::spawn(async move { git(&dir, &["ls-remote", url.as_str()], Some(&header)).await });
    let (id, request) = agent.asked().await;
    assert_eq!(request.path, "/a.git/info/refs?service=git-upload-pack");
    agent.say(&id, head(301)).await;
    agent.say(&id, end("")).await;
    let (done, text) = asked.await.unwrap();
    assert!(!done && text.contains("502"), "{text}");
}
