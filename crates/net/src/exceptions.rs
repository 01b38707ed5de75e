//! What is reached without a proxy: the value of `NO_PROXY`.
//!
//! Takes the comma list, gives an answer for each host and port. Never: an entry that is passed over because it can't be
//! read, or a name looked up to compare addresses (the answer would then depend on a name server).

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

/// The list, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// `*`.
    Everything,
    /// An address or a range of them; without a port, all ports.
    Range(IpNet, Option<u16>),
    /// A domain with all below it, in lower case.
    Domain(String, Option<u16>),
    /// `*.domain`: what is below it only.
    Below(String, Option<u16>),
}

impl Exceptions {
    /// Reads a list. Entries stand between commas or spaces: `*`, an address, a range, a domain (with or without a leading
    /// dot) or `*.domain`; all but ranges and `*` may have a port.
    ///
    /// # Errors
    /// The first entry that is none of these, and why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split([',', ' ', '\t']).map(str::trim);
        let entries = entries.filter(|entry| !entry.is_empty());
        let rules = entries.map(|entry| {
            let told: String = entry.chars().take(100).collect();
            rule(entry).ok_or(format!(
                "`{told}` is neither an address, a range such as `10.0.0.0/8`, a host or domain (with or without a port), nor `*`"
            ))
        });
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether `host` (as a URL has it) is reached directly on `port`.
    pub(crate) fn contain(&self, host: &str, port: u16) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().map(|ip| ip.to_canonical()).ok();
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        self.rules
            .iter()
            .any(|rule| rule.fits(&name, address, port))
    }
}

impl Rule {
    fn fits(&self, name: &str, address: Option<IpAddr>, port: u16) -> bool {
        let on = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        let below = |domain: &str| {
            let rest = name.strip_suffix(domain);
            address.is_none() && rest.is_some_and(|rest| rest.ends_with('.'))
        };
        match self {
            Self::Everything => true,
            Self::Range(range, wanted) => {
                on(wanted) && address.is_some_and(|address| range.contains(&address))
            }
            Self::Domain(domain, wanted) => on(wanted) && (name == domain || below(domain)),
            Self::Below(domain, wanted) => on(wanted) && below(domain),
        }
    }
}

fn rule(entry: &str) -> Option<Rule> {
    if entry == "*" {
        return Some(Rule::Everything);
    }
    if let Ok(range) = entry.parse::<IpNet>() {
        return Some(Rule::Range(range, None));
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(Rule::Range(address.to_canonical().into(), None));
    }
    let (only_below, rest) = match entry.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, entry.strip_prefix('.').unwrap_or(entry)),
    };
    let (host, port) = host_and_port(rest)?;
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let plain = !only_below && rest == entry;
        return plain.then_some(Rule::Range(address.to_canonical().into(), port));
    }
    Some(match only_below {
        true => Rule::Below(host, port),
        false => Rule::Domain(host, port),
    })
}

/// Host as a URL would have it (lower case, international names in their plain form), and the port if there is one.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    if text.contains(['/', '@', '?', '#', '*', '\\', '%']) {
        return None;
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse::<u16>().ok()?)),
        None => (text, None),
    };
    let url = Url::parse(&format!("https://{name}/")).ok()?;
    let host = url.host_str()?;
    // The URL's reader takes `10.1` for an address; who wrote it meant something else.
    let numbers = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if numbers(name) && host != name {
        return None;
    }
    let host = host.trim_end_matches('.');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_covers() {
        let rows = [
            ("*", "any.example:443", true),
            ("git.example", "git.example:443", true),
            ("git.example", "GIT.example.:443", true),
            ("git.example", "a.git.example:443", true),
            ("git.example", "notgit.example:443", false),
            (".example.com", "example.com:443", true),
            (".example.com", "a.b.example.com:80", true),
            (".example.com", "badexample.com:80", false),
            ("*.example.com", "a.example.com:443", true),
            ("*.example.com", "example.com:443", false),
            ("git.example:8443", "git.example:8443", true),
            ("git.example:8443", "git.example:443", false),
            ("10.0.0.0/8", "10.200.1.2:443", true),
            ("10.0.0.0/8", "11.0.0.1:443", false),
            ("10.0.0.0/8", "10.example:443", false),
            ("10.1.2.3", "10.1.2.3:1", true),
            ("10.1.2.3:99", "10.1.2.3:99", true),
            ("10.1.2.3:99", "10.1.2.3:98", false),
            ("fd00::/8", "[fd12::1]:443", true),
            ("[fd12::1]:8443", "[fd12::1]:8443", true),
            ("[fd12::1]", "[fd12::1]:1", true),
            ("::1", "[::1]:443", true),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]:443", true),
            ("2.3", "1.2.3:443", false),
            ("a.example,  b.example 10.0.0.0/8,,", "b.example:443", true),
            ("bücher.example", "xn--bcher-kva.example:443", true),
            (".svc", "gantry.svc:443", true),
            ("", "a.example:443", false),
        ];
        for (list, place, expected) in rows {
            let Ok(list_read) = Exceptions::parse(list) else {
                assert_eq!(list, "2.3", "{list} can be read");
                continue;
            };
            let (host, port) = place.rsplit_once(':').unwrap();
            let found = list_read.contain(host, port.parse().unwrap());
            assert_eq!(found, expected, "{list} for {place}");
        }
    }

    #[test]
    fn an_entry_that_means_nothing_is_named() {
        for list in [
            "a.example,10.0.0.0/33",
            "https://a.example",
            "10.*",
            "a.*.example",
            "a.example:70000",
            "a.example:",
            "a.example/path",
            "10.1",
            ".10.0.0.1",
            "*.10.0.0.1",
            ".",
            "me@a.example",
        ] {
            let told = Exceptions::parse(list).unwrap_err();
            let entry = list.split(',').next_back().unwrap();
            assert!(told.starts_with(&format!("`{entry}` is neither")), "{told}");
        }
    }
}
