//! A real TLS server under a name that only our resolver knows: who is trusted, and what is never followed.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use gantry_net::{ClientOptions, NamedPem, Outside, Resolver, client_builder, install_crypto};
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
    let outside = Outside {
        roots,
        ..Outside::default()
    };
    ClientOptions {
        resolver,
        ..ClientOptions::new(
            gantry_net::egress::LauncherPurpose::Server,
            "gantry-net-test/1",
            &outside,
        )
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

/// A proxy that answers every `CONNECT` with `answer`, and carries bytes to `target` if that is a yes. Gives its address and
/// the first request that it gets.
async fn proxy(
    answer: &'static str,
    target: SocketAddr,
) -> (SocketAddr, tokio::sync::oneshot::Receiver<String>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, first) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let length = socket.read(&mut bytes).await.unwrap();
        let _ = heard.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
        socket.write_all(answer.as_bytes()).await.unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            let mut there = tokio::net::TcpStream::connect(target).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut there).await;
        }
    });
    (address, first)
}

fn through(options: ClientOptions, variables: &[(&str, &str)]) -> ClientOptions {
    let get = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let mut outside = Outside::read(&get).unwrap();
    outside.roots.clone_from(&options.outside.roots);
    ClientOptions { outside, ..options }
}

fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn a_proxy_carries_requests_with_its_login() {
    install_crypto();
    let (address, ca) = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    // A port where nobody listens: without the proxy there would be no answer.
    let url = Url::parse(&format!("https://{NAME}:9/")).unwrap();
    let (proxy, first) = proxy("HTTP/1.1 200 OK\r\n\r\n", address).await;
    let dir = tempfile::tempdir().unwrap();
    let setting = format!("http://me:p%40ss@{proxy}");
    let options = through(options(&dir, vec![ca]), &[("https_proxy", &setting)]);
    let client = client_builder(&url, &options).unwrap().build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
    let request = first.await.unwrap().to_ascii_lowercase();
    assert!(
        request.starts_with(&format!("connect {NAME}:9 http/1.1")),
        "{request}"
    );
    // `me:p@ss`.
    assert!(
        request.contains("proxy-authorization: basic bwu6cebzcw=="),
        "{request}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_proxy_is_said_in_one_line() {
    install_crypto();
    let (address, _) = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let url = Url::parse(&format!("https://{NAME}:9/")).unwrap();
    let wanted = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let yes = "HTTP/1.1 200 OK\r\n\r\n";
    let rows = [
        (wanted, "", "wants a login"),
        (wanted, "me:hunter2@", "does not take the login in its URL"),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "",
            "made no connection",
        ),
        (yes, "me:hunter2@", "is by a CA that is not known here"),
    ];
    for (answer, login, expected) in rows {
        let (proxy, _first) = proxy(answer, address).await;
        let dir = tempfile::tempdir().unwrap();
        let setting = format!("http://{login}{proxy}");
        let options = through(options(&dir, Vec::new()), &[("HTTPS_PROXY", &setting)]);
        let client = client_builder(&url, &options).unwrap().build().unwrap();
        let told = whole(&client.get(url.clone()).send().await.unwrap_err());
        let place = format!("the proxy http://{proxy} (HTTPS_PROXY)");
        assert!(told.contains(&place) && told.contains(expected), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named_for_clear_text_too() {
    install_crypto();
    let dir = tempfile::tempdir().unwrap();
    for scheme in ["https", "http"] {
        let url = Url::parse(&format!("{scheme}://{NAME}:9/")).unwrap();
        let variables = [("ALL_PROXY", "http://me:hunter2@127.0.0.1:9")];
        let options = through(options(&dir, Vec::new()), &variables);
        let client = gantry_net::internal_client_builder(&url, &options).unwrap();
        let client = client.build().unwrap();
        let told = whole(&client.get(url.clone()).send().await.unwrap_err());
        let expected = "the proxy http://127.0.0.1:9 (ALL_PROXY) can't be reached";
        assert!(
            told.contains(expected) && !told.contains("hunter2"),
            "{told}"
        );
    }
}
