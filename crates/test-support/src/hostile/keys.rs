//! The keys of a hostile server's world: a pool's, the server's own, the release key, and strangers'.
//!
//! Takes a directory, gives keys and the texts that launchers are configured with. The pool's private key is here for
//! the launcher and for judging what came; a server never has it, so nothing that a server sends is made with it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::control::token::{self, Broker, PoolToken};
use gantry_protocol::crypto::{EdKey, PoolKey, PoolPublic};
use gantry_protocol::{PoolId, Secret};
use ulid::Ulid;

use crate::pool::openssl;

/// Everybody's keys.
#[derive(Debug)]
pub struct Keys {
    pool: PoolId,
    pool_key: PoolKey,
    pool_pem: String,
    certificate: String,
    /// Signs run envelopes; launchers know its public half from their token.
    pub server: EdKey,
    /// Signs worker executables; offline, so a hostile server can only repeat what it signed.
    pub release: EdKey,
}

impl Keys {
    /// Fresh ones; `openssl` makes the pool's, as operators do it.
    pub(super) fn make(dir: &Path) -> Self {
        let (key, certificate) = (dir.join("pool.pem"), dir.join("pool.crt"));
        let path = |path: &Path| path.to_str().expect("a path that is text").to_owned();
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-batch",
            "-subj",
            "/CN=hostile",
            "-days",
            "60",
            "-keyout",
            &path(&key),
            "-out",
            &path(&certificate),
        ]);
        let read = |path: &Path| std::fs::read_to_string(path).expect("read a key file");
        let pool_pem = read(&key);
        Self {
            pool: PoolId::from_ulid(Ulid::generate()),
            pool_key: PoolKey::from_pem(&Secret::new(pool_pem.as_str())).expect("an RSA key"),
            pool_pem,
            certificate: read(&certificate),
            server: EdKey::generate(),
            release: EdKey::generate(),
        }
    }

    /// The pool's id.
    pub fn pool(&self) -> PoolId {
        self.pool
    }

    /// What a server knows of the pool's key.
    pub fn pool_public(&self) -> PoolPublic {
        self.pool_key.public()
    }

    /// A key that is neither the pool's nor anybody's whom a launcher knows.
    pub fn stranger() -> PoolKey {
        PoolKey::generate(2048).expect("an RSA key can be made")
    }

    /// `SPACELIFT_TOKEN` for a server at `endpoint`.
    pub(super) fn token(&self, endpoint: &str) -> String {
        let token = PoolToken {
            version: token::VERSION,
            broker: Broker {
                endpoint: endpoint.to_owned(),
            },
            pool: self.pool,
            certificate: self.certificate.clone(),
            server_keys: vec![self.server.public()],
        };
        token.encode()
    }

    /// `SPACELIFT_POOL_PRIVATE_KEY`.
    pub(super) fn pool_key_base64(&self) -> String {
        STANDARD.encode(&self.pool_pem)
    }
}
