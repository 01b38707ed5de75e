//! What a component will contact: the typed inventory behind `egress` and `docs/NETWORK.md`.
//!
//! Takes settings that were read already, gives rows that a person or a firewall's author can use. Never: a connection,
//! a name looked up, the login of a proxy, a client of ours whose purpose has no row (constructors ask for one).

mod hop;
mod print;
mod purposes;

use reqwest::Url;
use serde::Serialize;

use crate::proxy::Proxies;

pub use hop::{Hop, first_hop};
pub use print::page;
pub use purposes::{
    CliPurpose, Component, LauncherPurpose, Purpose, Row, ServerPurpose, VcsAgentPurpose,
};

/// Who opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The component's own process.
    Itself,
    /// The container engine, with proxies and CAs of its own.
    Dockerd,
    /// git, started by the component.
    Git,
    /// A program that the operator named, started by the component.
    Program,
    /// The container of a run.
    Run,
}

impl Who {
    /// For people; `component` is the process's own name.
    pub(crate) fn shown(self, component: Component) -> &'static str {
        match self {
            Self::Itself => component.program(),
            Self::Dockerd => "dockerd",
            Self::Git => "git",
            Self::Program => "a program of the host's",
            Self::Run => "the run's container",
        }
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP in TLS.
    Https,
    /// HTTP in clear text.
    Http,
    /// gRPC (HTTP/2) in TLS.
    Grpc,
    /// gRPC in clear text.
    GrpcClearText,
    /// DNS by UDP, and by TCP where answers are long.
    Dns,
    /// SSH.
    Ssh,
    /// Whatever was written by others.
    Any,
}

impl Protocol {
    /// For people.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Self::Https => "HTTPS",
            Self::Http => "HTTP",
            Self::Grpc => "gRPC (TLS)",
            Self::GrpcClearText => "gRPC (clear text)",
            Self::Dns => "DNS (UDP, TCP)",
            Self::Ssh => "SSH",
            Self::Any => "any",
        }
    }

    /// As the scheme of `url` says.
    pub fn of(url: &Url) -> Self {
        match url.scheme() {
            "https" => Self::Https,
            "http" => Self::Http,
            "ssh" => Self::Ssh,
            _ => Self::Any,
        }
    }
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// One host.
    Host {
        /// Name or address, an IPv6 one without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// All hosts of a pattern, in which `*` stands for one or more labels.
    Pattern {
        /// Such as `*.azurecr.io`.
        pattern: String,
        /// Their port.
        port: u16,
    },
    /// What is known only when it happens, in words.
    Class {
        /// Such as `the git host of each stack`.
        class: &'static str,
    },
}

impl Place {
    /// The host and port of `url`.
    pub fn of(url: &Url) -> Option<Self> {
        let port = url.port_or_known_default();
        let host = bare(url.host_str()?).to_owned();
        let port = port.or((url.scheme() == "ssh").then_some(22))?;
        Some(Self::Host { host, port })
    }

    /// A host by its name.
    pub fn host(host: impl Into<String>, port: u16) -> Self {
        Self::Host {
            host: host.into(),
            port,
        }
    }
}

/// An IPv6 address without the brackets of URLs.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether it happens under these settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "when", content = "setting")]
pub enum Switch {
    /// It does, because of this setting or file.
    On(String),
    /// It does not; this setting switches it on.
    Off(String),
}

/// One thing that is contacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Why.
    pub purpose: Purpose,
    /// Where.
    pub place: Place,
    /// What is spoken.
    pub protocol: Protocol,
    /// The proxy that is dialled instead.
    pub via: Option<Hop>,
    /// What switches it.
    pub switch: Switch,
}

impl Contact {
    /// A place that is spoken to as its purpose's row has it, without a proxy.
    pub fn new(purpose: impl Into<Purpose>, place: Place, setting: impl Into<String>) -> Self {
        let purpose = purpose.into();
        Self {
            place,
            protocol: purpose.row().protocol,
            via: None,
            switch: Switch::On(setting.into()),
            purpose,
        }
    }

    /// Something that is off, and where it would lead.
    pub fn off(purpose: impl Into<Purpose>, place: Place) -> Self {
        let purpose = purpose.into();
        Self {
            switch: Switch::Off(purpose.row().setting.to_owned()),
            ..Self::new(purpose, place, "")
        }
    }

    /// A URL, through the proxy that is set for it.
    pub fn url(
        purpose: impl Into<Purpose>,
        proxies: &Proxies,
        url: &Url,
        setting: impl Into<String>,
    ) -> Option<Self> {
        let mut contact = Self::direct(purpose, url, setting)?;
        contact.via = first_hop(proxies, url);
        Some(contact)
    }

    /// A URL that no proxy ever sees.
    pub fn direct(
        purpose: impl Into<Purpose>,
        url: &Url,
        setting: impl Into<String>,
    ) -> Option<Self> {
        let mut contact = Self::new(purpose, Place::of(url)?, setting);
        contact.protocol = Protocol::of(url);
        Some(contact)
    }

    /// The same with another protocol.
    pub fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The same through what `via` says.
    pub fn through(mut self, via: Option<Hop>) -> Self {
        self.via = via;
        self
    }
}

/// All that a component contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Whose.
    pub component: Component,
    /// What.
    pub contacts: Vec<Contact>,
}

impl Inventory {
    /// `contacts`, in the order of their purposes, without repetitions.
    pub fn new(component: Component, mut contacts: Vec<Contact>) -> Self {
        let order = component.purposes();
        let place = |contact: &Contact| order.iter().position(|one| *one == contact.purpose);
        contacts.sort_by_key(place);
        contacts.dedup();
        Self {
            component,
            contacts,
        }
    }
}

/// Name servers of `/etc/resolv.conf`, which every component asks.
pub fn name_servers(purpose: impl Into<Purpose>) -> Vec<Contact> {
    let purpose = purpose.into();
    let (file, servers) = crate::resolver::system_servers();
    let contact = |server: std::net::SocketAddr| {
        let place = Place::host(server.ip().to_string(), server.port());
        Contact::new(purpose, place, file)
    };
    servers.into_iter().map(contact).collect()
}
