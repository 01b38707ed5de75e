//! Logins from a Docker client configuration, tried on registries that want them.
//!
//! Takes real registries, real helper programs, a token service; gives verdicts. Never: a login in a file that
//! others read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use gantry_launcher::engine::ErrorKind;
use gantry_launcher::image::{Allowlist, ImageError, PullPolicy, ResolvedImage};
use gantry_launcher::registry::{HelperEnvironment, LoginSettings, LoginSource};
use gantry_launcher::report::Chain;

use super::front::{Front, challenge, client, pass_on};
use super::world::{
    LocalImage, PASSWORD, Registry, Setup, USER, docker, engine, free_address, images_with, script,
};

/// A directory with `config.json` and helpers.
struct Config {
    temp: tempfile::TempDir,
}

impl Config {
    fn new(text: &str) -> Self {
        let temp = tempfile::tempdir().expect("temp dir");
        std::fs::write(temp.path().join("config.json"), text).expect("written");
        Self { temp }
    }

    fn helper(&self, name: &str, text: &str) {
        let path = self.temp.path().join(format!("docker-credential-{name}"));
        script(&path, &format!("#!/bin/sh\n{text}\n"));
    }

    async fn resolve(&self, reference: &str) -> Result<ResolvedImage, ImageError> {
        let (engine, info) = engine().await;
        let dir = self.temp.path();
        let settings = LoginSettings {
            docker_config: Some(dir.to_owned()),
            helpers: HelperEnvironment {
                path: format!("{}:/usr/bin:/bin", dir.display()),
                home: Some(dir.display().to_string()),
                proxies: Vec::new(),
            },
            outside: gantry_net::Outside::default(),
        };
        let images = images_with(&engine, &info, settings, PullPolicy::default());
        let host = reference.split('/').next().expect("a registry");
        let allowlist = Allowlist::new([host]).expect("valid");
        images
            .resolve(allowlist.admit(reference).expect("listed"))
            .await
    }
}

fn is_unauthorized(error: &ImageError) -> bool {
    matches!(error, ImageError::Engine { source, .. } if matches!(source.kind(), ErrorKind::Unauthorized { .. }))
}

