//! Bitbucket Data Center: `X-Hub-Signature`, `X-Event-Key`, `X-Request-Id`. It tells no paths, but from where.

use axum::http::HeaderMap;
use gantry_protocol::Secret;
use serde::Deserialize;

use super::{Message, Refusal, branch, delivery, hash, header, json, signed};
use crate::domain::Push;

#[derive(Deserialize)]
struct Pushed {
    #[serde(default)]
    actor: Actor,
    repository: Repository,
    changes: Vec<Change>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Actor {
    #[serde(default)]
    display_name: String,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    links: Links,
}

#[derive(Default, Deserialize)]
struct Links {
    #[serde(default)]
    clone: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    ref_id: String,
    to_hash: String,
    #[serde(default)]
    from_hash: String,
}

pub(super) fn read(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<Message, Refusal> {
    signed(secret, headers, "X-Hub-Signature", body)?;
    let delivery = delivery(headers, &["x-request-id"], body);
    let mut pushes = Vec::new();
    if header(headers, "x-event-key") == Some("repo:refs_changed") {
        let said: Pushed = json("Bitbucket Data Center", body)?;
        let links = said.repository.links.clone.into_iter();
        let urls: Vec<String> = links.map(|link| link.href).collect();
        if urls.is_empty() {
            return Err(Refusal::Malformed {
                host: "Bitbucket Data Center",
                reason: "`repository.links.clone` is missing (Bitbucket 7.21 and newer send it)"
                    .to_owned(),
            });
        }
        let pusher = said.actor.display_name;
        pushes.extend(said.changes.iter().filter_map(|change| {
            Some(Push {
                urls: urls.clone(),
                branch: branch(&change.ref_id)?,
                head: hash(&change.to_hash),
                pusher: pusher.clone(),
                before: hash(&change.from_hash),
                changed: None,
            })
        }));
    }
    Ok(Message { delivery, pushes })
}
