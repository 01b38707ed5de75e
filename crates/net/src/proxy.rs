//! The proxies that a process goes by: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, read in one way.
//!
//! Takes the variables of a source, gives the proxy for a URL. Never: a login in a text that people see, a value that
//! can't be read and is passed over, a request for this host or its link (where clouds serve credentials) that goes to a
//! proxy.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::Secret;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::endpoint::is_loopback;
use crate::exceptions::Exceptions;
use crate::outside::Mistake;

/// For `https`.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
/// For clear text.
pub const HTTP_PROXY: &str = "HTTP_PROXY";
/// For both, where the one above is not set.
pub const ALL_PROXY: &str = "ALL_PROXY";
/// What is reached directly.
pub const NO_PROXY: &str = "NO_PROXY";

/// One HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    variable: String,
    /// Scheme, host and port.
    place: String,
    /// The same with the login, if there is one.
    url: Secret,
    /// The password as it is written and as it is meant, and the login as it goes over the wire.
    secrets: Vec<Secret>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({} of {})", self.place, self.variable)
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.place, self.variable)
    }
}

impl Proxy {
    /// The variable that names it, as it was set: `HTTPS_PROXY`, `https_proxy` …
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// Scheme, host and port, such as `http://proxy.example:3128`; for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The whole URL with its port, and the login if there is one; for programs.
    pub fn url(&self) -> &Secret {
        &self.url
    }

    /// What no text may show: the password as the URL has it and as it is meant, and the login as it goes over the wire.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Whether it is at a loopback address.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.place).is_ok_and(|url| is_loopback(&url))
    }

    /// Whether the URL has a login.
    pub fn has_login(&self) -> bool {
        self.url.expose().contains('@')
    }

    /// Reads a value; without a scheme it is `http`.
    fn parse(variable: &str, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let whole = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        const SHAPE: &str = "is not the URL of an HTTP proxy, such as `http://proxy.example:3128`; signs such as `@`, `:`, `/`, `#` and `%` within a login are written as `%40`, `%3A`, `%2F`, `%23`, `%25`";
        let url = Url::parse(&whole).map_err(|_| SHAPE.to_owned())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "has the scheme `{}`; only HTTP proxies (`http://`, `https://`) are known",
                url.scheme()
            ));
        }
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(SHAPE.to_owned());
        };
        if !bare || url.fragment().is_some() {
            return Err(SHAPE.to_owned());
        }
        let login = match (url.username(), url.password()) {
            ("", None) => String::new(),
            (user, None) => format!("{user}@"),
            (user, Some(password)) => format!("{user}:{password}@"),
        };
        let scheme = url.scheme();
        Ok(Self {
            variable: variable.to_owned(),
            place: format!("{scheme}://{host}:{port}"),
            url: Secret::new(format!("{scheme}://{login}{host}:{port}")),
            secrets: secrets(url.username(), url.password()),
        })
    }
}

fn secrets(user: &str, password: Option<&str>) -> Vec<Secret> {
    let Some(password) = password else {
        return Vec::new();
    };
    let meant = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let wire = STANDARD.encode(format!("{}:{}", meant(user), meant(password)));
    [password.to_owned(), meant(password), wire]
        .map(Secret::new)
        .into()
}

/// All proxy settings of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    none: Option<String>,
    exceptions: Exceptions,
}

impl Proxies {
    /// Reads the variables: the name in capitals first, then in small letters, then `ALL_PROXY` in the same way. An
    /// empty value counts as unset.
    pub(crate) fn read(get: &dyn Fn(&str) -> Option<String>, wrong: &mut Vec<Mistake>) -> Self {
        let mut proxies = Self::default();
        for (name, slot) in [
            (HTTPS_PROXY, &mut proxies.https),
            (HTTP_PROXY, &mut proxies.http),
        ] {
            let Some((name, text)) = either(get, name).or_else(|| either(get, ALL_PROXY)) else {
                continue;
            };
            match Proxy::parse(&name, &text) {
                Ok(proxy) => *slot = Some(proxy),
                Err(what) => note(wrong, name, what),
            }
        }
        if let Some((name, text)) = either(get, NO_PROXY) {
            match Exceptions::parse(&text) {
                Ok(exceptions) => proxies.exceptions = exceptions,
                Err(what) => note(wrong, name, what),
            }
            proxies.none = Some(text);
        }
        proxies
    }

