//! GitLab: `X-Gitlab-Token`, `X-Gitlab-Event`, `Idempotency-Key` or `X-Gitlab-Event-UUID`.

use axum::http::HeaderMap;
use gantry_protocol::Secret;
use serde::Deserialize;

use super::{Message, Refusal, bounded, branch, delivery, hash, header, json, same};
use crate::domain::Push;

#[derive(Deserialize)]
struct Pushed {
    r#ref: String,
    before: String,
    after: String,
    #[serde(default)]
    user_name: String,
    project: Project,
    #[serde(default)]
    commits: Vec<Commit>,
    #[serde(default)]
    total_commits_count: usize,
}

#[derive(Deserialize)]
struct Project {
    git_http_url: String,
    git_ssh_url: Option<String>,
}

#[derive(Deserialize)]
struct Commit {
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    modified: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

pub(super) fn read(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<Message, Refusal> {
    if !header(headers, "x-gitlab-token").is_some_and(|given| same(given, secret)) {
        return Err(Refusal::Unproven("X-Gitlab-Token"));
    }
    let names = ["idempotency-key", "x-gitlab-event-uuid"];
    let delivery = delivery(headers, &names, body);
    let mut pushes = Vec::new();
    if header(headers, "x-gitlab-event") == Some("Push Hook") {
        pushes.extend(push(json("GitLab", body)?));
    }
    Ok(Message { delivery, pushes })
}

fn push(said: Pushed) -> Option<Push> {
    // GitLab lists 20 commits of a push; of a new branch it lists those that are new to it only.
    let all = said.commits.len() >= said.total_commits_count && hash(&said.before).is_some();
    let paths = said.commits.into_iter();
    let paths = paths.flat_map(|c| c.added.into_iter().chain(c.modified).chain(c.removed));
    Some(Push {
        urls: [Some(said.project.git_http_url), said.project.git_ssh_url]
            .into_iter()
            .flatten()
            .collect(),
        branch: branch(&said.r#ref)?,
        head: hash(&said.after),
        before: hash(&said.before),
        pusher: said.user_name,
        changed: all.then(|| paths.collect()).and_then(bounded),
    })
}
