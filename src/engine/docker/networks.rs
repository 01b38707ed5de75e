//! Network calls: look up, list, make, remove.
//!
//! Takes specs and names, gives views. Never: a network with addresses of the engine's own choice.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;

use super::{Docker, LONG, SHORT};
use crate::engine::{EngineError, ErrorKind, ListedNetwork, NetworkSpec, NetworkView};

impl Docker {
    /// Looks a network up by name or id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn network(&self, name: &str) -> Result<NetworkView, EngineError> {
        let options = None::<bollard::query_parameters::InspectNetworkOptions>;
        let operation = format!("look up network `{name}`");
        let call = self.client.inspect_network(name, options);
        let found = self.call(&operation, SHORT, call).await?;
        let containers = found.containers.unwrap_or_default().into_values();
        Ok(NetworkView {
            id: found.id.unwrap_or_default(),
            name: found.name.unwrap_or_default(),
            driver: found.driver.unwrap_or_default(),
            containers: containers.filter_map(|endpoint| endpoint.name).collect(),
        })
    }

    /// All networks.
    ///
    /// # Errors
    /// What any call may give.
    pub async fn networks(&self) -> Result<Vec<ListedNetwork>, EngineError> {
        let call = self.client.list_networks(None::<ListNetworksOptions>);
        let found = self.call("list networks", SHORT, call).await?;
        Ok(found.into_iter().map(listed).collect())
    }

    /// Makes a network.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the name is taken; [`ErrorKind::Refused`] when its addresses or its bridge are.
    pub async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let addresses = IpamConfig {
            subnet: Some(spec.subnet.to_string()),
            gateway: spec.subnet.hosts().next().map(|first| first.to_string()),
            ..IpamConfig::default()
        };
        let request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(false),
            attachable: Some(false),
            ipam: Some(Ipam {
                config: Some(vec![addresses]),
                ..Ipam::default()
            }),
            enable_ipv6: Some(false),
            options: Some(spec.options().into_iter().collect()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let operation = format!("make network `{}` ({})", spec.name, spec.subnet);
        let call = self.client.create_network(request);
        self.call(&operation, LONG, call).await.map(drop)
    }

    /// Removes a network by name; nothing when it is gone.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] while a container runs in it.
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let operation = format!("remove network `{name}`");
        let call = self.client.remove_network(name);
        match self.call(&operation, LONG, call).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

fn listed(found: bollard::models::Network) -> ListedNetwork {
    let ranges = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let ranges = ranges.into_iter().filter_map(|range| range.subnet);
    let sorted = |map: Option<HashMap<String, String>>| map.unwrap_or_default().into_iter();
    ListedNetwork {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default(),
        driver: found.driver.unwrap_or_default(),
        subnets: ranges.filter_map(|range| range.parse().ok()).collect(),
        ipv6: found.enable_ipv6.unwrap_or(false),
        options: sorted(found.options).collect(),
        labels: sorted(found.labels).collect(),
    }
}
