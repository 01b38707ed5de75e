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
        Self::with_key(cli, dir, name, bits, &["create", "--name", name])
    }

    /// Gives the pool another key; the one before counts for this many hours more.
    pub fn reset(&self, cli: &Cli, dir: &Path, overlap_hours: u32) -> Self {
        let overlap = overlap_hours.to_string();
        let args = ["reset", "--id", &self.id, "--overlap-hours", &overlap];
        Self::with_key(cli, dir, "reset", 2048, &args)
    }

    fn with_key(cli: &Cli, dir: &Path, name: &str, bits: u32, args: &[&str]) -> Self {
        let file = |end: &str| dir.join(format!("{name}.{end}"));
        let (key, csr, token) = (file("pem"), file("csr"), file("token"));
        let bits = format!("rsa:{bits}");
        let subject = format!("/CN={name}");
        let base = [
            "req", "-new", "-newkey", &bits, "-nodes", "-batch", "-subj", &subject,
        ];
        openssl(&[&base[..], &["-keyout", text(&key), "-out", text(&csr)]].concat());
        let files = ["--csr", text(&csr), "--token-file", text(&token)];
        let made = cli.json(&[&["pool"], args, &files].concat()).remove(0);
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
