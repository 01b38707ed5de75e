//! The proxies: the launcher's own, those of dockerd, those of runs.

use gantry_net::{Outside, probe};

use super::Report;
use crate::config::Config;
use crate::engine::EngineProxies;
use crate::report::Chain;

/// Those that the launcher goes by.
pub(super) async fn examine(config: &Config, report: &mut Report) {
    let Outside { proxies, roots } = &config.outside;
    if proxies.all().next().is_none() {
        report.skipped(
            "proxy",
            "HTTPS_PROXY and its like are not set; all hosts are reached directly",
        );
    }
    for proxy in proxies.all() {
        match probe(proxy, &config.outside).await {
            Ok(()) => {
                let none = proxies.none().unwrap_or("nothing else");
                let found = format!("{proxy} answers; directly: this host, its link, and {none}");
                report.ok("proxy", found);
            }
            Err(error) => report.failed(
                "proxy",
                Chain(&*error),
                "correct the variable, or let this host reach its proxy",
            ),
        }
    }
    if !roots.is_empty() {
        let origins: Vec<&str> = roots.iter().map(|root| root.origin.as_str()).collect();
        report.ok("added CAs", origins.join(", "));
    }
}

/// Those that dockerd goes by: it pulls images by itself.
pub(super) fn of_engine(config: &Config, engine: &EngineProxies, report: &mut Report) {
    let own = config.outside.proxies.https();
    match (own, engine.https.is_empty()) {
        (None, true) => report.skipped("docker's proxy", "neither dockerd nor the launcher has one"),
        (Some(own), true) => report.warning(
            "docker's proxy",
            format!("the launcher goes by {own}, and dockerd has no proxy for https: images are pulled by dockerd"),
            "set `proxies` in /etc/docker/daemon.json, or HTTPS_PROXY in dockerd's unit, and restart it; not needed where its registries are reached directly",
        ),
        (_, false) => {
            let none = match engine.none.as_str() {
                "" => "nothing",
                none => none,
            };
            report.ok(
                "docker's proxy",
                format!("{}; directly: {none}", engine.https),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::tests::source;

    fn verdict(own: &str, engine: &str) -> (Verdict, String) {
        let config = Config::read(&source(&[("HTTPS_PROXY", own)])).unwrap();
        let engine = EngineProxies {
            https: engine.to_owned(),
            ..EngineProxies::default()
        };
        let mut report = Report::default();
        of_engine(&config, &engine, &mut report);
        (report.verdict(), report.lines[0].found.clone())
    }

    #[test]
    fn a_dockerd_without_the_launchers_proxy_is_told_of() {
        let own = "http://me:hunter2@p.example:3128";
        let (warned, found) = verdict(own, "");
        assert_eq!(warned, Verdict::Warning);
        assert!(
            found.contains("http://p.example:3128 (HTTPS_PROXY)"),
            "{found}"
        );
        assert!(!found.contains("hunter2"), "{found}");
        assert_eq!(verdict(own, "http://p.example:3128").0, Verdict::Ok);
        assert_eq!(verdict("", "").0, Verdict::Skipped);
    }

    #[tokio::test]
    async fn a_proxy_that_is_down_fails() {
        let pairs = [("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:9")];
        let config = Config::read(&source(&pairs)).unwrap();
        let mut report = Report::default();
        examine(&config, &mut report).await;
        let line = &report.lines[0];
        assert_eq!(line.verdict, Verdict::Failed);
        let expected = "the proxy http://127.0.0.1:9 (HTTPS_PROXY) can't be reached";
        assert!(
            line.found.contains(expected) && !line.found.contains("hunter2"),
            "{}",
            line.found
        );
    }
}
