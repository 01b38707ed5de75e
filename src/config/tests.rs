//! Configuration as people write it.

use gantry_protocol::socket::HandedTo;

use super::*;
use crate::container::NetworkPool;
use crate::machine::Machine;
use gantry_protocol::crypto::EdKey;

pub(crate) fn source(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let key = EdKey::generate().public().to_string();
    let base = [
        (var::TOKEN, "t"),
        (var::POOL_KEY, "k"),
        (var::TRUST_KEYS, key.as_str()),
    ];
    let all = base.iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = Config::read(&source(&[])).unwrap();
    assert_eq!(
        config.containers.network,
        NetworkChoice::PerRun {
            pool: NetworkPool::default()
        }
    );
    assert_eq!(config.capacity, 1);
    assert_eq!(config.containers.limits.memory, 2 << 30);
    assert!(!config.keep_containers);
    assert_eq!(config.images.registries, Allowlist::well_known());
}

#[test]
fn every_mistake_is_told_at_once_by_name() {
    let mut wrong = source(&[
        (var::CAPACITY, "0"),
        (var::CPUS, "many"),
        (var::NETWORK, "host"),
        (var::DATA_DIR, "relative"),
        (var::KEEP, "yes please"),
        (var::INIT_POLICY, "p.rego"),
    ]);
    wrong.remove(var::TOKEN);
    wrong.insert(var::TRUST_KEYS.into(), "nonsense".into());
    let mistakes = Config::read(&wrong).unwrap_err();
    let text = mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    for name in [
        var::TOKEN,
        var::TRUST_KEYS,
        var::CAPACITY,
        var::CPUS,
        var::NETWORK,
        var::DATA_DIR,
        var::KEEP,
        var::INIT_POLICY,
    ] {
        assert!(text.contains(name), "{name} is not named in:\n{text}");
    }
    assert_eq!(mistakes.len(), 8, "{text}");
}

#[test]
fn signatures_are_required_as_written_and_never_without_keys() {
    use gantry_protocol::signature::Requirement;
    let jwks = (var::RUN_TRUST, "/etc/gantry/jwks.json");
    assert_eq!(
        Config::read(&source(&[jwks]))
            .unwrap()
            .signatures
            .requirement,
        Requirement::Off
    );
    for (text, requirement) in [
        ("off", Requirement::Off),
        ("apply-only", Requirement::ApplyOnly),
        ("all", Requirement::All),
    ] {
        let config = Config::read(&source(&[jwks, (var::REQUIRE_SIGNATURE, text)])).unwrap();
        assert_eq!(config.signatures.requirement, requirement);
    }
    for wrong in [
        &[jwks, (var::REQUIRE_SIGNATURE, "yes")][..],
        &[jwks, (var::REQUIRE_SIGNATURE, "ALL")],
        &[(var::REQUIRE_SIGNATURE, "all")],
        &[(var::SIGNATURE_AUDIENCE, "edge-1")],
        &[(var::RUN_TRUST, "relative.json")],
    ] {
        let mistakes = Config::read(&source(wrong)).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{wrong:?}: {mistakes:?}");
    }
}

#[test]
fn a_secret_is_in_no_error_and_no_debug_text() {
    let config = Config::read(&source(&[(var::POOL_KEY, "hunter2hunter2")])).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn runs_are_made_for_a_machine_that_workers_are_built_for() {
    let machine = |text| {
        let config = Config::read(&source(&[(var::PLATFORM, text)]));
        config.map(|config| config.containers.machine)
    };
    assert_eq!(machine("linux/arm64").unwrap(), Some(Machine::Aarch64));
    for wrong in ["arm64", "linux/riscv64"] {
        assert_eq!(machine(wrong).unwrap_err().len(), 1, "{wrong}");
    }
}

#[test]
fn networks_that_join_another_namespace_are_refused() {
    for network in ["host", "HOST", "container:abc", "ns:/proc/1/ns/net"] {
        assert!(
            Config::read(&source(&[(var::NETWORK, network)])).is_err(),
            "{network}"
        );
    }
    assert!(Config::read(&source(&[(var::NETWORK, "runs_net-1")])).is_ok());
}

#[test]
fn registries_replace_or_extend_the_default() {
    let read =
        |value| Config::read(&source(&[(var::REGISTRIES, value)])).map(|c| c.images.registries);
    let only = read("127.0.0.1:5000").unwrap();
    assert!(only.admit("127.0.0.1:5000/a:1").is_ok() && only.admit("ghcr.io/a/b:1").is_err());
    let more = read("+, 127.0.0.1:5000").unwrap();
    assert!(more.admit("127.0.0.1:5000/a:1").is_ok() && more.admit("ghcr.io/a/b:1").is_ok());
    assert!(read("https://ghcr.io").is_err());
}

#[test]
fn tags_keep_their_case_and_lose_the_prefix() {
    let config = Config::read(&source(&[("SPACELIFT_METADATA_Asg_Id", "x")])).unwrap();
    assert_eq!(
        config.metadata,
        BTreeMap::from([("Asg_Id".into(), "x".into())])
    );
}

#[test]
fn every_variable_is_listed_once() {
    let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), VARIABLES.len());
}

