//! CAs that an operator adds: the value of `ADDITIONAL_ROOT_CAS`, read and written.
//!
//! Takes the documented value, base64 of `{"caCertificates":["<base64 of PEM>",…]}`, or files; gives certificates under
//! names that errors can use. Never: a mistake that is passed over, or one that two different mistakes share.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::bundle::as_pem;
use crate::client::{ClientError, NamedPem, certificates, check_roots};

/// The variable that every component reads.
pub const ADDITIONAL_ROOT_CAS: &str = "ADDITIONAL_ROOT_CAS";

/// Why a value holds no CAs.
#[derive(Debug, thiserror::Error)]
pub enum AddedError {
    /// A PEM file as it is.
    #[error("is a PEM file itself; `gantry ca bundle FILE` makes the value of it")]
    BarePem,
    /// Not base64.
    #[error("is not base64")]
    NotBase64,
    /// Base64, of a PEM file.
    #[error(
        "is base64 of a PEM file, which belongs into a list; `gantry ca bundle FILE` makes the value of it"
    )]
    PemInBase64,
    /// Base64 of something else.
    #[error("does not decode to `{{\"caCertificates\":[\"…\"]}}`")]
    NotTheObject,
    /// An empty list.
    #[error("lists no certificate")]
    Empty,
    /// An entry is not base64.
    #[error("entry {0} of `caCertificates` is not base64")]
    EntryNotBase64(usize),
    /// An entry is a certificate without its PEM dress.
    #[error("entry {0} of `caCertificates` is a certificate in DER; it has to be base64 of PEM")]
    EntryIsDer(usize),
    /// An entry can't be a root.
    #[error(transparent)]
    Root(#[from] ClientError),
}

/// What is odd about a certificate that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// It signs no other certificates.
    #[error("`{subject}` in {origin} is no CA: it can't sign other certificates")]
    NoCa {
        /// File or variable.
        origin: String,
        /// Whose certificate it is.
        subject: String,
    },
    /// Its time is over.
    #[error("`{subject}` in {origin} ended at {ended}")]
    Ended {
        /// File or variable.
        origin: String,
        /// Whose certificate it is.
        subject: String,
        /// Its end, in words.
        ended: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    ca_certificates: Vec<String>,
}

/// Reads a value of [`ADDITIONAL_ROOT_CAS`].
///
/// # Errors
/// When any part of it is not what it should be.
pub fn parse_added(text: &str) -> Result<Vec<NamedPem>, AddedError> {
    if text.contains("-----BEGIN") {
        return Err(AddedError::BarePem);
    }
    let json = decoded(text).ok_or(AddedError::NotBase64)?;
    if json.starts_with(b"-----BEGIN") {
        return Err(AddedError::PemInBase64);
    }
    let listed: Listed = serde_json::from_slice(&json).map_err(|_| AddedError::NotTheObject)?;
    if listed.ca_certificates.is_empty() {
        return Err(AddedError::Empty);
    }
    let entries = listed.ca_certificates.iter().enumerate();
    entries.map(|(index, entry)| root(index, entry)).collect()
}

/// The value for `roots`, in one line.
#[must_use]
pub fn write_added(roots: &[NamedPem]) -> String {
    let entries = roots.iter().map(|root| STANDARD.encode(&root.pem));
    let listed = Listed {
        ca_certificates: entries.collect(),
    };
    let json = serde_json::to_vec(&listed).expect("invariant: texts have a JSON form");
    STANDARD.encode(json)
}

/// What is odd about `pem` at `now`. A server can still be trusted by such a certificate, so what to do is the
/// caller's to say.
///
/// # Errors
/// When it holds something that is no certificate.
pub fn oddities(pem: &NamedPem, now: SystemTime) -> Result<Vec<Oddity>, ClientError> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut found = Vec::new();
    for der in certificates(pem)? {
        let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
            return Err(ClientError::Damaged {
                origin: pem.origin.clone(),
            });
        };
        let origin = pem.origin.clone();
        let subject = certificate.subject().to_string();
        let end = certificate.validity().not_after;
        // What has no such extension may be a CA of old days; what has one says what it is.
        let denied = matches!(certificate.basic_constraints(), Ok(Some(said)) if !said.value.ca);
        let leaf =
            certificate.version().0 >= 2 && matches!(certificate.basic_constraints(), Ok(None));
        if denied || leaf {
            found.push(Oddity::NoCa { origin, subject });
        } else if u64::try_from(end.timestamp()).unwrap_or(0) < seconds {
            let ended = end.to_string();
            found.push(Oddity::Ended {
                origin,
                subject,
                ended,
            });
        }
    }
    Ok(found)
}

