//! The server's certificate authority: an Ed25519 key that signs pool certificates.
//!
//! Takes a checked signing request, gives a certificate. The certificate names the pool and how long its
//! credential is good for; who may do what is decided by ids and keys in the database, never by a subject.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::{PoolId, Secret};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SubjectPublicKeyInfo,
};
use time::{Duration, OffsetDateTime};

use super::request::SigningRequest;

/// Life of the authority's own certificate.
const AUTHORITY_DAYS: i64 = 3650;

/// Life of a pool certificate; launchers warn 30 days ahead of its end.
const POOL_DAYS: i64 = 730;

/// Certificates begin this much earlier, for hosts whose clock is behind.
const BACKDATE: Duration = Duration::hours(1);

/// What a pool gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolCertificate {
    /// The certificate, PEM.
    pub pem: String,
    /// The pool's public key, PEM (SubjectPublicKeyInfo).
    pub public_key_pem: String,
    /// The signing request, PEM.
    pub csr_pem: String,
    /// When the certificate ends, Unix seconds.
    pub not_after: i64,
}

/// The authority. Does not print its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new authority; its key and its certificate, both PEM.
    pub(super) fn create(now: OffsetDateTime) -> Result<(Secret, String), rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Gantry pool authority");
        params.not_before = now - BACKDATE;
        params.not_after = now + Duration::days(AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?;
        Ok((Secret::new(key.serialize_pem()), certificate.pem()))
    }

    pub(super) fn open(key: &Secret, certificate: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key.expose())?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key)?;
        Ok(Self {
            issuer,
            certificate: certificate.to_owned(),
        })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a pool's certificate. The subject is the pool's id: what the request asks for beyond its key
    /// (names, extensions) is not taken over, only its common name is kept for people to read.
    ///
    /// # Errors
    /// When the key's encoding is not one that a certificate can hold.
    pub fn issue(
        &self,
        request: &SigningRequest,
        pool: PoolId,
        now: OffsetDateTime,
    ) -> Result<PoolCertificate, rcgen::Error> {
        let spki = request.key.to_spki_der();
        let key = SubjectPublicKeyInfo::from_der(&spki)?;
        let not_after = now + Duration::days(POOL_DAYS);
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&pool.to_string());
        if let Some(asked) = &request.common_name {
            params
                .distinguished_name
                .push(DnType::OrganizationalUnitName, asked.as_str());
        }
        params.not_before = now - BACKDATE;
        params.not_after = not_after;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(PoolCertificate {
            pem: certificate.pem(),
            public_key_pem: pem("PUBLIC KEY", &spki),
            csr_pem: request.to_pem(),
            not_after: not_after.unix_timestamp(),
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(*****)")
    }
}

fn name(common: &str) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// PEM with lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("invariant: base64 is ASCII"));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
