//! Signing requests as people send them.
//!
//! Takes PEM, or base64 of PEM or DER; gives a request whose signature was checked. Never: anything but an
//! RSA key of a sufficient length.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::crypto::{PoolKeyError, PoolPublic};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

/// Longest accepted text in bytes; an RSA-16384 request stays below a third of it.
const MAX_TEXT: usize = 32 << 10;

/// A signing request that its key's holder signed.
#[derive(Debug)]
pub struct SigningRequest {
    pub(super) key: PoolPublic,
    pub(super) common_name: Option<String>,
    pub(super) der: Vec<u8>,
}

/// Why a text is not an acceptable signing request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CsrError {
    /// Neither PEM nor base64 of it.
    #[error(
        "the certificate signing request is neither PEM (`BEGIN CERTIFICATE REQUEST`) nor base64 of it; make one with `openssl req -new -newkey rsa:4096 -nodes -keyout pool.key -out pool.csr`"
    )]
    NotRequest,
    /// A private key was sent instead: it must not travel, so the sender has to know.
    #[error(
        "this is a private key, not a certificate signing request: send the `.csr` file, and replace the key, because it left your host"
    )]
    PrivateKey,
    /// A longer text than any request.
    #[error("the certificate signing request is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// The signature is not of the key in the request.
    #[error(
        "the certificate signing request is not signed by its own key; make a fresh one from the pool's private key"
    )]
    Signature,
    /// Not RSA.
    #[error(
        "the certificate signing request holds no RSA key; a pool needs one (`openssl req -new -newkey rsa:4096 -nodes`)"
    )]
    NotRsa,
    /// Too short.
    #[error(
        "the RSA key of the certificate signing request has {0} bits; at least 2048 are needed"
    )]
    TooShort(usize),
}

impl SigningRequest {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn parse(text: &str) -> Result<Self, CsrError> {
        if text.len() > MAX_TEXT {
            return Err(CsrError::TooLong);
        }
        let der = der_of(text)?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|_| CsrError::NotRequest)?;
        if !rest.is_empty() {
            return Err(CsrError::NotRequest);
        }
        let info = &request.certification_request_info;
        let key = PoolPublic::from_spki_der(info.subject_pki.raw).map_err(|error| match error {
            PoolKeyError::TooShort(bits) => CsrError::TooShort(bits),
            _ => CsrError::NotRsa,
        })?;
        request
            .verify_signature()
            .map_err(|_| CsrError::Signature)?;
        let names = info.subject.iter_common_name();
        let common_name = names.filter_map(|name| name.as_str().ok()).next();
        let common_name = common_name.map(|name| name.chars().take(64).collect());
        Ok(Self {
            key,
            common_name,
            der: der.clone(),
        })
    }

    /// The pool's public key.
    pub fn public_key(&self) -> &PoolPublic {
        &self.key
    }

    /// The request as PEM, however it came.
    pub fn to_pem(&self) -> String {
        super::authority::pem("CERTIFICATE REQUEST", &self.der)
    }
}

fn der_of(text: &str) -> Result<Vec<u8>, CsrError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(CsrError::PrivateKey);
    }
    if text.contains("-----BEGIN") {
        return pem_to_der(text.trim_start().as_bytes());
    }
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(packed).map_err(|_| CsrError::NotRequest)?;
    match std::str::from_utf8(&bytes) {
        Ok(inner) if inner.contains("PRIVATE KEY-----") => Err(CsrError::PrivateKey),
        Ok(inner) if inner.contains("-----BEGIN") => pem_to_der(&bytes),
        _ => Ok(bytes),
    }
}

fn pem_to_der(text: &[u8]) -> Result<Vec<u8>, CsrError> {
    let (_, pem) = parse_x509_pem(text).map_err(|_| CsrError::NotRequest)?;
    match pem.label.as_str() {
        // Older tools write the second label.
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Ok(pem.contents),
        _ => Err(CsrError::NotRequest),
    }
}