    /// One proxy for everything, named by a variable of its own.
    ///
    /// # Errors
    /// Why `url` is none, without its text.
    pub fn one(variable: &str, url: &str) -> Result<Self, String> {
        Proxy::parse(variable, url).map(Self::only)
    }

    /// This proxy for everything.
    pub(crate) fn only(proxy: Proxy) -> Self {
        Self {
            https: Some(proxy.clone()),
            http: Some(proxy),
            ..Self::default()
        }
    }

    /// The same with other exceptions, which are given on as they are written.
    #[must_use]
    pub fn but_for(self, none: Option<&str>) -> Self {
        Self {
            none: none.map(str::to_owned),
            exceptions: none
                .and_then(|none| Exceptions::parse(none).ok())
                .unwrap_or_default(),
            ..self
        }
    }

    /// The proxy for requests to `url`; none for this host, for its link, and for what `NO_PROXY` names.
    pub fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref(),
            "http" => self.http.as_ref(),
            _ => None,
        }?;
        let host = url.host_str()?;
        let port = url.port_or_known_default()?;
        let direct = is_loopback(url) || on_link(host) || self.exceptions.contain(host, port);
        (!direct).then_some(proxy)
    }

    /// The proxy for `https`, whatever the host.
    pub fn https(&self) -> Option<&Proxy> {
        self.https.as_ref()
    }

    /// The proxy for clear text, whatever the host.
    pub fn http(&self) -> Option<&Proxy> {
        self.http.as_ref()
    }

    /// What is reached directly, as it was written.
    pub fn none(&self) -> Option<&str> {
        self.none.as_deref()
    }

    /// Each proxy once.
    pub fn all(&self) -> impl Iterator<Item = &Proxy> {
        let other = |one: &&Proxy| self.https.as_ref().is_none_or(|https| https.url != one.url);
        self.https.iter().chain(self.http.iter().filter(other))
    }

    /// The settings as variables for other programs, in capitals and in small letters: programs differ in which they read.
    pub fn variables(&self) -> Vec<(String, Secret)> {
        let url = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| proxy.url.clone());
        let all = [
            (HTTPS_PROXY, url(&self.https)),
            (HTTP_PROXY, url(&self.http)),
            (NO_PROXY, self.none.as_deref().map(Secret::new)),
        ];
        let set = all
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        set.flat_map(|(name, value)| {
            [
                (name.to_owned(), value.clone()),
                (name.to_ascii_lowercase(), value),
            ]
        })
        .collect()
    }
}

