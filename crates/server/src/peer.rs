//! Whose request it is.
//!
//! Takes the address of a connection and what proxies say, gives the client's address. Never: a word of a
//! sender that is not a trusted proxy.

use std::net::IpAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use crate::store::audit::{self, Origin};
use crate::workers::PeerAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that is nearest to this server and no trusted proxy's.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let known = |address: &IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer.to_canonical();
    let values = headers.get_all(FORWARDED_FOR).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    for text in texts.iter().rev().flat_map(|text| text.rsplit(',')) {
        if !known(&client) {
            break;
        }
        // Behind what can't be read there is nothing to believe.
        let Ok(before) = text.trim().parse::<IpAddr>() else {
            break;
        };
        client = before.to_canonical();
    }
    client
}

/// Puts the client's address in the place of the connection's, for everything behind it.
pub(crate) async fn recognise(
    State(trusted): State<std::sync::Arc<[IpNet]>>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut address = None;
    if let Some(ConnectInfo(PeerAddr(peer))) = request.extensions().get().cloned() {
        let ip = client(peer.ip(), request.headers(), &trusted);
        address = Some(ip);
        let seen = PeerAddr((ip, peer.port()).into());
        request.extensions_mut().insert(ConnectInfo(seen));
    }
    let origin = Origin { address, key: None };
    audit::within(origin, next.run(request)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ];
        for (peer, forwarded, expected) in [
            ("192.0.2.1", vec!["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", vec!["2001:db9::9"], "2001:db9::9"),
            // What the client itself wrote in front does not count.
            (
                "10.0.0.1",
                vec!["203.0.113.9, 198.51.100.1, 10.0.0.2"],
                "198.51.100.1",
            ),
            (
                "10.0.0.1",
                vec!["203.0.113.9", "198.51.100.1"],
                "198.51.100.1",
            ),
            ("10.0.0.1", vec!["198.51.100.1, nonsense"], "10.0.0.1"),
            (
                "10.0.0.1",
                vec!["198.51.100.1, nonsense, 10.0.0.2"],
                "10.0.0.2",
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let found = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found.to_string(), expected, "{peer} {headers:?}");
        }
    }
}