/// The certificates in a file's content, PEM or DER, as PEM that holds nothing else: a key that stands beside them stays
/// behind.
///
/// # Errors
/// When the content holds no certificate, or a damaged one.
pub fn read_file(origin: &str, content: &[u8]) -> Result<NamedPem, ClientError> {
    let named = |pem| NamedPem {
        origin: origin.to_owned(),
        pem,
    };
    let given = match X509Certificate::from_der(content) {
        Ok(_) => named(as_pem(&[content.into()]).into_bytes()),
        Err(_) => named(content.to_vec()),
    };
    check_roots(&given)?;
    Ok(named(as_pem(&certificates(&given)?).into_bytes()))
}

/// `base64` wraps its lines unless told otherwise.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(compact).ok()
}

fn root(index: usize, entry: &str) -> Result<NamedPem, AddedError> {
    let pem = decoded(entry).ok_or(AddedError::EntryNotBase64(index))?;
    if X509Certificate::from_der(&pem).is_ok() {
        return Err(AddedError::EntryIsDer(index));
    }
    let origin = format!("{ADDITIONAL_ROOT_CAS} (entry {index})");
    let root = NamedPem { origin, pem };
    check_roots(&root)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(ca: bool, until: i32) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["ca.example".into()]).unwrap();
        params.is_ca = match ca {
            true => IsCa::Ca(BasicConstraints::Unconstrained),
            false => IsCa::ExplicitNoCa,
        };
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    fn value(entries: &[&str]) -> String {
        STANDARD.encode(serde_json::json!({ "caCertificates": entries }).to_string())
    }

    #[test]
    fn what_is_written_reads_back() {
        let pem = certificate(true, 2090).pem().into_bytes();
        let origin = "a".to_owned();
        let written = write_added(&[NamedPem {
            origin,
            pem: pem.clone(),
        }]);
        let read = parse_added(&written).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].pem, pem);
        assert_eq!(read[0].origin, "ADDITIONAL_ROOT_CAS (entry 0)");
        // As `base64` without `-w0` writes it.
        let wrapped: Vec<String> = written
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        assert_eq!(parse_added(&wrapped.join("\n")).unwrap(), read);
    }

    #[test]
    fn every_mistake_has_its_own_words() {
        let made = certificate(true, 2090);
        let (pem, der) = (made.pem(), STANDARD.encode(made.der()));
        let in_base64 = STANDARD.encode(&pem);
        let half = STANDARD.encode(&pem[..pem.len() / 2]);
        let rows = [
            (pem.clone(), "is a PEM file itself"),
            ("%%".into(), "is not base64"),
            (in_base64.clone(), "is base64 of a PEM file"),
            (STANDARD.encode("[]"), "does not decode to"),
            (
                STANDARD.encode(r#"{"certificates":[]}"#),
                "does not decode to",
            ),
            (value(&[]), "lists no certificate"),
            (
                value(&[&in_base64, "%%"]),
                "entry 1 of `caCertificates` is not base64",
            ),
            (
                value(&[&der]),
                "entry 0 of `caCertificates` is a certificate in DER",
            ),
            (
                value(&["AAAA"]),
                "`ADDITIONAL_ROOT_CAS (entry 0)` holds no certificate",
            ),
            (value(&[&half]), "`ADDITIONAL_ROOT_CAS (entry 0)`"),
        ];
        for (value, expected) in rows {
            let told = parse_added(&value).unwrap_err().to_string();
            assert!(told.contains(expected), "{told} instead of {expected}");
        }
    }

    #[test]
    fn of_a_file_only_certificates_are_taken() {
        let key = KeyPair::generate().unwrap();
        let made = certificate(true, 2090);
        let beside = format!("{}{}", key.serialize_pem(), made.pem());
        for content in [
            beside.as_bytes(),
            made.der().as_ref(),
            made.pem().as_bytes(),
        ] {
            let read = read_file("ca.pem", content).unwrap();
            let text = String::from_utf8(read.pem).unwrap();
            assert_eq!(text, made.pem().replace("\r\n", "\n"));
        }
        for content in [&b""[..], b"no certificate", key.serialize_pem().as_bytes()] {
            let told = read_file("ca.pem", content).unwrap_err().to_string();
            assert_eq!(told, "`ca.pem` holds no certificate");
        }
    }

    #[test]
    fn a_leaf_and_an_old_certificate_are_told_of() {
        let now = SystemTime::now();
        let told = |ca, until| {
            let pem = certificate(ca, until).pem().into_bytes();
            let origin = "ca.pem".to_owned();
            let found = oddities(&NamedPem { origin, pem }, now).unwrap();
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(true, 2090), Vec::<String>::new());
        assert!(told(false, 2090)[0].contains("is no CA"));
        assert!(told(true, 2001)[0].contains("ended at"));
    }
}