fn either(get: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<(String, String)> {
    let names = [name.to_owned(), name.to_ascii_lowercase()];
    let set = |name: String| Some((get(&name)?, name)).filter(|(text, _)| !text.trim().is_empty());
    names
        .into_iter()
        .find_map(set)
        .map(|(text, name)| (name, text))
}

/// One value can be wrong for two purposes; it is told once.
fn note(wrong: &mut Vec<Mistake>, variable: String, what: String) {
    let mistake = Mistake { variable, what };
    if !wrong.contains(&mistake) {
        wrong.push(mistake);
    }
}

/// Link-local addresses lead nowhere from a proxy, and metadata services with credentials live there.
fn on_link(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_unicast_link_local(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Proxies, Vec<String>) {
        let map: BTreeMap<_, _> = pairs.iter().copied().collect();
        let mut wrong = Vec::new();
        let get = |name: &str| map.get(name).map(|value| (*value).to_owned());
        let proxies = Proxies::read(&get, &mut wrong);
        (proxies, wrong.iter().map(ToString::to_string).collect())
    }

    fn way(pairs: &[(&str, &str)], url: &str) -> String {
        let (proxies, wrong) = read(pairs);
        assert_eq!(wrong, Vec::<String>::new());
        let proxy = proxies.of(&Url::parse(url).unwrap());
        proxy.map_or("direct".to_owned(), ToString::to_string)
    }

    #[test]
    fn which_variable_counts_for_which_url() {
        let https = ("HTTPS_PROXY", "http://p:3128");
        let http = ("HTTP_PROXY", "q:8080");
        let all = ("all_proxy", "https://r");
        let outer = "https://a.example/x";
        for (pairs, url, expected) in [
            (&[https, http][..], outer, "http://p:3128 (HTTPS_PROXY)"),
            (
                &[https, http],
                "http://a.example",
                "http://q:8080 (HTTP_PROXY)",
            ),
            (&[http], outer, "direct"),
            (&[http, all], outer, "https://r:443 (all_proxy)"),
            (
                &[https, ("https_proxy", "http://s")],
                outer,
                "http://p:3128 (HTTPS_PROXY)",
            ),
            (
                &[("https_proxy", "http://s")],
                outer,
                "http://s:80 (https_proxy)",
            ),
            (
                &[("HTTPS_PROXY", ""), ("https_proxy", "http://s")],
                outer,
                "http://s:80 (https_proxy)",
            ),
            (&[https, ("no_proxy", "a.example")], outer, "direct"),
            (
                &[https, ("NO_PROXY", "a.example:80")],
                outer,
                "http://p:3128 (HTTPS_PROXY)",
            ),
            (&[https, ("NO_PROXY", "*")], outer, "direct"),
            (&[https], "https://localhost:8443", "direct"),
            (&[https], "https://[::1]:8443", "direct"),
            (&[http], "http://127.0.0.9", "direct"),
            (&[http], "http://169.254.169.254/latest", "direct"),
            (&[http], "http://[fe80::1]/", "direct"),
            (&[https], "https://10.0.0.1", "http://p:3128 (HTTPS_PROXY)"),
            (&[https], "ssh://a.example", "direct"),
        ] {
            assert_eq!(way(pairs, url), expected, "{pairs:?} {url}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_and_not_shown() {
        for (name, value, expected) in [
            ("HTTPS_PROXY", "http://me:hunter2@", "is not the URL"),
            ("https_proxy", "http://me:hun#ter2@p:3128", "is not the URL"),
            ("HTTP_PROXY", "http://me:hunter2@p/path", "is not the URL"),
            (
                "HTTP_PROXY",
                "socks5://me:hunter2@p",
                "has the scheme `socks5`",
            ),
            ("ALL_PROXY", "http://:hunter2", "is not the URL"),
            ("NO_PROXY", "a,10.0.0.0/99", "`10.0.0.0/99` is neither"),
        ] {
            let (_, wrong) = read(&[(name, value)]);
            assert_eq!(wrong.len(), 1, "{name} {wrong:?}");
            assert!(
                wrong[0].starts_with(&format!("{name}: {expected}")),
                "{wrong:?}"
            );
            assert!(!wrong[0].contains("ter2"), "{wrong:?}");
        }
    }

    #[test]
    fn a_login_is_given_to_programs_and_shown_to_nobody() {
        let (proxies, _) = read(&[
            ("HTTPS_PROXY", "http://me:hunter%402@p.example:3128/"),
            ("NO_PROXY", "10.0.0.0/8"),
        ]);
        let proxy = proxies.https().unwrap();
        assert!(proxy.has_login());
        assert_eq!(proxy.url().expose(), "http://me:hunter%402@p.example:3128");
        let secrets: Vec<&str> = proxy.secrets().iter().map(Secret::expose).collect();
        assert_eq!(secrets, ["hunter%402", "hunter@2", "bWU6aHVudGVyQDI="]);
        assert!(!format!("{proxies:?} {proxy}").contains("hunter"));
        let names: Vec<String> = proxies
            .variables()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]
        );
        assert_eq!(proxies.all().count(), 1);
    }
}
