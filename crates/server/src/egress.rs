//! What the server will contact: under its settings, and for what people stored.
//!
//! Takes the data directory, gives the inventory; one arm for each purpose. Never: a connection, a change of the
//! database, a secret.

use std::path::Path;

use gantry_net::Proxies;
use gantry_net::egress::{
    Component, Contact, Inventory, Place, Protocol, ServerPurpose as Purpose, Switch, first_hop,
    name_servers,
};
use url::Url;

use crate::code_hosts::archives;
use crate::domain::CodeHost;
use crate::store::integrations::{self, Integration};
use crate::store::outbox::{self, Target};
use crate::store::{Store, StoreError, pushes};
use crate::vcs_probe::dialled;

/// What people stored that names hosts.
#[derive(Debug, Default)]
struct Stored {
    integrations: Vec<Integration>,
    targets: Vec<Target>,
    repositories: Vec<String>,
}

/// All of it. A data directory without a database, as before the first start, has nothing stored.
///
/// # Errors
/// When the database can't be read.
pub async fn inventory(data_dir: &Path, proxies: &Proxies) -> Result<Inventory, StoreError> {
    let stored = match Store::look(data_dir).await? {
        Some(mut conn) => Stored {
            integrations: integrations::list(&mut conn).await?,
            targets: outbox::targets(&mut conn).await?,
            repositories: pushes::urls(&mut conn).await?,
        },
        None => Stored::default(),
    };
    let contacts = Purpose::ALL
        .iter()
        .flat_map(|purpose| contacts(*purpose, &stored, proxies));
    Ok(Inventory::new(Component::Server, contacts.collect()))
}

fn contacts(purpose: Purpose, stored: &Stored, proxies: &Proxies) -> Vec<Contact> {
    let (found, class) = match purpose {
        Purpose::NameServers => return name_servers(purpose),
        Purpose::CodeHosts => (
            code_hosts(stored, proxies),
            "the API of each VCS integration",
        ),
        Purpose::Webhooks => (webhooks(stored, proxies), "each webhook's URL"),
        Purpose::Git => (git(stored, proxies), "the git host of each stack"),
    };
    match found.is_empty() {
        true => vec![Contact::off(purpose, Place::Class { class })],
        false => found,
    }
}

fn code_hosts(stored: &Stored, proxies: &Proxies) -> Vec<Contact> {
    let mut all = Vec::new();
    for one in &stored.integrations {
        // Through an agent, the request travels on the agent's connection.
        let Some(api) = one.api_url.as_deref().and_then(|url| Url::parse(url).ok()) else {
            continue;
        };
        if !matches!(api.scheme(), "https" | "http") {
            continue;
        }
        let setting = format!("integration {}", one.id);
        all.extend(Contact::url(
            Purpose::CodeHosts,
            proxies,
            &api,
            setting.clone(),
        ));
        if matches!(one.host, CodeHost::Github) {
            let archives = archives(&api);
            all.extend(
                archives.and_then(|url| Contact::url(Purpose::CodeHosts, proxies, &url, setting)),
            );
        }
    }
    all
}

fn webhooks(stored: &Stored, proxies: &Proxies) -> Vec<Contact> {
    let contact = |target: &Target| {
        let url = Url::parse(&target.url).ok()?;
        let contact = Contact::url(
            Purpose::Webhooks,
            proxies,
            &url,
            format!("webhook {}", target.name),
        )?;
        Some(match target.enabled {
            true => contact,
            false => Contact {
                switch: Switch::Off(format!("webhook {}", target.name)),
                ..contact
            },
        })
    };
    stored.targets.iter().filter_map(contact).collect()
}

/// Each host once, however many repositories it has. An integration names one before a stack does.
fn git(stored: &Stored, proxies: &Proxies) -> Vec<Contact> {
    let prefixes = stored.integrations.iter().map(|one| &one.url_prefix);
    let urls = stored.repositories.iter().chain(prefixes);
    let mut hosts: Vec<_> = urls.filter_map(|url| dialled(url)).collect();
    hosts.sort();
    hosts.dedup();
    let contact = |(host, port, ssh): (String, u16, bool)| {
        let place = Place::host(host.clone(), port);
        let contact = Contact::new(Purpose::Git, place, "stacks, integrations");
        match ssh {
            true => contact.speaking(Protocol::Ssh),
            false => {
                let bracketed = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host
                };
                let url = Url::parse(&format!("https://{bracketed}:{port}")).ok();
                contact.through(url.as_ref().and_then(|url| first_hop(proxies, url)))
            }
        }
    };
    hosts.into_iter().map(contact).collect()
}

#[cfg(test)]
mod tests;
