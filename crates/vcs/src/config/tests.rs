//! Settings as people give them.

use std::ffi::OsString;

use super::*;

fn token() -> String {
    let token = PoolToken {
        host: "gateway.example.com:443".into(),
        key: Secret::new("hunter2"),
        pool: "01HZ".into(),
    };
    token.encode().expose().to_owned()
}

fn source(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let token = token();
    let base = [
        (set::BASE.name, "https://git.example.com"),
        (set::TOKEN.name, token.as_str()),
        (set::VENDOR.name, "gitlab"),
    ];
    let all = base.iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn told(source: &BTreeMap<String, String>) -> String {
    let mistakes = Config::read(source).unwrap_err();
    let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn arguments(words: &[&str]) -> Result<Cli, clap::Error> {
    let program = ["gantry-vcs-agent"];
    Cli::read(program.iter().chain(words).map(OsString::from))
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = Config::read(&source(&[])).unwrap();
    assert_eq!(config.parallelism, 4);
    assert_eq!(config.times.short, Duration::from_secs(25));
    assert!(config.times.bulk >= Duration::from_secs(15 * 60));
    assert!(!config.dial_insecure && !config.identity && !config.dump);
    assert!(config.credential.is_none() && config.health.is_none());
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(!config.rules.allowed_projects().is_restricted());
    for setting in SETTINGS.iter().filter(|s| !s.default.is_empty()) {
        let said = source(&[(setting.name, setting.default)]);
        let config = Config::read(&said).unwrap();
        let usual = Config::read(&source(&[])).unwrap();
        assert_eq!(
            format!("{config:?}"),
            format!("{usual:?}"),
            "{}",
            setting.name
        );
    }
}

#[test]
fn every_mistake_is_told_at_once_by_name() {
    let wrong = [
        (set::BASE, "https://user:pw@git.example.com"),
        (set::TOKEN, "nonsense!"),
        (set::VENDOR, "gitea"),
        (set::ALLOWED, "("),
        (set::PARALLELISM, "0"),
        (set::BLOCKLIST, "/no/such/file"),
        (set::USE_ALLOWLIST, "maybe"),
        (set::CA_CERT, "bm90aGluZw=="),
        (set::ADDED_ROOTS, "nothing"),
        (set::DIAL_INSECURE, "ja"),
        (set::IDENTITY, "x"),
        (set::DUMP, "x"),
        (set::BUGSNAG_DISABLE, "x"),
        (set::SHORT, "0s"),
        (set::BULK, "1d"),
        (set::IDLE, "60"),
        (set::DRAIN, "-1s"),
        (set::BODY_LIMIT, "1"),
        (set::HEALTH, "9090"),
    ];
    let pairs: Vec<_> = wrong
        .iter()
        .map(|(setting, value)| (setting.name, *value))
        .collect();
    let mut all = source(&pairs);
    all.insert(set::CREDENTIAL.name.into(), "bearer:hunter2".into());
    all.insert(set::CREDENTIAL_FILE.name.into(), "/run/credential".into());
    let told = told(&all);
    for (setting, _) in wrong {
        assert!(
            told.contains(setting.name),
            "{} is not named in:\n{told}",
            setting.name
        );
    }
    assert!(told.contains(set::CREDENTIAL.name));
    assert_eq!(told.lines().count(), wrong.len() + 1, "{told}");
    assert!(
        !told.contains("hunter2") && !told.contains("nonsense"),
        "{told}"
    );
}

#[test]
fn what_is_required_is_asked_for_by_flag_and_variable() {
    let told = told(&BTreeMap::new());
    for setting in [set::BASE, set::TOKEN, set::VENDOR] {
        assert!(
            told.contains(setting.name) && told.contains(setting.flag),
            "{told}"
        );
    }
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn a_base_endpoint_is_a_place_and_nothing_more() {
    for (text, url) in [
        ("https://git.example.com", "https://git.example.com/"),
        ("https://git.example.com/", "https://git.example.com/"),
        ("http://169.254.0.10:7990", "http://169.254.0.10:7990/"),
        ("https://h/gitlab/", "https://h/gitlab"),
        (
            "https://[::1]:8443/tfs/Collection",
            "https://[::1]:8443/tfs/Collection",
        ),
    ] {
        let config = Config::read(&source(&[(set::BASE.name, text)])).unwrap();
        assert_eq!(config.base.as_str(), url);
    }
    for text in [
        "git.example.com",
        "git.example.com:443",
        "ftp://h",
        "https://",
        "https://u@h",
        "https://:p@h",
        "https://h?q",
        "https://h/#f",
        "https://h/a/../b",
        "https://h/a/%2e%2e/b",
        "https://h//a",
        "file:///etc",
    ] {
        let told = told(&source(&[(set::BASE.name, text)]));
        assert!(told.starts_with(set::BASE.name), "{text}: {told}");
    }
}

#[test]
fn tags_are_taken_by_their_prefix_and_bounded() {
    let tags = source(&[
        ("SPACELIFT_METADATA_instance_id", "i-1"),
        ("SPACELIFT_METADATA_", "x"),
    ]);
    let config = Config::read(&tags).unwrap();
    assert_eq!(
        config.tags,
        BTreeMap::from([("instance_id".to_owned(), "i-1".to_owned())])
    );
    let long = "x".repeat(TAGS_LIMIT);
    assert!(told(&source(&[("SPACELIFT_METADATA_a", &long)])).contains("the limit is"));
}

#[test]
fn what_is_odd_is_warned_of() {
    for (setting, value) in [
        (set::BASE, "http://git.example.com"),
        (set::ALLOWED, "app"),
        (set::BUGSNAG_KEY, "abc"),
        (set::USE_ALLOWLIST, "false"),
    ] {
        let config = Config::read(&source(&[(setting.name, value)])).unwrap();
        assert_eq!(config.warnings.len(), 1, "{}", setting.name);
        assert!(config.warnings[0].contains(setting.name));
    }
}

#[test]
fn flags_stand_before_variables_wherever_they_are_written() {
    let under = source(&[(set::PARALLELISM.name, "8"), (set::DUMP.name, "true")]);
    for words in [
        &[
            "--parallelism",
            "9",
            "--dial-insecure",
            "--debug-print-all=false",
        ][..],
        &[
            "serve",
            "--parallelism=9",
            "--dial-insecure=true",
            "--debug-print-all=false",
        ],
        &[
            "--parallelism",
            "9",
            "serve",
            "--dial-insecure",
            "--debug-print-all=0",
        ],
    ] {
        let cli = arguments(words).unwrap();
        assert_eq!(cli.command, Command::Serve);
        let config = Config::read(&cli.over(&under)).unwrap();
        assert_eq!(
            (config.parallelism, config.dial_insecure, config.dump),
            (9, true, false),
            "{words:?}"
        );
    }
    for words in [
        &["--no-such-flag"][..],
        &["check", "GET"],
        &["check", "GET", "/a", "b"],
        &["unknown"],
    ] {
        assert_eq!(arguments(words).unwrap_err().exit_code(), 2, "{words:?}");
    }
    let cli = arguments(&["check", "GET", "/a", "--vendor", "gitlab", "--body", "f"]).unwrap();
    let question = Question {
        method: "GET".into(),
        target: "/a".into(),
        body: Some("f".into()),
    };
    assert_eq!(cli.command, Command::Check(question));
}

#[test]
fn every_documented_flag_is_taken() {
    for flag in [
        "target-base-endpoint",
        "token",
        "vendor",
        "allowed-projects",
        "parallelism",
        "bugsnag-api-key",
        "ca-cert",
        "blocklist-path",
    ] {
        assert!(
            arguments(&[&format!("--{flag}"), "value"]).is_ok(),
            "{flag}"
        );
    }
    for switch in [
        "disable-bugsnag",
        "debug-print-all",
        "http-disable-response-compression",
        "dial-insecure",
        "use-allowlist",
    ] {
        assert!(arguments(&[&format!("--{switch}")]).is_ok(), "{switch}");
    }
}
