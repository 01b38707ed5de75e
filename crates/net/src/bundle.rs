//! One file of CAs, for programs that take nothing else.
//!
//! Takes what an operator adds, gives PEM text that holds the host's roots too. Never: a bundle with the
//! operator's roots alone, which would cut such a program off from everybody else.

use pem::{EncodeConfig, LineEnding, Pem, encode_many_config};
use rustls::pki_types::CertificateDer;

use crate::client::{ClientError, NamedPem, certificates};

/// The host's roots and `extra`, as PEM.
///
/// # Errors
/// When `extra` holds something that is no certificate.
pub fn merged_bundle(extra: &[NamedPem]) -> Result<String, ClientError> {
    // What the host holds is best effort: a certificate of it that can't be read helps nobody.
    let mut all = rustls_native_certs::load_native_certs().certs;
    for pem in extra {
        all.extend(certificates(pem)?);
    }
    Ok(as_pem(&all))
}

/// Certificates as PEM text, one block each.
pub(crate) fn as_pem(certificates: &[CertificateDer<'_>]) -> String {
    let block = |certificate: &CertificateDer<'_>| Pem::new("CERTIFICATE", certificate.as_ref());
    let blocks: Vec<Pem> = certificates.iter().map(block).collect();
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    encode_many_config(&blocks, config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_stands_in_the_bundle_and_reads_back() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["ca.example".into()]).expect("parameters");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let added = NamedPem {
            origin: "test".into(),
            pem: pem.clone().into_bytes(),
        };
        let bundle = merged_bundle(&[added]).expect("a bundle");
        assert!(bundle.ends_with(&pem.replace("\r\n", "\n")), "{bundle}");
        let again = NamedPem {
            origin: "bundle".into(),
            pem: bundle.into_bytes(),
        };
        assert!(!certificates(&again).expect("PEM").is_empty());
    }
}
