//! Networks that we make, and what the engine says of networks.
//!
//! Takes nothing, gives plain values; `docker::networks` performs them. Never: a network whose addresses the
//! engine chooses.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net};

/// One bridge network to make. Always without IPv6, and without traffic between its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Name, unique on the engine.
    pub name: String,
    /// Name of the bridge on the engine's host, at most 15 bytes.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// Largest packet in bytes; `None` is the engine's default.
    pub mtu: Option<u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A network of the engine, by name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkView {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Driver: `bridge`, `host`, `null`, …
    pub driver: String,
    /// Names of the containers that run in it.
    pub containers: Vec<String>,
}

/// One row of a listing of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNetwork {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Driver.
    pub driver: String,
    /// Its address ranges.
    pub subnets: Vec<IpNet>,
    /// Whether it carries IPv6.
    pub ipv6: bool,
    /// Options of its driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Option that names the bridge.
const BRIDGE: &str = "com.docker.network.bridge.name";

/// Option that lets containers of one network talk to each other.
const BETWEEN: &str = "com.docker.network.bridge.enable_icc";

/// Option with the largest packet.
const MTU: &str = "com.docker.network.driver.mtu";

impl NetworkSpec {
    /// Options of the engine's bridge driver.
    pub fn options(&self) -> BTreeMap<String, String> {
        let mut options = BTreeMap::from([
            (BRIDGE.to_owned(), self.bridge.clone()),
            (BETWEEN.to_owned(), "false".to_owned()),
        ]);
        if let Some(mtu) = self.mtu {
            options.insert(MTU.to_owned(), mtu.to_string());
        }
        options
    }

    /// Whether a network of the engine is what this asks for.
    pub fn is(&self, found: &ListedNetwork) -> bool {
        let has = |(name, value): (&String, &String)| found.options.get(name) == Some(value);
        let labelled = |(name, value): (&String, &String)| found.labels.get(name) == Some(value);
        found.name == self.name
            && found.driver == "bridge"
            && !found.ipv6
            && found.subnets == [IpNet::V4(self.subnet)]
            && self.options().iter().all(has)
            && self.labels.iter().all(labelled)
            && found.options.contains_key(MTU) == self.mtu.is_some()
    }
}
