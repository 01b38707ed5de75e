//! GitHub: `X-Hub-Signature-256`, `X-GitHub-Event`, `X-GitHub-Delivery`.

use axum::http::HeaderMap;
use gantry_protocol::Secret;
use serde::Deserialize;

use super::{Message, Refusal, bounded, branch, delivery, hash, header, json, signed};
use crate::domain::Push;

/// GitHub lists this many commits of a push at most.
const COMMITS: usize = 2048;

#[derive(Deserialize)]
struct Pushed {
    r#ref: String,
    after: String,
    before: String,
    #[serde(default)]
    forced: bool,
    repository: Repository,
    #[serde(default)]
    pusher: Pusher,
    #[serde(default)]
    commits: Vec<Commit>,
}

#[derive(Deserialize)]
struct Repository {
    clone_url: String,
    ssh_url: Option<String>,
}

#[derive(Default, Deserialize)]
struct Pusher {
    #[serde(default)]
    name: String,
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
    signed(secret, headers, "X-Hub-Signature-256", body)?;
    let delivery = delivery(headers, &["x-github-delivery"], body);
    let mut pushes = Vec::new();
    if header(headers, "x-github-event") == Some("push") {
        pushes.extend(push(json("GitHub", body)?));
    }
    Ok(Message { delivery, pushes })
}

fn push(said: Pushed) -> Option<Push> {
    let all = said.commits.len() < COMMITS && !said.forced && hash(&said.before).is_some();
    let paths = said.commits.into_iter();
    let paths = paths.flat_map(|c| c.added.into_iter().chain(c.modified).chain(c.removed));
    Some(Push {
        urls: [Some(said.repository.clone_url), said.repository.ssh_url]
            .into_iter()
            .flatten()
            .collect(),
        branch: branch(&said.r#ref)?,
        head: hash(&said.after),
        before: hash(&said.before),
        pusher: said.pusher.name,
        changed: all.then(|| paths.collect()).and_then(bounded),
    })
}
