//! The inventory under settings as people write them.

use std::collections::BTreeMap;

use gantry_protocol::crypto::EdKey;
use serde_json::Value;

use super::*;

/// `purpose host:port on|off setting`, of all but the name servers.
fn told(pairs: &[(&str, &str)]) -> Vec<String> {
    gantry_net::install_crypto();
    let key = EdKey::generate().public().to_string();
    let base = [
        ("SPACELIFT_TOKEN", "t"),
        ("SPACELIFT_POOL_PRIVATE_KEY", "hunter2"),
        ("GANTRY_WORKER_TRUST_KEYS", key.as_str()),
    ];
    let all = base.iter().chain(pairs);
    let source: BTreeMap<String, String> = all
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Config::read(&source).unwrap();
    let server = Url::parse("https://gantry.example:8443/base").unwrap();
    let told = inventory(&config, &server, &source).unwrap().json();
    assert!(!told.to_string().contains("hunter2"));
    let lines = told["contacts"].as_array().unwrap().iter();
    lines
        .filter(|one| one["purpose"] != "name_servers")
        .map(line)
        .collect()
}

fn line(contact: &Value) -> String {
    let place = &contact["place"];
    let host = place["host"].as_str().or(place["pattern"].as_str());
    let place = match host {
        Some(host) => format!("{host}:{}", place["port"]),
        None => format!("({})", place["class"].as_str().unwrap()),
    };
    let text = |key: &str| contact[key].as_str().unwrap().to_owned();
    let switch = if contact["enabled"] == true {
        "on"
    } else {
        "off"
    };
    format!("{} {place} {switch} {}", text("purpose"), text("setting"))
}

fn of(purpose: &str, told: &[String]) -> Vec<String> {
    let own = told
        .iter()
        .filter(|line| line.split(' ').next() == Some(purpose));
    own.map(|line| line.split_once(' ').unwrap().1.to_owned())
        .collect()
}

#[test]
fn a_launcher_with_no_settings_of_its_own() {
    let told = told(&[]);
    for purpose in Purpose::ALL {
        let name = gantry_net::egress::Purpose::from(*purpose).row().name;
        assert!(
            name == "name_servers" || !of(name, &told).is_empty(),
            "{name}: {told:#?}"
        );
    }
    assert_eq!(
        of("server", &told),
        ["gantry.example:8443 on SPACELIFT_TOKEN"]
    );
    let registries = of("registries", &told);
    for expected in [
        "registry-1.docker.io:443",
        "ghcr.io:443",
        "*.azurecr.io:443",
        "*.dkr.ecr.*.amazonaws.com:443",
    ] {
        let line = format!("{expected} on GANTRY_ALLOWED_REGISTRIES");
        assert!(registries.contains(&line), "{registries:#?}");
    }
    assert_eq!(
        of("instance_credentials", &told),
        ["169.254.169.254:80 on GANTRY_ALLOWED_REGISTRIES"]
    );
    assert!(
        of("tools", &told).contains(&"releases.hashicorp.com:443 off GANTRY_TOOL_KEYS".to_owned())
    );
    assert_eq!(
        of("spot_notices", &told),
        ["169.254.169.254:80 off GANTRY_SPOT_NOTICE"]
    );
}

#[test]
fn a_closed_network_has_few_places() {
    let told = told(&[
        (
            "SPACELIFT_DEFAULT_RUNNER_IMAGE",
            "registry.inner.example:5000/runner:1",
        ),
        ("GANTRY_ALLOWED_REGISTRIES", "registry.inner.example:5000"),
        ("GANTRY_TOOL_MIRROR", "https://mirror.inner.example/tools"),
        ("GANTRY_TOOL_KEYS", "/etc/gantry/keys.asc"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://otel.inner.example:4318",
        ),
        ("DOCKER_HOST", "tcp://10.0.0.7:2375"),
        ("GANTRY_SPOT_NOTICE", "true"),
        ("SPACELIFT_PRIVATEVCS_MAPPING_NAME_0", "inner"),
        (
            "SPACELIFT_PRIVATEVCS_MAPPING_BASE_ENDPOINT_0",
            "https://git.inner.example",
        ),
        ("GANTRY_SSH_KNOWN_HOSTS", "/etc/gantry/known_hosts"),
        ("SPACELIFT_WORKER_NETWORK", "none"),
    ]);
    let on: Vec<&str> = told
        .iter()
        .map(String::as_str)
        .filter(|line| line.contains(" on "))
        .collect();
    assert_eq!(
        on,
        [
            "server gantry.example:8443 on SPACELIFT_TOKEN",
            "engine 10.0.0.7:2375 on DOCKER_HOST",
            "registries registry.inner.example:5000 on SPACELIFT_DEFAULT_RUNNER_IMAGE",
            "spot_notices 169.254.169.254:80 on GANTRY_SPOT_NOTICE",
            "tools mirror.inner.example:443 on GANTRY_TOOL_MIRROR",
            "traces otel.inner.example:4318 on OTEL_EXPORTER_OTLP_ENDPOINT",
            "source git.inner.example:443 on SPACELIFT_PRIVATEVCS_MAPPING (inner)",
            "source (the git host of each stack with an https URL) on the stack's repository",
            "source (the git host of each stack with an ssh URL) on the stack's repository",
        ]
    );
}

#[test]
fn amazon_is_asked_as_its_credentials_are_set_up() {
    let ecr = (
        "GANTRY_ALLOWED_REGISTRIES",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    );
    let keys = [
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    let task = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    let pod = (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "http://169.254.170.23/v1/credentials",
    );
    let web = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token");
    let none = ("AWS_EC2_METADATA_DISABLED", "true");
    type Set<'a> = &'a [(&'a str, &'a str)];
    let rows: [(Set<'_>, [&str; 3]); 6] = [
        (&[], ["off", "off", "169.254.169.254:80 on"]),
        (&keys, ["off", "off", "off"]),
        (&[task], ["off", "169.254.170.2:80 on", "off"]),
        (&[pod], ["off", "169.254.170.23:80 on", "off"]),
        (&[web], ["sts.*.amazonaws.com:443 on", "off", "off"]),
        (&[none], ["off", "off", "off"]),
    ];
    for (more, expected) in rows {
        let told = told(&[&[ecr][..], more].concat());
        assert_eq!(
            of("ecr", &told),
            ["api.ecr.eu-west-1.amazonaws.com:443 on GANTRY_ALLOWED_REGISTRIES"]
        );
        let purposes = ["aws_roles", "task_credentials", "instance_credentials"];
        for (purpose, expected) in purposes.iter().zip(expected) {
            let found = of(purpose, &told).join("");
            assert!(found.contains(expected), "{more:?} {purpose}: {found}");
        }
    }
    let standin = ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000");
    let told = told(&[ecr, standin]);
    assert_eq!(of("ecr", &told), ["127.0.0.1:5000 on AWS_ENDPOINT_URL"]);
}
