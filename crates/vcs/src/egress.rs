//! What the agent will contact under its settings.
//!
//! Takes settings that were read, gives the inventory; one arm for each purpose. Never: a connection.

use gantry_net::egress::{
    Component, Contact, Inventory, Place, Protocol, VcsAgentPurpose as Purpose, first_hop,
    name_servers,
};
use url::Url;

use crate::config::{BASE_ENDPOINT, Config, POOL_TOKEN};
use crate::forward::Base;
use crate::vendor::Vendor;

/// All of it.
#[must_use]
pub fn inventory(config: &Config) -> Inventory {
    let of = |purpose: &Purpose| contacts(*purpose, config);
    let contacts = Purpose::ALL.iter().flat_map(of).collect();
    Inventory::new(Component::VcsAgent, contacts)
}

fn contacts(purpose: Purpose, config: &Config) -> Vec<Contact> {
    match purpose {
        Purpose::Gateway => gateway(config).into_iter().collect(),
        Purpose::NameServers => name_servers(purpose),
        Purpose::GitHost => git_host(config),
    }
}

fn gateway(config: &Config) -> Option<Contact> {
    // Proxies are looked up as for HTTPS, whatever is spoken inside.
    let url = Url::parse(&format!("https://{}", config.token.host)).ok()?;
    let via = (!gantry_net::is_loopback(&url))
        .then(|| first_hop(&config.outside.proxies, &url))
        .flatten();
    let protocol = match config.dial_insecure {
        true => Protocol::GrpcClearText,
        false => Protocol::Grpc,
    };
    let contact = Contact::new(Purpose::Gateway, Place::of(&url)?, POOL_TOKEN);
    Some(contact.speaking(protocol).through(via))
}

fn git_host(config: &Config) -> Vec<Contact> {
    let mut all = vec![config.base.clone()];
    if config.rules.vendor() == Vendor::GithubEnterprise {
        let base = Base::new(config.base.clone()).ok();
        all.extend(base.and_then(|base| base.archives()));
    }
    let contact = |url: &Url| {
        Contact::url(
            Purpose::GitHost,
            &config.outside.proxies,
            url,
            BASE_ENDPOINT,
        )
    };
    all.iter().filter_map(contact).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gantry_protocol::Secret;
    use gantry_vcs_wire::PoolToken;
    use serde_json::json;

    use super::*;

    fn told(vendor: &str, base: &str, insecure: &str) -> Vec<serde_json::Value> {
        let token = PoolToken {
            host: "gateway.example:443".into(),
            key: Secret::new("hunter2"),
            pool: "01HZ".into(),
        };
        let token = token.encode();
        let settings = [
            (POOL_TOKEN, token.expose()),
            (BASE_ENDPOINT, base),
            ("SPACELIFT_VCS_AGENT_VENDOR", vendor),
            ("SPACELIFT_VCS_AGENT_DIAL_INSECURE", insecure),
        ];
        let named = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::read(&BTreeMap::from(named)).unwrap();
        let told = inventory(&config).json();
        assert!(!told.to_string().contains("hunter2"));
        let contacts = told["contacts"].as_array().unwrap().clone();
        contacts
            .into_iter()
            .filter(|one| one["purpose"] != "name_servers")
            .collect()
    }

    #[test]
    fn gateway_and_host_and_nobody_else() {
        let told = told("gitlab", "https://git.inner.example:8443/gitlab", "false");
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(
            told[0]["place"],
            json!({ "host": "gateway.example", "port": 443 })
        );
        assert_eq!(told[0]["protocol"], "grpc");
        assert_eq!(
            told[1]["place"],
            json!({ "host": "git.inner.example", "port": 8443 })
        );
        assert_eq!(told[1]["protocol"], "https");
    }

    #[test]
    fn archives_of_github_have_a_host_of_their_own() {
        let told = told("github_enterprise", "http://ghe.example", "true");
        assert_eq!(told[0]["protocol"], "grpc_clear_text");
        let hosts: Vec<_> = told[1..].iter().map(|one| &one["place"]["host"]).collect();
        assert_eq!(hosts, ["ghe.example", "codeload.ghe.example"]);
        assert_eq!(told[2]["place"]["port"], 80);
    }
}
