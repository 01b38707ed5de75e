//! How runs reach what is outside: proxies as variables, the host's CAs as a file.
//!
//! Takes two settings and what the launcher itself goes by; gives variables for runs and what their logs hide. Never: a
//! proxy that containers can't reach handed to them in silence, a variable that another list of the host already gives.

use gantry_net::{NO_PROXY, Outside, Proxies};
use gantry_protocol::Secret;
use gantry_protocol::socket::HandedTo;

use super::handed::{HandedVariable, HandedVariables};
use super::parse::Reader;
use super::variables as var;
use crate::container::CA_BUNDLE_TARGET;

/// Reached directly in every run: managed state is served there.
const LOOPBACK: &str = "localhost,127.0.0.1,::1";

/// What programs read to find CAs. Each is told the whole bundle, which holds the host's roots too.
const CA_VARIABLES: [&str; 9] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

impl Reader<'_> {
    /// Adds what runs need for the way out; gives whether they get the CAs' file.
    pub(super) fn run_outside(&mut self, outside: &Outside, handed: &mut HandedVariables) -> bool {
        let proxies = self.run_proxies(outside);
        for proxy in proxies.all() {
            let secrets = proxy.secrets().iter().cloned();
            handed.secrets.extend(secrets);
        }
        for (name, value) in proxies.variables() {
            let value = match name.eq_ignore_ascii_case(NO_PROXY) {
                true => Secret::new(format!("{},{LOOPBACK}", value.expose())),
                false => value,
            };
            give(handed, &name, value);
        }
        if proxies.none().is_none() && proxies.all().next().is_some() {
            for name in [NO_PROXY.to_owned(), NO_PROXY.to_ascii_lowercase()] {
                give(handed, &name, Secret::new(LOOPBACK));
            }
        }
        let bundle = self.run_cas() && !outside.roots.is_empty();
        if bundle {
            for name in CA_VARIABLES {
                give(handed, name, Secret::new(CA_BUNDLE_TARGET));
            }
        }
        bundle
    }

    fn run_cas(&mut self) -> bool {
        match self.value(var::RUN_CAS).as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(_) => {
                self.wrong(var::RUN_CAS, "is neither `on` nor `off`");
                false
            }
        }
    }

    fn run_proxies(&mut self, outside: &Outside) -> Proxies {
        let none = self.value(var::RUN_NO_PROXY);
        let proxies = match self.value(var::RUN_PROXY).as_deref() {
            None | Some("off") => return Proxies::default(),
            Some("inherit") => outside.proxies.clone(),
            Some(url) => match Proxies::one(var::RUN_PROXY, url) {
                Ok(proxies) => proxies.but_for(outside.proxies.none()),
                Err(what) => {
                    self.wrong(
                        var::RUN_PROXY,
                        format_args!("is neither `off` nor `inherit`, and {what}"),
                    );
                    return Proxies::default();
                }
            },
        };
        if let Some(proxy) = proxies.all().find(|proxy| proxy.is_loopback()) {
            let what = format!(
                "the proxy {proxy} is at a loopback address, which is the container's own in a run; name it by an address that containers reach"
            );
            self.wrong(var::RUN_PROXY, what);
        }
        match none {
            Some(none) => proxies.but_for(Some(&none)),
            None => proxies,
        }
    }
}

/// What `SPACELIFT_WHITELIST_ENVS` gives comes first.
fn give(handed: &mut HandedVariables, name: &str, value: Secret) {
    if handed.set.iter().any(|set| set.name == name) {
        return;
    }
    handed.set.push(HandedVariable {
        name: name.to_owned(),
        value,
        to: HandedTo::Every,
        masked: false,
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Config;
    use super::super::tests::source;
    use super::*;

    fn handed(pairs: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
        let config = Config::read(&source(pairs)).unwrap();
        let set = config.handed.set.iter();
        let set = set.map(|one| (one.name.clone(), one.value.expose().to_owned()));
        let secrets = config.handed.secrets.iter();
        let secrets = secrets.map(|secret| secret.expose().to_owned());
        (set.collect(), secrets.collect())
    }

    const PROXY: (&str, &str) = ("HTTPS_PROXY", "http://me:hunter%402@p.example:3128");

    #[test]
    fn runs_get_proxies_when_the_host_says_so() {
        assert!(handed(&[PROXY]).0.is_empty());
        let inherit = (var::RUN_PROXY, "inherit");
        let (set, secrets) = handed(&[PROXY, ("NO_PROXY", "10.0.0.0/8"), inherit]);
        for name in ["HTTPS_PROXY", "https_proxy"] {
            assert_eq!(set[name], PROXY.1, "{name}");
        }
        for name in ["NO_PROXY", "no_proxy"] {
            assert_eq!(set[name], "10.0.0.0/8,localhost,127.0.0.1,::1", "{name}");
        }
        assert!(!set.contains_key("HTTP_PROXY"));
        for secret in ["hunter%402", "hunter@2"] {
            assert!(
                secrets.iter().any(|one| one == secret),
                "{secret} {secrets:?}"
            );
        }
    }

    #[test]
    fn runs_can_have_a_proxy_of_their_own() {
        let own = (var::RUN_PROXY, "http://runs.example:8080");
        let (set, _) = handed(&[PROXY, own, (var::RUN_NO_PROXY, "a.example")]);
        assert_eq!(set["HTTP_PROXY"], own.1);
        assert_eq!(set["https_proxy"], own.1);
        assert_eq!(set["NO_PROXY"], "a.example,localhost,127.0.0.1,::1");
        let listed = [PROXY, own, (var::WHITELIST, "HTTPS_PROXY")];
        assert_eq!(handed(&listed).0["HTTPS_PROXY"], PROXY.1);
    }

    #[test]
    fn what_runs_can_not_use_is_refused() {
        for (value, expected) in [
            ("inherit", "is at a loopback address"),
            ("http://127.0.0.1:3128", "is at a loopback address"),
            (
                "http://me:hunter2@x:3128/path",
                "is neither `off` nor `inherit`",
            ),
        ] {
            let pairs = [
                ("HTTPS_PROXY", "http://localhost:3128"),
                (var::RUN_PROXY, value),
            ];
            let wrong = Config::read(&source(&pairs)).unwrap_err();
            let told = wrong[0].to_string();
            assert!(
                told.contains(var::RUN_PROXY) && told.contains(expected),
                "{told}"
            );
            assert!(!told.contains("hunter2"), "{told}");
        }
        let wrong = Config::read(&source(&[(var::RUN_CAS, "yes")])).unwrap_err();
        assert!(wrong[0].to_string().contains(var::RUN_CAS));
    }
}
