//! What the launcher, and what it starts, will contact under its settings.
//!
//! Takes settings that were read, and what AWS' own clients read; gives the inventory, one arm for each purpose.
//! Never: a connection, a program started, a secret.

mod amazon;
mod images;
#[cfg(test)]
mod tests;

use gantry_net::Proxies;
use gantry_net::egress::{
    Component, Contact, Inventory, LauncherPurpose as Purpose, Place, Protocol, Switch, first_hop,
    name_servers,
};
use reqwest::Url;

use crate::config::{Config, Source};
use crate::container::NetworkChoice;
use crate::registry::{LoginError, Logins};
use crate::tool::Mirror;

/// The settings, as far as they say where things are.
struct Settings<'a> {
    config: &'a Config,
    source: &'a dyn Source,
    logins: Logins,
    server: &'a Url,
}

/// All of it; `server` is the one that the pool token names, `source` what the configuration was read from.
///
/// # Errors
/// When the Docker configuration can't be read.
pub fn inventory(
    config: &Config,
    server: &Url,
    source: &dyn Source,
) -> Result<Inventory, LoginError> {
    let settings = Settings {
        config,
        source,
        logins: Logins::new(config.images.logins.clone())?,
        server,
    };
    let of = |purpose: &Purpose| settings.contacts(*purpose);
    let contacts = Purpose::ALL.iter().flat_map(of).collect();
    Ok(Inventory::new(Component::Launcher, contacts))
}

impl Settings<'_> {
    fn contacts(&self, purpose: Purpose) -> Vec<Contact> {
        let config = self.config;
        match purpose {
            Purpose::Server => one(Contact::url(
                purpose,
                self.proxies(),
                self.server,
                "SPACELIFT_TOKEN",
            )),
            Purpose::NameServers => name_servers(purpose),
            Purpose::Engine => one(self.engine()),
            Purpose::Registries => self.registries(),
            Purpose::CredentialHelpers => vec![self.helpers()],
            Purpose::Ecr => self.ecr(),
            Purpose::AwsRoles => vec![self.roles()],
            Purpose::TaskCredentials => one(self.task_credentials()),
            Purpose::InstanceCredentials => one(self.instance_credentials()),
            Purpose::SpotNotices => one(match &config.spot {
                Some(service) => Contact::direct(purpose, service, "GANTRY_SPOT_NOTICE"),
                None => Some(Contact::off(purpose, Place::host(METADATA, 80))),
            }),
            Purpose::Tools => self.tools(),
            Purpose::Traces => one(match &config.otlp {
                Some(collector) => {
                    Contact::url(purpose, self.proxies(), collector, purpose_setting(purpose))
                }
                None => Some(off(purpose, "the OpenTelemetry collector")),
            }),
            Purpose::Source => self.source(),
            Purpose::Policy => vec![match &config.init_policy {
                Some(_) => class(purpose, "what programs of the policy's `exec` contact"),
                None => off(purpose, "what programs of the policy's `exec` contact"),
            }],
            Purpose::Runs => vec![match has_no_network(&config.containers.network) {
                true => off(purpose, "providers, modules and clouds of each stack"),
                false => class(purpose, "providers, modules and clouds of each stack"),
            }],
        }
    }

    /// Only an engine that is reached by TCP.
    fn engine(&self) -> Option<Contact> {
        let host = self.config.docker_host.as_deref().unwrap_or_default();
        let url = host.replacen("tcp://", "http://", 1);
        match Url::parse(&url).ok().filter(|url| url.has_host()) {
            Some(url) => Contact::direct(Purpose::Engine, &url, "DOCKER_HOST"),
            None => Some(off(Purpose::Engine, "an engine on another host")),
        }
    }

    fn tools(&self) -> Vec<Contact> {
        let purpose = Purpose::Tools;
        let tools = &self.config.tools;
        let places: Vec<Url> = match &tools.mirror {
            Mirror::Publishers => PUBLISHERS.iter().map(|host| https(host)).collect(),
            Mirror::Url(base) => vec![base.clone()],
            Mirror::Directory(_) => Vec::new(),
        };
        let setting = match tools.mirror {
            Mirror::Publishers => purpose_setting(purpose),
            Mirror::Url(_) | Mirror::Directory(_) => "GANTRY_TOOL_MIRROR",
        };
        let contact = |url: &Url| match tools.keys.is_empty() {
            true => Some(Contact::off(purpose, Place::of(url)?)),
            false => Contact::url(purpose, self.proxies(), url, setting),
        };
        places.iter().filter_map(contact).collect()
    }

    fn source(&self) -> Vec<Contact> {
        let purpose = Purpose::Source;
        let source = &self.config.source;
        let mapped = |mapping: &crate::config::VcsMapping| {
            let setting = format!("SPACELIFT_PRIVATEVCS_MAPPING ({})", mapping.name);
            Contact::url(purpose, self.proxies(), &mapping.base, setting)
        };
        let mut all: Vec<Contact> = source.vcs_mappings.iter().filter_map(mapped).collect();
        let web = class(purpose, "the git host of each stack with an https URL");
        all.push(web.through(first_hop(self.proxies(), &https("stack.invalid"))));
        let ssh = "the git host of each stack with an ssh URL";
        all.push(match source.known_hosts {
            Some(_) => class(purpose, ssh).speaking(Protocol::Ssh),
            None => Contact {
                switch: Switch::Off("GANTRY_SSH_KNOWN_HOSTS".to_owned()),
                ..class(purpose, ssh).speaking(Protocol::Ssh)
            },
        });
        all
    }
}

/// Where EC2 tells an instance about itself.
const METADATA: &str = "169.254.169.254";

/// Where the publishers keep tools, and where GitHub keeps the files of releases.
const PUBLISHERS: [&str; 4] = [
    "releases.hashicorp.com",
    "github.com",
    "release-assets.githubusercontent.com",
    "objects.githubusercontent.com",
];

fn has_no_network(choice: &NetworkChoice) -> bool {
    matches!(choice, NetworkChoice::Named(network) if network.as_str() == "none")
}

fn one(contact: Option<Contact>) -> Vec<Contact> {
    contact.into_iter().collect()
}

fn purpose_setting(purpose: Purpose) -> &'static str {
    gantry_net::egress::Purpose::from(purpose).row().setting
}

fn class(purpose: Purpose, class: &'static str) -> Contact {
    Contact::new(purpose, Place::Class { class }, purpose_setting(purpose))
}

fn off(purpose: Purpose, class: &'static str) -> Contact {
    Contact::off(purpose, Place::Class { class })
}

fn https(host: &str) -> Url {
    Url::parse(&format!("https://{host}")).expect("invariant: a host's name makes a URL")
}

impl Settings<'_> {
    fn proxies(&self) -> &Proxies {
        &self.config.outside.proxies
    }

    /// A host over HTTPS by `name`, which may have a port; each `*` in it stands for what is not known yet.
    fn named(&self, purpose: Purpose, name: &str, setting: &str) -> Option<Contact> {
        let sample = Url::parse(&format!("https://{}", name.replace('*', "any"))).ok()?;
        let contact = Contact::url(purpose, self.proxies(), &sample, setting)?;
        Some(match name.contains('*') {
            false => contact,
            true => Contact {
                place: Place::Pattern {
                    pattern: name.split(':').next().unwrap_or_default().to_owned(),
                    port: sample.port_or_known_default()?,
                },
                ..contact
            },
        })
    }
}
