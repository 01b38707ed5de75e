//! Token, key, and the way to the server.

use std::time::Duration;

use gantry_net::egress::LauncherPurpose;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Report;
use crate::config::Config;
use crate::report::Chain;
use crate::token::PoolCredentials;

/// The server has to answer within this time.
const ANSWER: Duration = Duration::from_secs(15);

/// Clocks that differ by more than this are warned of, in seconds: envelopes are refused beyond a few minutes.
const SKEW: i64 = 30;

pub(super) async fn examine(config: &Config, report: &mut Report) {
    let now = OffsetDateTime::now_utc();
    let credentials = match PoolCredentials::read(&config.token, &config.pool_key, now) {
        Ok(credentials) => credentials,
        Err(error) => {
            report.failed(
                "token and key",
                Chain(&error),
                "use the token and the private key of one pool",
            );
            report.skipped("server", "the token names it");
            return;
        }
    };
    let days = (credentials.expires - now).whole_days();
    let found = format!(
        "of pool {}, its certificate ends in {days} days",
        credentials.pool
    );
    match credentials.days_left_if_few(now) {
        Some(_) => report.warning("token and key", found, "reset the pool in time"),
        None => report.ok("token and key", found),
    }
    ask(config, &credentials, report).await;
}

async fn ask(config: &Config, credentials: &PoolCredentials, report: &mut Report) {
    let endpoint = &credentials.endpoint;
    let agent = concat!("gantry-launcher/", env!("CARGO_PKG_VERSION"));
    let options = gantry_net::ClientOptions::new(LauncherPurpose::Server, agent, &config.outside);
    let client = gantry_net::client_builder(&credentials.url, &options)
        .map(|builder| builder.timeout(ANSWER).build());
    let client = match client {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return report.failed("server", Chain(&error), "see the cause"),
        Err(error) => return report.failed("server", Chain(&error), "see the cause"),
    };
    match client.get(format!("{endpoint}/healthz")).send().await {
        Ok(answer) if answer.status().is_success() => {
            report.ok("server", format!("{endpoint} answers"));
            clock(answer.headers().get("date").and_then(|date| date.to_str().ok()), report);
        }
        Ok(answer) => report.failed(
            "server",
            format!("{endpoint} answered {}", answer.status()),
            "look at what stands between this host and the server (proxy, load balancer)",
        ),
        Err(error) => report.failed(
            "server",
            Chain(&error.without_url()),
            format!(
                "let this host reach {endpoint}: names, firewall, HTTPS_PROXY and NO_PROXY; for an own CA set ADDITIONAL_ROOT_CAS"
            ),
        ),
    }
}

fn clock(date: Option<&str>, report: &mut Report) {
    let told = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    let Some(told) = told else {
        return report.skipped("clock", "the server's answer bears no date");
    };
    let skew = (OffsetDateTime::now_utc() - told).whole_seconds();
    match skew.abs() > SKEW {
        true => report.failed(
            "clock",
            format!("this host differs from the server by {skew} s"),
            "keep both in time (chrony, systemd-timesyncd): signed runs expire",
        ),
        false => report.ok("clock", format!("within {SKEW} s of the server's")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks() {
        let verdict = |date: Option<&str>| {
            let mut report = Report::default();
            clock(date, &mut report);
            report.verdict()
        };
        let now = OffsetDateTime::now_utc().format(&Rfc2822).unwrap();
        assert_eq!(verdict(Some(&now)), Verdict::Ok);
        assert_eq!(
            verdict(Some("Sat, 01 Nov 2025 10:00:00 GMT")),
            Verdict::Failed
        );
        assert_eq!(verdict(Some("yesterday")), Verdict::Skipped);
        assert_eq!(verdict(None), Verdict::Skipped);
    }
}
