//! The process: exit codes, one server per data directory, a clean stop, TLS, health.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::world::{Client, KEY_TEXT, World, arguments};

const DEADLINE: Duration = Duration::from_secs(30);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gantry-server"));
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server process that is killed if a test fails.
struct Server {
    child: Child,
    base: String,
}

impl Server {
    fn start(data: &Path, key: &Path) -> Self {
        let (data_text, key) = (data.display().to_string(), key.display().to_string());
        let address = data.join("address");
        let _ = std::fs::remove_file(&address);
        let child = command(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            &data_text,
            "--master-key-file",
            &key,
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let start = Instant::now();
        loop {
            match std::fs::read_to_string(&address) {
                Ok(text) if text.ends_with('\n') => {
                    return Self {
                        child,
                        base: format!("http://{}", text.trim()),
                    };
                }
                _ if start.elapsed() > DEADLINE => panic!("no server after {DEADLINE:?}"),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// SIGTERM; gives the exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn master_key(dir: &Path, name: &str) -> PathBuf {
    let made = run(&["master-key", "generate"]);
    assert!(made.status.success());
    let path = dir.join(name);
    std::fs::write(&path, made.stdout).unwrap();
    path
}

#[tokio::test]
async fn keys_are_made_beside_a_server_that_survives_a_restart() {
    gantry_net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("data"), master_key(dir.path(), "key"));
    let data_text = data.display().to_string();
    let server = Server::start(&data, &key);
    let made = run(&[
        "api-key",
        "create",
        "--data-dir",
        &data_text,
        "--name",
        "ops",
        "--role",
        "admin",
        "--output",
        "json",
    ]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let session = Client::new(&server.base).ok(KEY_TEXT, made.clone()).await;
    assert!(session["apiKeyUser"]["jwt"].is_string());

    let (second, other) = (data_text.as_str(), key.display().to_string());
    let refused = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        second,
        "--master-key-file",
        &other,
    ]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("used by another gantry-server"),
        "{refused:?}"
    );

    assert_eq!(server.stop(), Some(0));
    let again = Server::start(&data, &key);
    Client::new(&again.base).ok(KEY_TEXT, made.clone()).await;
    let id = made["id"].as_str().unwrap();
    assert!(
        run(&["api-key", "revoke", "--data-dir", second, "--id", id])
            .status
            .success()
    );
    assert_eq!(
        Client::new(&again.base)
            .refused(KEY_TEXT, made.clone())
            .await,
        "unauthorized"
    );
    let twice = run(&["api-key", "revoke", "--data-dir", second, "--id", id]);
    assert!(text(&twice.stderr).contains(id), "{twice:?}");
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn what_can_not_work_is_one_line_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("data"), master_key(dir.path(), "key"));
    let other = master_key(dir.path(), "other");
    let missing = dir.path().join("missing");
    assert_eq!(Server::start(&data, &key).stop(), Some(0));
    let (data, key) = (data.display().to_string(), key.display().to_string());
    let (other, missing) = (other.display().to_string(), missing.display().to_string());
    let serve = |data: &str, key: &str, listen: &str| {
        run(&[
            "serve",
            "--listen",
            listen,
            "--data-dir",
            data,
            "--master-key-file",
            key,
        ])
    };
    let inside = format!("{data}/key");
    let foreign = dir.path().join("shared");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("somebody's"), "").unwrap();
    std::fs::set_permissions(&foreign, std::fs::Permissions::from_mode(0o755)).unwrap();
    let foreign = foreign.display().to_string();
    for (output, code, named) in [
        (serve(&data, &other, "127.0.0.1:0"), 1, other.as_str()),
        (serve(&data, &missing, "127.0.0.1:0"), 1, missing.as_str()),
        (serve(&foreign, &key, "127.0.0.1:0"), 1, foreign.as_str()),
        (
            serve("/proc/gantry", &key, "127.0.0.1:0"),
            1,
            "/proc/gantry",
        ),
        (serve(&data, &key, "0.0.0.0:0"), 64, "GANTRY_LISTEN"),
        (serve(&data, &inside, "127.0.0.1:0"), 64, inside.as_str()),
        (serve(&data, &key, "192.0.2.1:1"), 64, "192.0.2.1:1"),
        (serve(&data, &key, "nonsense"), 64, "nonsense"),
        (run(&["--log", "a=b=c", "schema"]), 64, "GANTRY_LOG"),
    ] {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{named}: {said}");
        assert!(said.contains(named), "{named}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[tokio::test]
async fn the_data_directory_is_private_and_health_is_told() {
    let world = World::new().await;
    let mode = std::fs::metadata(&world.app().data_dir)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    for (path, expected) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http
            .get(format!("{}{path}", world.app().base_url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), expected);
    }
    let app = world.app().clone();
    world.running.stop().await;
    assert!(
        app.store.begin().await.is_err(),
        "the database is still open"
    );
}

#[tokio::test]
async fn tls_serves_the_certificate_it_was_given() {
    gantry_net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .unwrap();
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert_text, key_text) = (cert.display().to_string(), key.display().to_string());
    let more = ["--tls-cert", &cert_text, "--tls-key", &key_text];
    let running = gantry_server::process::start(&arguments(dir.path(), &more))
        .await
        .unwrap();
    assert!(running.app.base_url.starts_with("https://127.0.0.1:"));
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let url = format!("{}/graphql", running.app.base_url);
    let body = json!({ "query": "{viewer{id}}" }).to_string();
    // A client that never finishes its handshake keeps nobody waiting.
    let idle = tokio::net::TcpStream::connect(running.address)
        .await
        .unwrap();
    let answer = http.post(&url).body(body.clone()).send().await.unwrap();
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({ "data": { "viewer": null } })
    );
    let plain = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    assert!(plain.post(&url).body(body).send().await.is_err());
    drop((idle, http));
    running.stop().await;

    std::fs::write(&key, "not a key").unwrap();
    // Elsewhere: a program that another test starts at this instant may hold the first directory's lock until it is executed.
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = gantry_server::process::start(&arguments(elsewhere.path(), &more))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("tls.key"), "{refused}");
}
