//! Tokens, keys and servers that don't fit: one clear error that names the thing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_test_support::{SHORT, World, openssl};

use super::{BAD_CONFIG, refuses_to_start};

#[test]
fn each_bad_token_and_key_is_one_clear_error() {
    let world = World::start();
    let other = world.other_pool("other");
    let key_file = world.dir().join("keys/it.pem").display().to_string();
    let encrypt = [
        "pkcs8",
        "-topk8",
        "-in",
        &key_file,
        "-passout",
        "pass:secret",
    ];
    let encrypted = openssl(&encrypt);
    let elliptic = openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    let (token, key) = ("SPACELIFT_TOKEN", "SPACELIFT_POOL_PRIVATE_KEY");
    let cases = [
        (token, "%%% no token %%%".to_owned(), "not base64"),
        (
            token,
            STANDARD.encode("hello"),
            "not of a pool token's JSON",
        ),
        (token, other.token.clone(), "is not the key of pool"),
        (token, String::new(), "is not set"),
        (key, "%%%".to_owned(), "not base64"),
        (key, STANDARD.encode("hello"), "not a PEM private key"),
        (key, STANDARD.encode(&encrypted), "encrypted"),
        (key, STANDARD.encode(&elliptic), "not RSA"),
        (key, other.key_base64(), "is not the key of pool"),
        (
            "GANTRY_WORKER_TRUST_KEYS",
            "x".to_owned(),
            "GANTRY_WORKER_TRUST_KEYS",
        ),
        (
            "GANTRY_ALLOWED_REGISTRIES",
            "a b".to_owned(),
            "GANTRY_ALLOWED_REGISTRIES",
        ),
    ];
    for (at, (variable, value, said)) in cases.iter().enumerate() {
        let launcher = world.launcher(&format!("bad-{at}"));
        let (error, log) = refuses_to_start(launcher.env(variable, value));
        let names_it = error.contains(variable) || error.contains(key);
        assert!(
            error.contains(said) && names_it,
            "`{said}` of {variable}: {log}"
        );
        assert!(
            !log.contains(&world.pool().key_base64()[100..140]),
            "the key stands in the log"
        );
        assert!(
            value.len() < 100 || !log.contains(&value[40..80]),
            "the value stands in the log"
        );
    }
    assert!(
        world.api().workers().unwrap().is_empty(),
        "none of them joined"
    );
}

#[test]
fn mistakes_are_told_together() {
    let world = World::start();
    let launcher = world
        .launcher("bad")
        .env("SPACELIFT_TOKEN", "")
        .env("GANTRY_CAPACITY", "many");
    let mut launcher = launcher.env("GANTRY_RUN_CPUS", "none").spawn();
    assert_eq!(launcher.wait_exit(SHORT), BAD_CONFIG);
    for variable in ["SPACELIFT_TOKEN", "GANTRY_CAPACITY", "GANTRY_RUN_CPUS"] {
        assert!(launcher.log().contains(variable), "{}", launcher.log());
    }
}

#[test]
fn a_server_that_is_away_or_answers_garbage_is_named_and_waited_for() {
    let world = World::start();
    world.wire().cut();
    let mut launcher = world.launcher("a").spawn();
    launcher.wait_logged("can't be reached");
    assert!(
        launcher.log().contains(&world.wire().url()),
        "{}",
        launcher.log()
    );

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.wire().connect_to(listener.local_addr().unwrap());
    std::thread::spawn(move || answer_html(&listener));
    world.wire().heal();
    launcher.wait_logged("not of Gantry's protocol");
    assert!(
        launcher.running(),
        "garbage from something in between is no reason to give up"
    );

    let server = world.server().address();
    world.wire().connect_to(server);
    world.wire().heal();
    launcher.wait_logged("joined the pool");
}

/// What a captive portal does.
fn answer_html(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut request = [0; 4096];
        let body = "<html><body>Please log in</body></html>";
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length:";
        let _ = stream.read(&mut request);
        let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
    }
}
