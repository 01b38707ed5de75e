//! Which addresses a repository may have.
//!
//! Takes a host name and a resolver, gives the addresses that git and ssh are pinned to. Never: an address
//! that was not checked, because of a second lookup between the check and the use.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;

use super::FetchPolicy;
use super::error::FetchError;
use super::request::{Checked, Transport};

/// Why a name has no address.
pub type LookupError = Box<dyn std::error::Error + Send + Sync>;

type Answer = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, LookupError>> + Send>>;

/// Resolves a host name.
pub type Lookup = Arc<dyn Fn(String) -> Answer + Send + Sync>;

/// Wraps an async function as a [`Lookup`].
pub fn lookup_fn<F, R>(function: F) -> Lookup
where
    F: Fn(String) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Vec<IpAddr>, LookupError>> + Send + 'static,
{
    Arc::new(move |host| Box::pin(function(host)))
}

/// What the connection goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pinned {
    /// These addresses and no others.
    To(Vec<IpAddr>),
    /// The proxy decides, or there is no connection.
    Unneeded,
}

pub(super) async fn pin(
    request: &Checked,
    policy: &FetchPolicy,
    lookup: &Lookup,
) -> Result<Pinned, FetchError> {
    let (host, proxied) = match &request.transport {
        Transport::File { .. } => return Ok(Pinned::Unneeded),
        Transport::Https { host, .. } => (host, request.proxy(policy).is_some()),
        Transport::Ssh { host, .. } => (host, false),
    };
    let found = match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![address]),
        Err(_) => lookup(host.clone()).await,
    };
    let found = match found {
        Ok(found) if !found.is_empty() => found,
        // Behind a proxy, names of the outside need not resolve here.
        _ if proxied => return Ok(Pinned::Unneeded),
        Ok(_) => return Err(unknown(request, host, "it has no address".into())),
        Err(source) => return Err(unknown(request, host, source)),
    };
    // One forbidden address among others is still a way in.
    if let Some(address) = found.iter().find(|address| is_forbidden(**address)) {
        return Err(FetchError::ForbiddenAddress {
            subject: request.subject.clone(),
            host: host.clone(),
            address: *address,
        });
    }
    // With a proxy, git connects to that, and asks it for the name.
    Ok(Pinned::To(found))
}

fn unknown(request: &Checked, host: &str, source: LookupError) -> FetchError {
    FetchError::UnknownHost {
        subject: request.subject.clone(),
        host: host.to_owned(),
        source,
    }
}

/// Addresses of this host, of its link (cloud metadata services are there), and of nobody. Private ranges are
/// not among them: internal Git servers live there.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_forbidden_v4(v4),
        IpAddr::V6(v6) => is_forbidden_v6(v6),
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    /// Metadata services that are not on a link-local address.
    const METADATA: [Ipv4Addr; 2] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    address.octets()[0] == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA.contains(&address)
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = match segments {
        // Mapped, compatible, NAT64 and 6to4: an IPv4 address in other clothes.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    let embedded = embedded.map(|(high, low)| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    });
    /// Amazon's metadata service.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address == METADATA
        || embedded.is_some_and(is_forbidden_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_host_and_its_link_are_forbidden() {
        for text in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "192.0.0.192",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(is_forbidden(text.parse().expect("address")), "{text}");
        }
        for text in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "140.82.121.4",
            "100.64.0.1",
            "2606:50c0::1",
            "fd12:3456::1",
            "::ffff:10.0.0.1",
            "64:ff9b::8c52:7904",
        ] {
            assert!(!is_forbidden(text.parse().expect("address")), "{text}");
        }
    }
}
