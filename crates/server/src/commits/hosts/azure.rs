//! Azure DevOps: basic authentication of a service hook, `eventType`, `id`. It tells no paths, but from where.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use serde::Deserialize;

use super::{Message, Refusal, branch, hash, header, json, same};
use crate::domain::Push;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: String,
    event_type: String,
    resource: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pushed {
    ref_updates: Vec<Update>,
    repository: Repository,
    #[serde(default)]
    pushed_by: Pusher,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    name: String,
    new_object_id: String,
    #[serde(default)]
    old_object_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    remote_url: String,
    ssh_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pusher {
    #[serde(default)]
    display_name: String,
}

pub(super) fn read(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<Message, Refusal> {
    if !password(headers).is_some_and(|given| same(given.expose(), secret)) {
        return Err(Refusal::Unproven(
            "the password of the basic authentication",
        ));
    }
    let event: Event = json("Azure DevOps", body)?;
    let mut pushes = Vec::new();
    if event.event_type == "git.push" {
        let said: Pushed = json("Azure DevOps", event.resource.to_string().as_bytes())?;
        let urls = [Some(said.repository.remote_url), said.repository.ssh_url];
        let urls: Vec<String> = urls.into_iter().flatten().collect();
        pushes.extend(said.ref_updates.iter().filter_map(|update| {
            Some(Push {
                urls: urls.clone(),
                branch: branch(&update.name)?,
                head: hash(&update.new_object_id),
                pusher: said.pushed_by.display_name.clone(),
                before: hash(&update.old_object_id),
                changed: None,
            })
        }));
    }
    Ok(Message {
        delivery: event.id.chars().take(128).collect(),
        pushes,
    })
}

fn password(headers: &HeaderMap) -> Option<Secret> {
    let given = header(headers, "authorization")?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
    Some(Secret::new(password))
}
