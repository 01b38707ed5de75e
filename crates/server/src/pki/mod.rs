//! Who may call itself a pool, and what the server signs with.
//!
//! Takes signing requests and the vault, gives pool certificates, pool tokens and signing keys. Never: a
//! private key in the clear at rest, a certificate for a key whose holder did not prove that it has it.

mod authority;
mod keys;
mod request;

#[cfg(test)]
mod tests;

use gantry_protocol::crypto::PoolPublic;
use x509_parser::pem::parse_x509_pem;

pub use authority::{Authority, PoolCertificate};
pub use keys::{Keyring, PkiError};
pub use request::{CsrError, SigningRequest};

/// Reads a pool's public key from the PEM (SubjectPublicKeyInfo) in which the database keeps it.
pub fn public_key(pem: &str) -> Option<PoolPublic> {
    let (_, parsed) = parse_x509_pem(pem.as_bytes()).ok()?;
    PoolPublic::from_spki_der(&parsed.contents).ok()
}

/// When a certificate (PEM) ends, Unix seconds; nothing for a text that is none.
pub fn certificate_end(pem: &str) -> Option<i64> {
    let (_, parsed) = parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = parsed.parse_x509().ok()?;
    Some(certificate.validity().not_after.timestamp())
}
