//! CAs of one's own: made into the value that every component reads, and read by this program too.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn bundle(home: &Path, words: &[&str]) -> Ran {
    let done = Command::new(env!("CARGO_BIN_EXE_gantry"))
        .args(["ca", "bundle"])
        .args(words)
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .output()
        .unwrap();
    Ran {
        code: done.status.code(),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

fn certificate(ca: bool) -> rcgen::Certificate {
    let mut params = CertificateParams::new(vec!["ca.example".into()]).unwrap();
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn files_become_the_one_value() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (certificate(true), certificate(true));
    std::fs::write(home.path().join("one.pem"), one.pem()).unwrap();
    std::fs::write(home.path().join("two.der"), two.der()).unwrap();
    let ran = bundle(home.path(), &["one.pem", "two.der"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1);
    let read = gantry_net::parse_added(&ran.out).unwrap();
    let pems: Vec<_> = read.iter().map(|root| root.pem.clone()).collect();
    let plain = |made: &rcgen::Certificate| made.pem().replace("\r\n", "\n").into_bytes();
    assert_eq!(pems, [plain(&one), plain(&two)]);
}

#[test]
fn what_is_no_ca_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let write =
        |name: &str, content: &str| std::fs::write(home.path().join(name), content).unwrap();
    write("leaf.pem", &certificate(false).pem());
    write("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    let rows = [
        ("leaf.pem", "is no CA"),
        ("key.pem", "`key.pem` holds no certificate"),
        ("none.pem", "cannot read `none.pem`"),
    ];
    for (file, expected) in rows {
        let ran = bundle(home.path(), &[file]);
        assert_ne!(ran.code, Some(0), "{file}");
        assert!(
            ran.err.contains(expected) && ran.out.is_empty(),
            "{}",
            ran.err
        );
    }
    let forced = bundle(home.path(), &["--force", "leaf.pem"]);
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    assert!(forced.err.contains("is no CA"), "{}", forced.err);
}

#[test]
fn a_bad_value_in_the_environment_is_named() {
    let home = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_gantry"))
        .arg("whoami")
        .env_clear()
        .env("HOME", home.path())
        .env("SPACELIFT_API_KEY_ENDPOINT", "https://gantry.example")
        .env("SPACELIFT_API_KEY_ID", "K")
        .env("SPACELIFT_API_KEY_SECRET", "S")
        .env("ADDITIONAL_ROOT_CAS", "%%")
        .output()
        .unwrap();
    assert!(!done.status.success());
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("error: ADDITIONAL_ROOT_CAS"), "{said}");
    assert!(said.contains("is not base64"), "{said}");
}