#[test]
fn handed_variables_find_their_phases_and_values() {
    let config = Config::read(&source(&[
        (var::WHITELIST, "AWS_REGION, ro_KEY,wo_KEY ,wo_ROLE,ABSENT"),
        (var::MASK, "KEY"),
        ("AWS_REGION", "eu-west-1"),
        ("ro_KEY", "read"),
        ("wo_KEY", "write"),
        ("ROLE", "admin"),
    ]))
    .unwrap();
    let found: Vec<_> = config
        .handed
        .set
        .iter()
        .map(|v| (v.name.as_str(), v.value.expose(), v.to, v.masked))
        .collect();
    assert_eq!(
        found,
        [
            ("AWS_REGION", "eu-west-1", HandedTo::Every, false),
            ("KEY", "read", HandedTo::Reading, true),
            ("KEY", "write", HandedTo::Writing, true),
            ("ROLE", "admin", HandedTo::Writing, false),
        ]
    );
    assert_eq!(config.handed.unset, ["ABSENT"]);
}

#[test]
fn what_is_handed_over_is_checked() {
    for (name, value) in [
        (var::WHITELIST, "SPACELIFT_TOKEN"),
        (var::WHITELIST, "wo_SPACELIFT_POOL_PRIVATE_KEY"),
        (var::WHITELIST, "A=B"),
        (var::MASK, "NOT_LISTED"),
        (var::MOUNTS, "/a"),
        (var::MOUNTS, "/a:/b,/c:/b"),
        (var::RO_MOUNTS, "/a:/tmp"),
        (var::WO_MOUNTS, r"/a:/b\"),
    ] {
        let mistakes = Config::read(&source(&[(name, value)])).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
        assert!(mistakes[0].to_string().starts_with(name), "{mistakes:?}");
    }
    let both = source(&[(var::RO_MOUNTS, "/a:/b"), (var::WO_MOUNTS, "/c:/b:ro")]);
    assert_eq!(Config::read(&both).unwrap().containers.mounts.len(), 2);
}

#[test]
fn what_lies_outside_is_checked() {
    for (name, value) in [
        (var::HEALTH, "0.0.0.0:9464"),
        (var::HEALTH, "unix:relative"),
        (var::OTLP, "collector:4318"),
        (var::PROXY_HTTPS, "socks5://proxy:1080"),
        ("no_proxy", "10.0.0.0/64"),
        (var::CA_FILES, "relative.pem"),
        (var::ROOT_CAS, "e30="),
        (var::ROOT_CAS, "not base64!"),
        ("SPACELIFT_PRIVATEVCS_MAPPING_NAME_0", "pool"),
        (
            "SPACELIFT_PRIVATEVCS_MAPPING_BASE_ENDPOINT_0",
            "https://git.example",
        ),
        (var::STANDBY, "1"),
        (var::NETWORK_POOL, "8.8.8.0/24"),
        (var::PULL_POLICY, "sometimes"),
        (var::RUN_TIMEOUT, "70"),
        (var::WRITABLE_ROOT, "alpine"),
        (var::DEFAULT_IMAGE, "Not/Valid"),
    ] {
        let mistakes = Config::read(&source(&[(name, value)])).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
    }
}

#[test]
fn additional_root_cas_are_read_as_documented() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = STANDARD.encode(ca.self_signed(&key).unwrap().pem());
    let json = format!(r#"{{"caCertificates":["{pem}"]}}"#);
    let mut value = STANDARD.encode(json);
    // Wrapped as `base64` does it.
    value.insert(70, '\n');
    let config = Config::read(&source(&[(var::ROOT_CAS, &value)])).unwrap();
    assert_eq!(config.outside.roots.len(), 1);
}

#[test]
fn mappings_are_counted_without_gaps() {
    let pairs = |numbers: &[u32]| -> BTreeMap<String, String> {
        let mut all = source(&[]);
        for n in numbers {
            all.insert(format!("{}{n}", var::VCS_NAME), format!("pool-{n}"));
            all.insert(
                format!("{}{n}", var::VCS_ENDPOINT),
                "https://git.example:8443/x".into(),
            );
        }
        all
    };
    assert_eq!(
        Config::read(&pairs(&[0, 1]))
            .unwrap()
            .source
            .vcs_mappings
            .len(),
        2
    );
    assert!(Config::read(&pairs(&[0, 2])).is_err());
}
