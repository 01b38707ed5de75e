//! Which networks to keep, remove and make. Pure.
//!
//! Takes what the engine has and what the host's routes are, gives a [`Plan`]. Never: a range that overlaps with
//! one that somebody else uses; a network removed while a container runs in it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net};

use crate::container::NetworkPool;
use crate::engine::{ListedNetwork, NetworkSpec};

/// Label with the launcher's data directory: it outlives identities, so nothing is ever left without an owner.
pub(super) const LABEL: &str = "gantry.data";

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Value of [`LABEL`].
    pub(super) owner: String,
    /// Short and unlike that of other launchers of the host.
    pub(super) key: String,
    /// Where addresses come from.
    pub(super) pool: NetworkPool,
    /// How many.
    pub(super) count: usize,
    /// Largest packet.
    pub(super) mtu: Option<u32>,
}

/// What the names of all bridges of the launcher with this key begin with.
pub(super) fn bridge_prefix(key: &str) -> String {
    format!("gantry{key}-")
}

/// A range that others use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    /// The range.
    pub(super) range: IpNet,
    /// Who uses it, for people.
    pub(super) by: String,
}

/// The range of the runs' networks is not free.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "GANTRY_NETWORK_POOL: {pool} has no room for all networks that runs need ({wanted}), because of {by}; name a private range that is free on this host"
)]
pub struct PoolTaken {
    pool: String,
    wanted: usize,
    by: String,
}

/// What to do, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Names of ours that nobody needs or that are not as they should be.
    pub(super) remove: Vec<String>,
    /// To be made.
    pub(super) create: Vec<NetworkSpec>,
    /// All that runs may use afterwards, by number.
    pub(super) usable: BTreeMap<u32, NetworkSpec>,
}

impl Wanted {
    /// The network with this number and range.
    pub(super) fn spec(&self, number: u32, subnet: Ipv4Net) -> NetworkSpec {
        NetworkSpec {
            name: format!("gantry-{}-{number}", self.key),
            bridge: format!("{}{number}", self.bridge_prefix()),
            subnet,
            mtu: self.mtu,
            labels: BTreeMap::from([(LABEL.to_owned(), self.owner.clone())]),
        }
    }

    /// What the names of all bridges begin with, and no other interface's.
    pub(super) fn bridge_prefix(&self) -> String {
        bridge_prefix(&self.key)
    }

    fn number(&self, name: &str) -> Option<u32> {
        let number = name.strip_prefix("gantry-")?.strip_prefix(&self.key)?;
        number.strip_prefix('-')?.parse().ok()
    }
}

/// Decides. `used` are names of networks in which containers run, `busy` the ranges of the host's routes.
pub(super) fn plan(
    wanted: &Wanted,
    found: &[ListedNetwork],
    used: &BTreeSet<String>,
    busy: &[Busy],
) -> Result<Plan, PoolTaken> {
    let (ours, others): (Vec<_>, Vec<_>) = found
        .iter()
        .partition(|network| network.labels.get(LABEL) == Some(&wanted.owner));
    // A network has a route too; its name says more.
    let mut others: Vec<Busy> = others.into_iter().flat_map(ranges).collect();
    others.extend_from_slice(busy);
    let mut busy = others;
    let mut plan = Plan::default();
    let mut left = BTreeSet::new();
    let (in_use, idle): (Vec<_>, Vec<_>) = ours.into_iter().partition(|n| used.contains(&n.name));
    for network in in_use.iter().chain(&idle) {
        let is_used = used.contains(&network.name);
        let fits =
            fitting(wanted, network, &busy).filter(|_| is_used || plan.usable.len() < wanted.count);
        match fits {
            Some((number, spec)) => {
                plan.usable.insert(number, spec);
            }
            // Not as it should be, and a container runs in it: the next start will find it idle.
            None if is_used => {
                busy.extend(ranges(network));
                left.extend(wanted.number(&network.name));
            }
            None => plan.remove.push(network.name.clone()),
        }
    }
    fill(wanted, &mut plan, &left, &busy)?;
    Ok(plan)
}

fn fill(
    wanted: &Wanted,
    plan: &mut Plan,
    left: &BTreeSet<u32>,
    busy: &[Busy],
) -> Result<(), PoolTaken> {
    let mut numbers = 0_u32..;
    let mut subnets = (0..wanted.pool.slots()).filter_map(|slot| wanted.pool.subnet(slot));
    while plan.usable.len() < wanted.count {
        let free = |subnet: &Ipv4Net| {
            let own = plan.usable.values().any(|spec| spec.subnet == *subnet);
            !own && clash(busy, *subnet).is_none()
        };
        let Some(subnet) = subnets.find(free) else {
            return Err(taken(wanted, busy));
        };
        let number = numbers
            .find(|number| !plan.usable.contains_key(number) && !left.contains(number))
            .expect("invariant: there are more numbers than networks");
        let spec = wanted.spec(number, subnet);
        plan.create.push(spec.clone());
        plan.usable.insert(number, spec);
    }
    Ok(())
}

fn fitting(wanted: &Wanted, found: &ListedNetwork, busy: &[Busy]) -> Option<(u32, NetworkSpec)> {
    let number = wanted.number(&found.name)?;
    let [IpNet::V4(subnet)] = found.subnets[..] else {
        return None;
    };
    let spec = wanted.spec(number, subnet);
    let fits = spec.is(found) && wanted.pool.holds(subnet) && clash(busy, subnet).is_none();
    fits.then_some((number, spec))
}

fn clash(busy: &[Busy], subnet: Ipv4Net) -> Option<&Busy> {
    let subnet = IpNet::V4(subnet);
    busy.iter()
        .find(|other| other.range.contains(&subnet) || subnet.contains(&other.range))
}

fn ranges(network: &ListedNetwork) -> Vec<Busy> {
    let ranges = network.subnets.iter();
    ranges
        .map(|range| Busy {
            range: *range,
            by: format!("Docker network `{}`", network.name),
        })
        .collect()
}

fn taken(wanted: &Wanted, busy: &[Busy]) -> PoolTaken {
    let slots = (0..wanted.pool.slots()).filter_map(|slot| wanted.pool.subnet(slot));
    let by: BTreeSet<String> = slots
        .filter_map(|subnet| clash(busy, subnet))
        .map(|busy| format!("{} ({})", busy.range, busy.by))
        .collect();
    PoolTaken {
        pool: wanted.pool.to_string(),
        wanted: wanted.count,
        by: by.into_iter().take(5).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
