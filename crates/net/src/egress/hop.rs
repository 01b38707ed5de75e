//! The proxy that is dialled first.
//!
//! Takes a URL and the proxies that were set, gives host and port of the proxy for it. Never: a proxy's login.

use reqwest::Url;
use serde::Serialize;

use super::bare;
use crate::proxy::Proxies;

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// The proxy through which our clients reach `url`; none where they dial it themselves.
pub fn first_hop(proxies: &Proxies, url: &Url) -> Option<Hop> {
    let proxy = Url::parse(proxies.of(url)?.place()).ok()?;
    Some(Hop {
        host: bare(proxy.host_str()?).to_owned(),
        port: proxy.port_or_known_default()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outside;

    #[test]
    fn a_proxy_is_shown_without_its_login() {
        let outside = Outside::read(&|name| match name {
            "HTTPS_PROXY" => Some("http://me:hunter2@proxy.example:3128".to_owned()),
            "HTTP_PROXY" => Some("https://[fd00::1]".to_owned()),
            "NO_PROXY" => Some("inner.example,10.0.0.0/8".to_owned()),
            _ => None,
        });
        let proxies = outside.unwrap().proxies;
        let rows = [
            ("https://gantry.example/x", Some(("proxy.example", 3128))),
            ("http://gantry.example/x", Some(("fd00::1", 443))),
            ("https://a.inner.example/", None),
            ("https://10.1.2.3/", None),
            ("http://127.0.0.1:8080/", None),
        ];
        for (url, expected) in rows {
            let found = first_hop(&proxies, &Url::parse(url).unwrap());
            let found = found.as_ref().map(|hop| (hop.host.as_str(), hop.port));
            assert_eq!(found, expected, "{url}");
        }
    }
}
