//! What is asked at Amazon for logins at its registries, and for the credentials that this takes.
//!
//! The order of sources is that of `registry`; the SDK reads its variables by itself, so they are read here by name.

use std::path::Path;

use gantry_net::egress::{Contact, LauncherPurpose as Purpose, Place, Switch};
use reqwest::Url;

use super::{METADATA, Settings, class};
use crate::registry::{AwsSource, EcrHost};

/// Where ECS serves the credentials of tasks.
const TASKS: &str = "169.254.170.2";

impl Settings<'_> {
    pub(super) fn ecr(&self) -> Vec<Contact> {
        let asked = |(name, setting): (String, &'static str)| self.token_issuer(&name, setting);
        let issuers: Vec<Contact> = self.amazon_names().into_iter().filter_map(asked).collect();
        if issuers.is_empty() {
            let pattern = "api.ecr.*.amazonaws.com".to_owned();
            return vec![Contact::off(
                Purpose::Ecr,
                Place::Pattern { pattern, port: 443 },
            )];
        }
        issuers
    }

    fn token_issuer(&self, registry: &str, setting: &str) -> Option<Contact> {
        let purpose = Purpose::Ecr;
        let public = registry == EcrHost::PUBLIC;
        let service = if public {
            "AWS_ENDPOINT_URL_ECR_PUBLIC"
        } else {
            "AWS_ENDPOINT_URL_ECR"
        };
        if let Some((name, url)) = self.endpoint(service) {
            return Contact::url(purpose, self.proxies(), &url, name);
        }
        if registry == "*" {
            return Some(class(
                purpose,
                "`api.ecr.<region>.amazonaws.com` of each stack's image",
            ));
        }
        if public {
            return self.named(purpose, "api.ecr-public.us-east-1.amazonaws.com", setting);
        }
        self.named(purpose, &issuer(registry)?, setting)
    }

    /// Which source of credentials is the first that is set up; the instance's role is what is left.
    fn credentials(&self) -> Option<AwsSource> {
        let set = |name: &str| self.source.get(name).is_some();
        let any = |names: &[&str]| names.iter().any(|name| set(name));
        (!self.amazon_names().is_empty()).then_some(match () {
            () if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") => {
                AwsSource::Environment
            }
            () if set("AWS_PROFILE") || self.has_profiles() => AwsSource::Profile,
            () if set("AWS_WEB_IDENTITY_TOKEN_FILE") => AwsSource::WebIdentity,
            () if any(&[RELATIVE, FULL]) => AwsSource::Container,
            () => AwsSource::Instance,
        })
    }

    fn has_profiles(&self) -> bool {
        let home = self.source.get("HOME").unwrap_or_default();
        let files = [
            ("AWS_CONFIG_FILE", "config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ];
        files.iter().any(|(variable, name)| {
            let named = self.source.get(variable);
            let usual = || format!("{home}/.aws/{name}");
            Path::new(&named.unwrap_or_else(usual)).is_file()
        })
    }

    /// A profile may assume a role: that is known only when it is read.
    pub(super) fn roles(&self) -> Contact {
        let purpose = Purpose::AwsRoles;
        let setting = match self.credentials() {
            Some(AwsSource::Profile) => "AWS_PROFILE",
            Some(AwsSource::WebIdentity) => "AWS_WEB_IDENTITY_TOKEN_FILE",
            Some(AwsSource::Environment | AwsSource::Container | AwsSource::Instance) | None => {
                let pattern = "sts.*.amazonaws.com".to_owned();
                return Contact::off(purpose, Place::Pattern { pattern, port: 443 });
            }
        };
        let endpoint = self.endpoint("AWS_ENDPOINT_URL_STS");
        let endpoint =
            endpoint.and_then(|(name, url)| Contact::url(purpose, self.proxies(), &url, name));
        let usual = || self.named(purpose, "sts.*.amazonaws.com", setting);
        endpoint
            .or_else(usual)
            .expect("invariant: the pattern makes a URL")
    }

    pub(super) fn task_credentials(&self) -> Option<Contact> {
        let purpose = Purpose::TaskCredentials;
        if self.credentials() != Some(AwsSource::Container) {
            return Some(Contact::off(purpose, Place::host(TASKS, 80)));
        }
        match self
            .source
            .get(FULL)
            .filter(|_| self.source.get(RELATIVE).is_none())
        {
            Some(full) => Contact::direct(purpose, &Url::parse(&full).ok()?, FULL),
            None => Some(Contact::new(purpose, Place::host(TASKS, 80), RELATIVE)),
        }
    }

    pub(super) fn instance_credentials(&self) -> Option<Contact> {
        let purpose = Purpose::InstanceCredentials;
        let disabled = self.source.get("AWS_EC2_METADATA_DISABLED");
        let disabled = disabled.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let usual = Contact::off(purpose, Place::host(METADATA, 80));
        if disabled {
            let switch = Switch::Off("AWS_EC2_METADATA_DISABLED".to_owned());
            return Some(Contact { switch, ..usual });
        }
        if self.credentials() != Some(AwsSource::Instance) {
            return Some(usual);
        }
        let endpoint = self.url("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        match endpoint {
            Some((name, url)) => Contact::direct(purpose, &url, name),
            None => Some(Contact::new(
                purpose,
                Place::host(METADATA, 80),
                "GANTRY_ALLOWED_REGISTRIES",
            )),
        }
    }

    /// What stands in for a service of AWS'.
    fn endpoint(&self, service: &'static str) -> Option<(&'static str, Url)> {
        self.url(service).or_else(|| self.url("AWS_ENDPOINT_URL"))
    }

    fn url(&self, name: &'static str) -> Option<(&'static str, Url)> {
        let text = self.source.get(name)?;
        Some((name, Url::parse(&text).ok()?))
    }
}

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// Who issues tokens for `<account>.dkr.ecr.<region>.<domain>`, of which account and region may be `*`.
fn issuer(registry: &str) -> Option<String> {
    let (_, rest) = registry.split_once('.')?;
    // `dkr.ecr.…` and `dkr.ecr-fips.…`, or for IPv6 `dkr-ecr.…` and `dkr-ecr-fips.…`.
    let plain = rest.strip_prefix("dkr.");
    let (form, rest) = plain.unwrap_or(rest).split_once('.')?;
    let (region, domain) = rest.split_once('.')?;
    Some(match form {
        "ecr" => format!("api.ecr.{region}.{domain}"),
        "ecr-fips" if domain == "amazonaws.com" => format!("ecr-fips.{region}.{domain}"),
        "ecr-fips" => format!("api.ecr-fips.{region}.{domain}"),
        "dkr-ecr-fips" => format!("ecr-fips.{region}.{}", dual_stack(domain)),
        _ => format!("ecr.{region}.{}", dual_stack(domain)),
    })
}

/// The API's domain for IPv6, from the registries'.
fn dual_stack(domain: &str) -> &str {
    match domain {
        "on.aws" => "api.aws",
        "on.amazonwebservices.com.cn" => "api.amazonwebservices.com.cn",
        "on.amazonwebservices.eu" => "api.amazonwebservices.eu",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_issued_where_the_sdk_asks() {
        for (registry, host) in [
            (
                "1.dkr.ecr.eu-west-1.amazonaws.com",
                "api.ecr.eu-west-1.amazonaws.com",
            ),
            ("*.dkr.ecr.*.amazonaws.com", "api.ecr.*.amazonaws.com"),
            (
                "1.dkr.ecr-fips.us-east-1.amazonaws.com",
                "ecr-fips.us-east-1.amazonaws.com",
            ),
            ("1.dkr-ecr.us-east-1.on.aws", "ecr.us-east-1.api.aws"),
            (
                "1.dkr-ecr-fips.us-east-1.on.aws",
                "ecr-fips.us-east-1.api.aws",
            ),
            (
                "1.dkr.ecr.cn-northwest-1.amazonaws.com.cn",
                "api.ecr.cn-northwest-1.amazonaws.com.cn",
            ),
            (
                "1.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
                "ecr.cn-northwest-1.api.amazonwebservices.com.cn",
            ),
        ] {
            assert_eq!(issuer(registry).as_deref(), Some(host), "{registry}");
        }
    }
}