#[tokio::test]
async fn a_helper_is_asked_for_its_registry_only() {
    let registry = Registry::with_login();
    let (reference, digest) = registry.push(&LocalImage::new(&[]), "helped:1");
    let host = &registry.host;
    let answer = format!(
        r#"read server; echo "$server" >>"$HOME/asked"; echo '{{"Username":"{USER}","Secret":"{PASSWORD}"}}'"#
    );
    for text in [
        format!(r#"{{"credHelpers":{{"{host}":"keeper"}},"credsStore":"broken"}}"#),
        r#"{"credsStore":"keeper"}"#.to_owned(),
        format!(
            r#"{{"credHelpers":{{"other.example":"broken"}},"credsStore":"keeper","auths":{{"{host}":{{}}}}}}"#
        ),
    ] {
        let config = Config::new(&text);
        config.helper("keeper", &answer);
        config.helper("broken", "exit 1");
        let resolved = config.resolve(&reference).await.expect(&text);
        assert_eq!(resolved.digest().to_string(), digest);
        let source = LoginSource::Helper("keeper".parse().expect("a name"));
        assert_eq!(resolved.login().source(), &source);
        let asked = std::fs::read_to_string(config.temp.path().join("asked")).expect("asked");
        assert_eq!(asked.trim(), host, "{text}");
    }
}

#[tokio::test]
async fn a_helper_without_a_login_means_none_and_a_broken_one_is_an_error() {
    let registry = Registry::with_login();
    let (reference, _) = registry.push(&LocalImage::new(&[]), "helped:1");
    let config = Config::new(r#"{"credsStore":"keeper"}"#);
    config.helper(
        "keeper",
        "echo credentials not found in native keychain; exit 1",
    );
    let error = config.resolve(&reference).await.expect_err("no login");
    assert!(is_unauthorized(&error), "{error:?}");
    assert!(error.to_string().contains("without a login"), "{error}");

    let config = Config::new(r#"{"credsStore":"keeper"}"#);
    config.helper("keeper", "echo the key ring is locked; exit 1");
    let error = config.resolve(&reference).await.expect_err("broken");
    let said = Chain(&error).to_string();
    for part in [
        reference.as_str(),
        "docker-credential-keeper",
        "the key ring is locked",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let config = Config::new(r#"{"credsStore":"absent"}"#);
    let error = config.resolve(&reference).await.expect_err("absent");
    let said = Chain(&error).to_string();
    assert!(
        said.contains("docker-credential-absent") && said.contains("installed"),
        "{said}"
    );
}

/// A private CA and a certificate for an address.
fn certificate(address: &str) -> (String, (String, String)) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).expect("signed");
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![address.to_owned()]).expect("valid");
    let leaf = params.signed_by(&own, &issuer).expect("signed");
    (ca.pem(), (leaf.pem(), own.serialize_pem()))
}

/// The CA as `dockerd` reads it, for one registry; removed on drop.
struct Trusted(PathBuf);

impl Trusted {
    fn new(host: &str, ca: &str) -> Self {
        let dir = Path::new("/etc/docker/certs.d").join(host);
        std::fs::create_dir_all(&dir).expect("root may write here");
        std::fs::write(dir.join("ca.crt"), ca).expect("written");
        Self(dir)
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        // The directory above goes with the last of its kind.
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

#[tokio::test]
async fn a_registry_behind_a_private_ca_needs_the_ca_and_the_login() {
    // The engine asks nobody on loopback for a certificate, so this one listens on the bridge.
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    let address = docker(&["network", "inspect", "--format", format, "bridge"]);
    let port = free_address()
        .rsplit_once(':')
        .expect("a port")
        .1
        .to_owned();
    let host = format!("{address}:{port}");
    let (ca, tls) = certificate(&address);
    let setup = Setup {
        listen: Some(host.clone()),
        tls: Some(tls),
        ..Setup::default()
    };
    let registry = Registry::start(setup.with_login());
    let login = base64_of(&format!("{USER}:{PASSWORD}"));
    let config = Config::new(&format!(r#"{{"auths":{{"{host}":{{"auth":"{login}"}}}}}}"#));
    let unknown = config.resolve(&format!("{host}/private:1")).await;
    let said = Chain(&unknown.expect_err("nobody knows this CA")).to_string();
    assert!(said.contains("certificate"), "{said}");
    let _trusted = Trusted::new(&host, &ca);
    let (reference, digest) = registry.push(&LocalImage::new(&[]), "private:1");
    let resolved = config.resolve(&reference).await.expect("with both");
    assert_eq!(resolved.digest().to_string(), digest);
    let wrong = base64_of(&format!("{USER}:wrong"));
    for text in [
        "{}".to_owned(),
        format!(r#"{{"auths":{{"{host}":{{"auth":"{wrong}"}}}}}}"#),
    ] {
        let error = Config::new(&text)
            .resolve(&reference)
            .await
            .expect_err(&text);
        assert!(is_unauthorized(&error), "{error:?}");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What a registry with a token service has seen.
struct Exchange {
    registry: String,
    /// Its own address, for the challenge.
    own: Mutex<String>,
    client: reqwest::Client,
    tokens: Mutex<Vec<String>>,
}

const ACCESS: &str = "Bearer access-of-today";

async fn exchange(
    State(state): State<Arc<Exchange>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path() == "/token" {
        let form = String::from_utf8_lossy(&body).into_owned();
        let good =
            form.contains("grant_type=refresh_token") && form.contains("refresh_token=of-a-year");
        state.tokens.lock().expect("a lock").push(form);
        if !good {
            return challenge("Bearer");
        }
        let answer = r#"{"access_token":"access-of-today","expires_in":300,"scope":"x"}"#;
        return ([("content-type", "application/json")], answer).into_response();
    }
    if headers
        .get("authorization")
        .is_none_or(|value| value != ACCESS)
    {
        let own = state.own.lock().expect("a lock").clone();
        return challenge(&format!(r#"Bearer realm="{own}/token",service="test""#));
    }
    pass_on(&state.client, &state.registry, method, &uri, &headers, body).await
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_the_engine() {
    let registry = Registry::open();
    let (_, digest) = registry.push(&LocalImage::new(&[]), "exchanged:1");
    let state = Arc::new(Exchange {
        registry: registry.host.clone(),
        own: Mutex::default(),
        client: client(),
        tokens: Mutex::default(),
    });
    let front = Front::start(Router::new().fallback(exchange).with_state(state.clone()));
    *state.own.lock().expect("a lock") = front.url();
    let host = front.address;
    let reference = format!("{host}/exchanged:1");
    let in_file = format!(r#"{{"auths":{{"{host}":{{"auth":"","identitytoken":"of-a-year"}}}}}}"#);
    let resolved = Config::new(&in_file)
        .resolve(&reference)
        .await
        .expect("exchanged");
    assert_eq!(resolved.digest().to_string(), digest);
    let config = Config::new(r#"{"credsStore":"keeper"}"#);
    config.helper(
        "keeper",
        r#"echo '{"Username":"<token>","Secret":"of-a-year"}'"#,
    );
    let resolved = config.resolve(&reference).await.expect("exchanged");
    assert_eq!(resolved.digest().to_string(), digest);
    assert!(state.tokens.lock().expect("a lock").len() >= 2);
    let other = in_file.replace("of-a-year", "of-the-past");
    let error = Config::new(&other)
        .resolve(&reference)
        .await
        .expect_err("refused");
    assert!(is_unauthorized(&error), "{error:?}");
}
