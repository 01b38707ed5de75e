//! Requests as people send them, certificates as pools get them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_protocol::PoolId;
use gantry_protocol::crypto::PoolKey;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;

use super::{Authority, CsrError, Keyring, PkiError, SigningRequest};
use crate::clock::UnixMillis;
use crate::store::Store;
use crate::vault::Vault;

fn pair(key: &PoolKey) -> KeyPair {
    let key = rsa::RsaPrivateKey::from_pkcs1_pem(key.to_pem().expose()).unwrap();
    KeyPair::from_pem(&key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap()).unwrap()
}

fn request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "build hosts");
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn a_request_is_taken_as_pem_and_as_base64_of_it() {
    let key = PoolKey::generate(2048).unwrap();
    let pem = request(&pair(&key));
    let (_, parsed) = parse_x509_pem(pem.as_bytes()).unwrap();
    let wrapped = STANDARD
        .encode(&pem)
        .as_bytes()
        .chunks(76)
        .fold(String::new(), |text, line| {
            text + std::str::from_utf8(line).unwrap() + "\n"
        });
    for text in [
        pem.clone(),
        format!("\n  {pem}\n"),
        pem.replace('\n', "\r\n"),
        STANDARD.encode(&pem),
        wrapped,
        STANDARD.encode(&parsed.contents),
        pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
    ] {
        let read = SigningRequest::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(read.public_key(), &key.public());
        assert_eq!(
            SigningRequest::parse(&read.to_pem()).unwrap().der,
            parsed.contents
        );
    }
}

#[test]
fn each_mistake_is_named() {
    let key = PoolKey::generate(2048).unwrap();
    let pem = request(&pair(&key));
    let (_, parsed) = parse_x509_pem(pem.as_bytes()).unwrap();
    let mut forged = parsed.contents.clone();
    *forged.last_mut().unwrap() ^= 1;
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let private = key.to_pem().expose().to_owned();
    for (text, expected) in [
        (String::new(), CsrError::NotRequest),
        ("hello".to_owned(), CsrError::NotRequest),
        (STANDARD.encode("hello"), CsrError::NotRequest),
        (
            pem.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
            CsrError::NotRequest,
        ),
        (pem[..pem.len() / 2].to_owned(), CsrError::NotRequest),
        (STANDARD.encode(&forged), CsrError::Signature),
        (request(&curve), CsrError::NotRsa),
        (STANDARD.encode(&private), CsrError::PrivateKey),
        (private, CsrError::PrivateKey),
        ("a".repeat(40_000), CsrError::TooLong),
    ] {
        assert_eq!(
            SigningRequest::parse(&text).unwrap_err(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_certificate_names_the_pool_and_holds_its_key() {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let (key, certificate) = Authority::create(now).unwrap();
    let authority = Authority::open(&key, &certificate).unwrap();
    let pool_key = PoolKey::generate(2048).unwrap();
    let asked = SigningRequest::parse(&request(&pair(&pool_key))).unwrap();
    let pool: PoolId = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
    let issued = authority.issue(&asked, pool, now).unwrap();

    let (_, ca) = parse_x509_pem(certificate.as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    let (_, pem) = parse_x509_pem(issued.pem.as_bytes()).unwrap();
    let cert = pem.parse_x509().unwrap();
    cert.verify_signature(Some(ca.public_key())).unwrap();
    assert_eq!(cert.public_key().raw, pool_key.public().to_spki_der());
    assert_eq!(cert.validity().not_after.timestamp(), issued.not_after);
    assert!(cert.validity().not_before.timestamp() < now.unix_timestamp());
    assert_eq!(cert.issuer(), ca.subject());
    assert_eq!(
        cert.subject().to_string(),
        format!("CN={pool}, OU=build hosts")
    );
    assert!(!cert.is_ca());
    let days = (issued.not_after - now.unix_timestamp()) / 86_400;
    assert!((365..=731).contains(&days), "{days}");
    assert_eq!(
        super::public_key(&issued.public_key_pem).unwrap(),
        pool_key.public()
    );
}

fn vault(dir: &std::path::Path, name: &str) -> Vault {
    let file = dir.join(name);
    if !file.exists() {
        std::fs::write(&file, Vault::generate().expose()).unwrap();
    }
    Vault::from_file(&file).unwrap()
}

#[tokio::test]
async fn keys_outlive_the_process_and_rotate() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let vault = vault(dir.path(), "master");
    let first = Keyring::open(&store, &vault).await.unwrap();
    let again = Keyring::open(&store, &vault).await.unwrap();
    assert_eq!(first.envelope_keys(), again.envelope_keys());
    assert_eq!(first.nonce(), again.nonce());
    assert_eq!(first.session().public(), again.session().public());
    assert_eq!(first.authority.certificate(), again.authority.certificate());

    let token_made = UnixMillis(first.envelope[0].made.0);
    let next = loop {
        // The clock counts milliseconds; a key made within the same one would count as named.
        let next = Keyring::rotate(&store, &vault).await.unwrap();
        if Keyring::open(&store, &vault).await.unwrap().envelope[0].made > token_made {
            break next;
        }
    };
    let rotated = Keyring::open(&store, &vault).await.unwrap();
    assert_eq!(
        rotated.envelope_signer(token_made).public(),
        first.envelope_keys()[0]
    );
    assert_eq!(rotated.envelope_signer(UnixMillis::now()).public(), next);
    let pool: PoolId = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C".parse().unwrap();
    let token = rotated.token(pool, "certificate", "https://gantry.example");
    assert!(token.server_keys.contains(&next));
    assert!(token.server_keys.contains(&first.envelope_keys()[0]));
}

#[tokio::test]
async fn another_master_key_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    Keyring::open(&store, &vault(dir.path(), "master"))
        .await
        .unwrap();
    let refused = Keyring::open(&store, &vault(dir.path(), "other"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            PkiError::Vault {
                purpose: "envelope",
                ..
            }
        ),
        "{refused}"
    );
}
