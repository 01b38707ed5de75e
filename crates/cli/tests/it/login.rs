//! Logging in: what is stored and how, and what each failure says.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::fake::{Fake, SECRET};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_login_is_tried_then_kept_for_its_owner_only() {
    let fake = Fake::start().await;
    let args = [
        "login",
        "--endpoint",
        &fake.url,
        "--key-id",
        "key",
        "--key-secret-file",
        "-",
    ];
    let done = fake.gantry_with(&args, &format!("{SECRET}\n"), false).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        !done.err.contains(SECRET) && !done.out.contains(SECRET),
        "{done:?}"
    );
    let dir = fake.home.path().join(".config/gantry");
    assert_eq!((mode(&dir), mode(&dir.join("config.json"))), (0o700, 0o600));

    let done = fake.gantry_with(&["whoami", "-o", "json"], "", false).await;
    assert_eq!(done.code, 0, "{done:?}");
    let me: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(me["name"], "Ada");
}

#[tokio::test]
async fn a_wrong_key_is_not_stored() {
    let fake = Fake::start().await;
    let args = [
        "login",
        "--endpoint",
        &fake.url,
        "--key-id",
        "key",
        "--key-secret-file",
        "-",
    ];
    let done = fake.gantry_with(&args, "wrong", false).await;
    assert_eq!(done.code, 6, "{done:?}");
    assert!(done.err.contains("API key `key`"), "{}", done.err);
    assert!(!fake.home.path().join(".config/gantry/config.json").exists());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let fake = Fake::start().await;
    let rows: [(&[&str], i32, &str); 5] = [
        (&["whoami"], 6, "not logged in: run `gantry login`"),
        (&["login"], 1, "--endpoint is missing"),
        (
            &[
                "login",
                "--endpoint",
                "http://gantry.example.org",
                "--key-id",
                "x",
                "--key-secret-file",
                "-",
            ],
            1,
            "`http://gantry.example.org` is not encrypted",
        ),
        (
            &[
                "login",
                "--endpoint",
                "gantry",
                "--key-id",
                "x",
                "--key-secret-file",
                "-",
            ],
            1,
            "`gantry` is not a URL",
        ),
        (&["stack", "deploy"], 2, "--id <ID>"),
    ];
    for (args, code, text) in rows {
        let done = fake.gantry_with(args, "secret", false).await;
        assert_eq!(done.code, code, "{args:?}: {done:?}");
        assert!(done.err.contains(text), "{args:?}: {}", done.err);
        assert_eq!(done.out, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let fake = Fake::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let args = [
        "login",
        "--endpoint",
        &format!("http://{free}"),
        "--key-id",
        "x",
        "--key-secret-file",
        "-",
    ];
    let done = fake.gantry_with(&args, "secret", false).await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.err
            .contains(&format!("cannot reach the server at `{free}`")),
        "{}",
        done.err
    );
}
