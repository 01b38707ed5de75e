//! Real programs in the place of helpers.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

/// Writes `docker-credential-<name>` as a shell script and gives the environment that finds it.
fn helper(dir: &Path, name: &str, script: &str) -> HelperEnvironment {
    let path = dir.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
    HelperEnvironment {
        path: format!("{}:/usr/bin:/bin", dir.display()),
        home: Some(dir.display().to_string()),
        proxies: vec![("HTTPS_PROXY".to_owned(), Secret::new("http://p.example"))],
    }
}

async fn asked(script: &str) -> Result<Option<Given>, HelperError> {
    let dir = tempfile::tempdir().expect("temp dir");
    let environment = helper(dir.path(), "x", script);
    let name = "x".parse().expect("a name");
    ask(&name, "registry.example:5000", &environment).await
}

#[test]
fn names_are_words_without_a_path() {
    for name in ["ecr-login", "pass", "gcr", "acr-env", "x2"] {
        assert!(name.parse::<HelperName>().is_ok(), "{name}");
    }
    let long = "a".repeat(65);
    for name in [
        "",
        "../x",
        "a/b",
        "/bin/sh",
        "A",
        "a b",
        "a.b",
        "a;b",
        "é",
        "a\0",
        long.as_str(),
    ] {
        assert!(name.parse::<HelperName>().is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_registry_goes_in_and_the_login_comes_out() {
    let script = r#"read server; printf '{"ServerURL":"%s","Username":"u-%s","Secret":"s:%s"}' "$server" "$1" "$server""#;
    let given = asked(script).await.expect("an answer").expect("a login");
    let expected = Given::Password {
        username: "u-get".to_owned(),
        password: Secret::new("s:registry.example:5000"),
    };
    assert_eq!(given, expected);
}

#[tokio::test]
async fn a_token_user_is_an_identity_token() {
    let given = asked(r#"echo '{"Username":"<token>","Secret":"t"}'"#).await;
    let given = given.expect("an answer");
    assert_eq!(given, Some(Given::IdentityToken(Secret::new("t"))));
}

#[tokio::test]
async fn not_found_is_no_login_and_no_error() {
    let script = "echo credentials not found in native keychain; exit 1";
    assert_eq!(asked(script).await.expect("an answer"), None);
}

#[tokio::test]
async fn nothing_is_inherited_but_what_was_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let script = r#"env | cut -d= -f1 | grep -v -e '^PWD$' -e '^_$' -e '^SHLVL$' -e '^OLDPWD$' | sort | tr '\n' ' ' >"$HOME/seen"
        echo '{"Username":"u","Secret":"s"}'"#;
    let environment = helper(dir.path(), "x", script);
    let name = "x".parse().expect("a name");
    let given = ask(&name, "r.example", &environment).await;
    assert!(given.expect("an answer").is_some());
    let seen = std::fs::read_to_string(dir.path().join("seen")).expect("written");
    assert_eq!(seen.trim(), "HOME HTTPS_PROXY PATH");
}

#[tokio::test]
async fn a_failure_is_told_and_a_bad_answer_is_not_quoted() {
    let cases = [
        ("echo key ring is locked; exit 3", "key ring is locked"),
        ("echo hunter2", "its answer is not"),
        (r#"echo '{"Secret":"hunter2"}'"#, "its answer is not"),
        (
            "head -c 70000 /dev/zero | tr '\\0' hunter2",
            "longer than 65536",
        ),
    ];
    for (script, expected) in cases {
        let error = asked(script).await.expect_err(script).to_string();
        assert!(
            error.contains(expected) && !error.contains("hunter2"),
            "{error}"
        );
    }
    let environment = HelperEnvironment {
        path: "/nonexistent".to_owned(),
        ..HelperEnvironment::default()
    };
    let name = "x".parse().expect("a name");
    let error = ask(&name, "r.example", &environment).await;
    assert!(
        matches!(error, Err(HelperError::NotStarted(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_helper_that_hangs_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().expect("temp dir");
    let script = r#"sleep 1000 & echo "$!" >"$HOME/child"; wait"#;
    let environment = helper(dir.path(), "x", script);
    let name: HelperName = "x".parse().expect("a name");
    let limit = Duration::from_secs(5);
    let ended = ask_within(&name, "r.example", &environment, limit).await;
    assert!(
        matches!(ended, Err(HelperError::TimedOut { limit: 5 })),
        "{ended:?}"
    );
    let child = std::fs::read_to_string(dir.path().join("child")).expect("written");
    let status = format!("/proc/{}/status", child.trim());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
        assert!(std::time::Instant::now() < deadline, "the child lives on");
        tokio::task::yield_now().await;
    }
}
