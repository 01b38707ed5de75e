//! What the host's kernel says of networks: routes, packet sizes, whether a bridge is here.
//!
//! Takes texts below /proc and /sys, gives plain values; what can't be read is nothing. Never: a change.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

use super::plan::Busy;

/// Packets are at most this large unless the way out of the host takes less.
const USUAL_MTU: u32 = 1500;

/// Bit of a route that is in use.
const UP: u32 = 1;

/// A line of the kernel's routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    interface: String,
    range: Ipv4Net,
}

/// Ranges that the host reaches by other interfaces than those whose name begins with `own`.
pub(super) fn busy(own: &str) -> Vec<Busy> {
    let other = |route: &Route| route.range.prefix_len() > 0 && !route.interface.starts_with(own);
    let busy = |route: Route| Busy {
        by: format!("a route of this host by `{}`", route.interface),
        range: IpNet::V4(route.range),
    };
    routes().into_iter().filter(other).map(busy).collect()
}

/// The largest packet that leaves the host whole, where that is less than usual.
pub(super) fn mtu() -> Option<u32> {
    let default = routes()
        .into_iter()
        .find(|route| route.range.prefix_len() == 0)?;
    let path = Path::new("/sys/class/net")
        .join(default.interface)
        .join("mtu");
    let mtu: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (576..USUAL_MTU).contains(&mtu).then_some(mtu)
}

/// Whether this interface is in the launcher's own network namespace.
pub(super) fn has_interface(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// Whether an interface's name begins so.
pub(super) fn has_interfaces(prefix: &str) -> bool {
    let Ok(all) = std::fs::read_dir("/sys/class/net") else {
        return false;
    };
    all.flatten()
        .any(|one| one.file_name().to_string_lossy().starts_with(prefix))
}

/// Name servers of the host that have link-local addresses, as some clouds have them.
pub(super) fn link_local_name_servers() -> Vec<Ipv4Addr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    name_servers(&text)
        .filter(Ipv4Addr::is_link_local)
        .collect()
}

fn name_servers(text: &str) -> impl Iterator<Item = Ipv4Addr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        match words.next()?.parse().ok()? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    })
}

fn routes() -> Vec<Route> {
    let text = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    text.lines().skip(1).filter_map(route).collect()
}

fn route(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [interface, destination, _, flags, _, _, _, mask, ..] = words[..] else {
        return None;
    };
    let address = |hex: &str| {
        // The bytes of an address, in the order of the network, printed as one number of this machine.
        let number = u32::from_str_radix(hex, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let number = u32::from_str_radix(flags, 16).ok()?;
    let range = Ipv4Net::with_netmask(address(destination)?, address(mask)?).ok()?;
    (number & UP != 0).then(|| Route {
        interface: interface.to_owned(),
        range,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let read = |line: &str| route(line).map(|r| format!("{} {}", r.interface, r.range));
        let cases = [
            (
                "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
                Some("eth0 0.0.0.0/0"),
            ),
            (
                "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0",
                Some("docker0 172.17.0.0/16"),
            ),
            (
                "tun0\t0000D50A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0",
                Some("tun0 10.213.0.0/22"),
            ),
            (
                "gone\t0000D50A\t00000000\t0000\t0\t0\t0\t00FCFFFF\t0\t0\t0",
                None,
            ),
            ("odd\tline", None),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn name_servers_of_resolv_conf() {
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 169.254.169.254\nnameserver fe80::1\nnameserver 10.0.0.2 # x\n";
        let found: Vec<_> = name_servers(text).map(|a| a.to_string()).collect();
        assert_eq!(found, ["169.254.169.254", "10.0.0.2"]);
    }
}
