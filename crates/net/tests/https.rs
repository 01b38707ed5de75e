//! A real TLS server under a name that only our resolver knows: who is trusted, and what is never followed.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use gantry_net::{ClientOptions, NamedPem, Resolver, client_builder, install_crypto};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Url;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const NAME: &str = "gantry.test";

/// Serves one fixed answer per connection; gives its address and the CA that issued its certificate.
async fn serve(answer: &'static str) -> (SocketAddr, NamedPem) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![NAME.to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A client that does not trust us hangs up here; the next one is served all the same.
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (
        address,
        NamedPem {
            origin: "test ca".to_owned(),
            pem: ca.pem().into_bytes(),
        },
    )
}

fn options(dir: &tempfile::TempDir, roots: Vec<NamedPem>) -> ClientOptions {
    let (resolv, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
    std::fs::write(&resolv, "nameserver 192.0.2.1\n").unwrap();
    std::fs::write(&hosts, format!("127.0.0.1 {NAME}\n")).unwrap();
    let resolver = Resolver::from_files(resolv, hosts);
    ClientOptions {
        extra_roots: roots,
        resolver,
        ..ClientOptions::new("gantry-net-test/1")
    }
}

#[tokio::test]
async fn an_added_ca_is_trusted_and_a_stranger_is_not() {
    install_crypto();
    let (address, ca) = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let url = Url::parse(&format!("https://{NAME}:{}/", address.port())).unwrap();
    let dir = tempfile::tempdir().unwrap();

    let stranger = client_builder(&url, &options(&dir, vec![]))
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    assert!(
        stranger
            .get(url.clone())
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );

    let friend = client_builder(&url, &options(&dir, vec![ca]))
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    let text = friend.get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "ok");
}

#[tokio::test]
async fn a_redirect_is_an_answer_not_an_order() {
    install_crypto();
    let answer =
        "HTTP/1.1 302 Found\r\nlocation: https://gantry.test:1/\r\ncontent-length: 0\r\n\r\n";
    let (address, ca) = serve(answer).await;
    let url = Url::parse(&format!("https://{NAME}:{}/", address.port())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let client = client_builder(&url, &options(&dir, vec![ca]))
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    assert_eq!(client.get(url).send().await.unwrap().status(), 302);
}
