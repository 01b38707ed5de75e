//! Which network a run's container may join.
//!
//! Takes the configured name and what the engine says about it, gives a [`Network`]. Never: a namespace of
//! the host or of another container.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::engine::NetworkView;

/// A network name that is safe to hand to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network(String);

/// Why a name is no network for runs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("network `{name}` can't be used for runs: {rule}")]
pub struct InvalidNetwork {
    name: String,
    rule: &'static str,
}

/// The engine's own bridge: the documented default.
const DEFAULT: &str = "bridge";

impl Default for Network {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl Network {
    /// Checks a configured name. `none` is allowed: a run needs no network to reach its launcher.
    ///
    /// # Errors
    /// [`InvalidNetwork`] for `host`, `container:…`, `ns:…` and what is no name at all.
    pub fn parse(name: &str) -> Result<Self, InvalidNetwork> {
        let refuse = |rule| {
            let name = name.chars().take(100).collect();
            Err(InvalidNetwork { name, rule })
        };
        if name.eq_ignore_ascii_case("host") {
            return refuse("the host's network would give runs its loopback services");
        }
        if name.contains(':') {
            return refuse("another container's or process's network is not isolated");
        }
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            return refuse("expected a network name or id");
        }
        Ok(Self(name.to_owned()))
    }

    /// Checks what the engine says about it: an id, or a name of one's own, can still mean the host's network.
    ///
    /// # Errors
    /// [`InvalidNetwork`].
    pub fn confirm(self, view: &NetworkView) -> Result<Self, InvalidNetwork> {
        if view.driver == "host" || view.name == "host" {
            return Err(InvalidNetwork {
                name: self.0,
                rule: "it is the host's network, which would give runs its loopback services",
            });
        }
        Ok(self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which networks runs get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkChoice {
    /// One of the launcher's own for each run at a time.
    PerRun {
        /// Where their addresses come from.
        pool: NetworkPool,
    },
    /// One that the host's owner named, for all runs.
    Named(Network),
}

/// A range of private addresses, cut into networks of [`NetworkPool::PREFIX`] bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPool(Ipv4Net);

impl Default for NetworkPool {
    fn default() -> Self {
        Self(Ipv4Net::new_assert(Ipv4Addr::new(10, 213, 0, 0), 22))
    }
}

impl NetworkPool {
    /// Bits of one network: 14 addresses, of which a run needs two.
    pub const PREFIX: u8 = 28;

    /// How many networks it holds.
    pub fn slots(&self) -> u32 {
        1 << (Self::PREFIX - self.0.prefix_len())
    }

    /// Whether a range is part of it.
    pub fn holds(&self, range: Ipv4Net) -> bool {
        self.0.contains(&range)
    }

    /// The network of a slot, counted from 0.
    pub fn subnet(&self, slot: u32) -> Option<Ipv4Net> {
        let mut subnets = self.0.subnets(Self::PREFIX).ok()?;
        subnets.nth(slot as usize)
    }
}

impl fmt::Display for NetworkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NetworkPool {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net: Ipv4Net = text
            .parse()
            .map_err(|_| "is not an IPv4 range such as `10.213.0.0/22`")?;
        if net.trunc() != net {
            return Err("has bits set beyond its prefix");
        }
        if !(16..=Self::PREFIX).contains(&net.prefix_len()) {
            return Err("is not between /16 and /28");
        }
        if !net.network().is_private() {
            return Err("is not a range of private addresses");
        }
        Ok(Self(net))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_pool_is_cut_into_slots() {
        let pool = NetworkPool::default();
        assert_eq!(pool.slots(), 64);
        let subnet = |slot| pool.subnet(slot).map(|net| net.to_string());
        assert_eq!(subnet(0).as_deref(), Some("10.213.0.0/28"));
        assert_eq!(subnet(63).as_deref(), Some("10.213.3.240/28"));
        assert_eq!(subnet(64), None);
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.1/24",
            "8.8.8.0/24",
            "10.0.0.0/8",
            "10.0.0.0/29",
            "fd00::/64",
        ] {
            assert!(wrong.parse::<NetworkPool>().is_err(), "{wrong}");
        }
    }

    use super::*;

    #[test]
    fn names() {
        for name in ["bridge", "none", "runs", "my-net_1.2", "0a1b2c3d4e5f"] {
            assert_eq!(Network::parse(name).map(|n| n.0).as_deref(), Ok(name));
        }
        for name in [
            "",
            "host",
            "HOST",
            "Host",
            "container:abc",
            "container:",
            "ns:/proc/1/ns/net",
            "a b",
            "-net",
            "net,host",
            "a/b",
            "slirp4netns:port",
            "réseau",
            ".x",
            "a\0",
        ] {
            let error = Network::parse(name).expect_err(name);
            assert!(error.to_string().starts_with("network `"), "{error}");
        }
    }

    #[test]
    fn an_id_of_the_hosts_network_is_found_out() {
        let view = |driver: &str, name: &str| NetworkView {
            id: "0a1b".into(),
            name: name.into(),
            driver: driver.into(),
            containers: Vec::new(),
        };
        let network = Network::parse("0a1b").expect("a valid id");
        assert!(network.clone().confirm(&view("host", "host")).is_err());
        assert!(network.clone().confirm(&view("bridge", "runs")).is_ok());
        assert!(network.confirm(&view("null", "none")).is_ok());
    }
}
