//! A pool whose key and CSR `openssl` made, as operators do it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::Cli;
use crate::programs::find_program;
use crate::server::output;

/// A pool with its token and key.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The pool's id.
    pub id: String,
    /// `SPACELIFT_TOKEN`.
    pub token: String,
    /// The private key's PEM.
    pub key_pem: String,
}

impl Pool {
    /// Makes key, CSR and pool.
    pub fn create(cli: &Cli, dir: &Path, name: &str, bits: u32) -> Self {
        let (key, csr) = (
            dir.join(format!("{name}.pem")),
            dir.join(format!("{name}.csr")),
        );
        let bits = format!("rsa:{bits}");
        let subject = format!("/CN={name}");
        let base = [
            "req", "-new", "-newkey", &bits, "-nodes", "-batch", "-subj", &subject,
        ];
        openssl(&[&base[..], &["-keyout", text(&key), "-out", text(&csr)]].concat());
        let token = dir.join(format!("{name}.token"));
        let args = [
            "pool",
            "create",
            "--name",
            name,
            "--csr",
            text(&csr),
            "--token-file",
            text(&token),
        ];
        let made = cli.json(&args).remove(0);
        let read = |path: &PathBuf| std::fs::read_to_string(path).expect("read a pool's file");
        let id = made["id"].as_str().expect("the pool's id").to_owned();
        Self {
            id,
            token: read(&token).trim().to_owned(),
            key_pem: read(&key),
        }
    }

    /// `SPACELIFT_POOL_PRIVATE_KEY`.
    pub fn key_base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.key_pem)
    }
}

/// Runs `openssl`.
pub fn openssl(args: &[&str]) -> Vec<u8> {
    output(Command::new(find_program("openssl", "openssl")).args(args))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
