//! Requests to places outside.
//!
//! Takes URLs, headers and bodies; gives answers or why there are none. Never: an address of an inner network
//! that the operator did not name (looked up once, and that address is the one that is spoken to; where a proxy is on
//! the way, it looks the name up itself, and what it can reach is its owner's to limit), or a redirect followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gantry_net::egress::ServerPurpose;
use gantry_net::{ClientError, ClientOptions, Outside, ResolveError, Resolver, client_builder};
use ipnet::IpNet;
use reqwest::{Response, Url};

/// How long a message may take in all.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Where a proxy looks names up, this server's own name servers need not know them: they get this long.
const SHORT_LOOKUP: Duration = Duration::from_secs(2);

/// Inner networks that may be spoken to, and how places outside are reached.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    allowed: Vec<IpNet>,
    outside: Arc<Outside>,
}

/// Why nothing was sent, or nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It is no URL that may be spoken to.
    #[error("`{url}` is not a URL for messages: expected `https://…` without a user name")]
    Url {
        /// The URL, cut short.
        url: String,
    },
    /// Clear text, or bad certificates of the host.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The name has no address.
    #[error(transparent)]
    Lookup(#[from] ResolveError),
    /// The address is inside.
    #[error("`{host}` is at {address}, in a network that GANTRY_OUTGOING_NETWORKS does not name")]
    Inside {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// The request failed.
    #[error("no answer from `{host}`")]
    Http {
        /// The host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It answered, but not well.
    #[error("`{host}` answered with status {status}")]
    Status {
        /// The host.
        host: String,
        /// The status.
        status: u16,
    },
}

impl Networks {
    /// These besides all public ones, by these proxies and with these CAs.
    pub fn new(allowed: Vec<IpNet>, outside: Outside) -> Self {
        Self {
            allowed,
            outside: Arc::new(outside),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|net| net.contains(&address))
    }
}

/// Checks a URL as far as its text goes.
pub fn check_url(text: &str) -> Result<Url, SendError> {
    let refused = || SendError::Url {
        url: text.chars().take(100).collect(),
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    let known = matches!(url.scheme(), "https" | "http") && text.len() <= 2048;
    if !plain || !known {
        return Err(refused());
    }
    gantry_net::require_https_unless_loopback(&url).map_err(ClientError::from)?;
    Ok(url)
}

/// A host whose addresses were looked up and are allowed, ready to be spoken to.
#[derive(Debug)]
pub struct Line {
    client: reqwest::Client,
    host: String,
}

impl Line {
    /// Looks up the host of `url` and makes a client that speaks to what was found only.
    ///
    /// # Errors
    /// When the name has no address, or one inside that was not allowed.
    pub async fn open(
        purpose: ServerPurpose,
        networks: &Networks,
        url: &Url,
    ) -> Result<Self, SendError> {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let agent = concat!("gantry-server/", env!("CARGO_PKG_VERSION"));
        let options = ClientOptions::new(purpose, agent, &networks.outside);
        let proxied = networks.outside.proxies.of(url).is_some();
        let mut addresses = Vec::new();
        for address in found(&host, proxied).await? {
            if !networks.allows(address) {
                return Err(SendError::Inside { host, address });
            }
            addresses.push(SocketAddr::new(address, port));
        }
        let mut builder = client_builder(url, &options)?;
        if !proxied {
            builder = builder.resolve_to_addrs(&host, &addresses);
        }
        match builder.build() {
            Ok(client) => Ok(Self { client, host }),
            Err(source) => Err(SendError::Http { host, source }),
        }
    }

    /// The client, for a request to the host that this was opened for.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Sends a request of [`Line::client`]; any status is an answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, SendError> {
        request.send().await.map_err(|source| self.failed(source))
    }

    /// What says whose answer broke off, after this is gone.
    pub fn breaks(&self) -> impl Fn(reqwest::Error) -> SendError + Send + 'static {
        let host = self.host.clone();
        move |source| SendError::Http {
            host: host.clone(),
            source: source.without_url(),
        }
    }

    fn failed(&self, source: reqwest::Error) -> SendError {
        self.breaks()(source)
    }
}

/// The addresses of a host; none where a proxy has to know them.
async fn found(host: &str, proxied: bool) -> Result<Vec<IpAddr>, ResolveError> {
    let resolver = Resolver::system();
    let lookup = resolver.lookup(host);
    if !proxied {
        return lookup.await;
    }
    let found = tokio::time::timeout(SHORT_LOOKUP, lookup).await;
    Ok(found.ok().and_then(Result::ok).unwrap_or_default())
}

/// Posts JSON; done when the answer's status is 2xx.
///
/// # Errors
/// When the URL may not be spoken to, nobody answers within 15 seconds, or the answer is no good one.
pub async fn post(
    networks: &Networks,
    url: &str,
    headers: &[(&str, String)],
    body: String,
) -> Result<u16, SendError> {
    let url = check_url(url)?;
    let line = Line::open(ServerPurpose::Webhooks, networks, &url).await?;
    let mut request = line.client().post(url).timeout(TIME_LIMIT);
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = line.send(request.body(body)).await?;
    match answer.status() {
        status if status.is_success() => Ok(status.as_u16()),
        status => Err(SendError::Status {
            host: line.host,
            status: status.as_u16(),
        }),
    }
}

/// Whether everybody may be at an address: it is in no network for inner, local or special use.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a, b, c) == (192, 0, 0))
        }
        // Only the range that is given out; of it not what carries an IPv4 address or is for documents.
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            (0x2000..0x4000).contains(&first)
                && first != 0x2002
                && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_refused_unless_named() {
        let none = Networks::default();
        for outside in ["1.1.1.1", "93.184.216.34", "2606:4700::1111"] {
            assert!(none.allows(outside.parse().unwrap()), "{outside}");
        }
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::a00:1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!none.allows(inside.parse().unwrap()), "{inside}");
        }
        let some = Networks::new(vec!["10.1.0.0/16".parse().unwrap()], Outside::default());
        assert!(some.allows("10.1.2.3".parse().unwrap()));
        assert!(some.allows("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!some.allows("10.2.0.1".parse().unwrap()));
    }

    #[test]
    fn urls_for_messages() {
        for good in [
            "https://hooks.example/x?y=z",
            "http://127.0.0.1:8080/",
            "https://[2606::1]/",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "hooks.example",
            "http://hooks.example/",
            "ftp://x/",
            "https://a:b@x/",
            "file:///etc",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
