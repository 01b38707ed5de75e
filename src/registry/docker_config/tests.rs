//! Files as Docker clients write them.

use super::*;

fn opened(config: &str) -> (tempfile::TempDir, DockerConfig) {
    let dir = tempfile::tempdir().expect("temp dir");
    fs::write(dir.path().join("config.json"), config).expect("written");
    let config = DockerConfig::open(dir.path()).expect("valid");
    (dir, config)
}

fn found(config: &str, registry: &str) -> Entry {
    opened(config).1.entry(registry).expect("readable")
}

fn password(username: &str, password: &str) -> Entry {
    Entry::Login(Given::Password {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

fn helper(name: &str) -> Entry {
    Entry::Helper(name.parse().expect("a name"))
}

#[test]
fn logins_belong_to_one_registry() {
    let auth = STANDARD.encode("user:pa:ss?>~");
    let cases = [
        ("https://index.docker.io/v1/", "docker.io", true),
        ("docker.io", "docker.io", true),
        ("ghcr.io", "ghcr.io", true),
        ("https://ghcr.io/v2/", "ghcr.io", true),
        ("127.0.0.1:5000", "127.0.0.1:5000", true),
        ("127.0.0.1:5000", "127.0.0.1:5001", false),
        ("127.0.0.1:5000", "127.0.0.1", false),
        ("ghcr.io", "docker.io", false),
        ("ghcr.io", "sub.ghcr.io", false),
    ];
    for (key, registry, expected) in cases {
        let config = format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#);
        let expected = match expected {
            true => password("user", "pa:ss?>~"),
            false => Entry::Absent,
        };
        assert_eq!(found(&config, registry), expected, "{key} {registry}");
    }
}

#[test]
fn helpers_come_before_the_store_and_the_store_before_logins() {
    let auth = STANDARD.encode("u:p");
    let config = format!(
        r#"{{"auths":{{"a.example":{{"auth":"{auth}"}},"b.example":{{"auth":"{auth}"}},"d.example":{{"auth":"{auth}"}}}},
            "credHelpers":{{"a.example":"ecr-login","https://index.docker.io/v1/":"hub","d.example":""}},"credsStore":"pass"}}"#
    );
    assert_eq!(found(&config, "a.example"), helper("ecr-login"));
    assert_eq!(found(&config, "b.example"), helper("pass"));
    assert_eq!(found(&config, "c.example"), helper("pass"));
    assert_eq!(found(&config, "docker.io"), helper("hub"));
    // An empty name takes a registry out of the store.
    assert_eq!(found(&config, "d.example"), password("u", "p"));
}

#[test]
fn other_shapes() {
    let token = |text: &str| Entry::Login(Given::IdentityToken(Secret::new(text)));
    let cases = [
        (
            r#"{"auths":{"h.example":{"username":"u","password":"p"}}}"#,
            password("u", "p"),
        ),
        (r#"{"auths":{"h.example":{}}}"#, Entry::Absent),
        (
            r#"{"auths":{"h.example":{"auth":"","identitytoken":"t"}}}"#,
            token("t"),
        ),
        (
            r#"{"auths":{"h.example":{"auth":"MDAwMDo=","identitytoken":"t"}}}"#,
            token("t"),
        ),
        (
            r#"{"auths":{"h.example":{"auth":"dTpw","identitytoken":""}}}"#,
            password("u", "p"),
        ),
        (
            r#"{"auths":{},"HttpHeaders":{"X":"y"},"proxies":{},"currentContext":"c"}"#,
            Entry::Absent,
        ),
        ("{}", Entry::Absent),
    ];
    for (config, expected) in cases {
        assert_eq!(found(config, "h.example"), expected, "{config}");
    }
    let empty = tempfile::tempdir().expect("temp dir");
    let config = DockerConfig::open(empty.path()).expect("no file is no login");
    assert_eq!(config.entry("h.example").expect("readable"), Entry::Absent);
}

#[test]
fn a_new_login_counts_without_a_restart() {
    let (dir, config) = opened(r#"{"auths":{"h.example":{"auth":"dTpw"}}}"#);
    assert_eq!(
        config.entry("h.example").expect("readable"),
        password("u", "p")
    );
    // As `docker login` does it: a new file takes the old one's name.
    let auth = STANDARD.encode("u:q");
    let text = format!(r#"{{"auths":{{"h.example":{{"auth":"{auth}"}}}}}}"#);
    fs::write(dir.path().join("new"), text).expect("written");
    fs::rename(dir.path().join("new"), dir.path().join("config.json")).expect("renamed");
    assert_eq!(
        config.entry("h.example").expect("readable"),
        password("u", "q")
    );
    fs::remove_file(dir.path().join("config.json")).expect("removed");
    assert_eq!(config.entry("h.example").expect("readable"), Entry::Absent);
    fs::write(dir.path().join("config.json"), "{").expect("written");
    assert!(
        config.entry("h.example").is_err(),
        "a broken file is not the old one"
    );
}

#[test]
fn errors_do_not_quote_the_file() {
    for text in [
        r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#,
        r#"{"auths": secret"#,
        r#"{"credsStore":"../secret"}"#,
        r#"{"credHelpers":{"h":"/bin/secret"}}"#,
        r#"{"auths":{"h":{"auth":"dTpw","identitytoken":{"secret":1}}}}"#,
    ] {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join("config.json"), text).expect("written");
        let error = DockerConfig::open(dir.path()).expect_err(text).to_string();
        assert!(
            !error.contains("secret") && !error.contains("c2Vj"),
            "{error}"
        );
        assert!(error.contains("config.json"), "{error}");
    }
}
