//! The one place that sets up HTTPS clients.
//!
//! Takes an endpoint and options, gives a `reqwest::ClientBuilder` with rustls on ring, our resolver, the
//! operator's proxies and CAs. Never: a client that skips verification, follows redirects on its own, reads
//! proxies from the environment by itself, or sends a request for this host through one.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{ClientBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::egress::Purpose;
use crate::endpoint::{InsecureUrl, require_https_unless_loopback};
use crate::outside::Outside;
use crate::resolver::{Asked, Resolver};
use crate::way::Named;

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not one that may be spoken to.
    #[error(transparent)]
    Insecure(#[from] InsecureUrl),
    /// An added CA file is not PEM.
    #[error("`{origin}` is not a PEM file of certificates")]
    NotPem {
        /// File or variable it came from.
        origin: String,
        /// What the parser said.
        source: rustls::pki_types::pem::Error,
    },
    /// An added CA file holds nothing.
    #[error("`{origin}` holds no certificate")]
    NoCertificate {
        /// File or variable it came from.
        origin: String,
    },
    /// An added certificate can't be a root.
    #[error("a certificate in `{origin}` can't be used as a root")]
    BadRoot {
        /// File or variable it came from.
        origin: String,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A block of an added file that is no certificate.
    #[error("`{origin}` holds a damaged certificate")]
    Damaged {
        /// File or variable it came from.
        origin: String,
    },
    /// The TLS provider does not support the protocol versions.
    #[error("the TLS settings don't fit the provider")]
    Tls(#[source] rustls::Error),
}

/// PEM text and where it came from, so that an error can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPem {
    /// File or variable.
    pub origin: String,
    /// One or more `CERTIFICATE` blocks.
    pub pem: Vec<u8>,
}

/// What differs between our clients.
#[derive(Clone)]
pub struct ClientOptions {
    /// What it is for: a row of the inventory of all that is contacted.
    pub purpose: Purpose,
    /// Product and version, such as `gantry-launcher/0.1.0`.
    pub user_agent: String,
    /// Proxies, and CAs to trust besides the bundled and the host's.
    pub outside: Outside,
    /// Longest time for DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Who resolves names.
    pub resolver: Resolver,
}

impl ClientOptions {
    /// 10 s to connect, the host's resolver.
    pub fn new(
        purpose: impl Into<Purpose>,
        user_agent: impl Into<String>,
        outside: &Outside,
    ) -> Self {
        Self {
            purpose: purpose.into(),
            user_agent: user_agent.into(),
            outside: outside.clone(),
            connect_timeout: Duration::from_secs(10),
            resolver: Resolver::system(),
        }
    }

    fn names(&self) -> Asked {
        Asked {
            resolver: self.resolver.clone(),
            purpose: self.purpose,
        }
    }
}

/// Makes ring the process's TLS provider; call first thing in every `main`. Calling again is harmless.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A builder of clients for `endpoint`; the caller adds its request time-outs and headers.
pub fn client_builder(
    endpoint: &Url,
    options: &ClientOptions,
) -> Result<ClientBuilder, ClientError> {
    require_https_unless_loopback(endpoint)?;
    internal_client_builder(endpoint, options)
}

/// As [`client_builder`] for a host that an operator named as internal: clear text is accepted, because an internal
/// host may speak nothing else. A client for an `https` endpoint still refuses everything else.
pub fn internal_client_builder(
    endpoint: &Url,
    options: &ClientOptions,
) -> Result<ClientBuilder, ClientError> {
    let proxies = options.outside.proxies.clone();
    let named = Named {
        proxy: proxies.of(endpoint).cloned(),
        clear: endpoint.scheme() == "http",
        limit: options.connect_timeout,
    };
    let builder = reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(options.names())
        .tls_backend_preconfigured(tls_config(&options.outside.roots)?)
        .connector_layer(named)
        // By the settings that were given, for each request; what the environment says is not read again.
        .proxy(reqwest::Proxy::custom(move |url| {
            let proxy = proxies.of(url)?;
            Some(proxy.url().expose().to_owned())
        }));
    Ok(match endpoint.scheme() {
        "http" => builder,
        _ => builder.https_only(true),
    })
}

/// A builder of clients for the metadata services of clouds, which speak clear text on link-local addresses
/// (instance and task credentials, interruption notices). No proxy ever sees such a request; the caller asks
/// nobody else with it and adds its time-outs. It trusts no CA, so a redirect into TLS leads nowhere either.
pub fn metadata_client_builder(options: &ClientOptions) -> Result<ClientBuilder, ClientError> {
    Ok(reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(options.names())
        .tls_backend_preconfigured(trusting(RootCertStore::empty())?)
        .no_proxy())
}

/// Client-side TLS: bundled web roots, the host's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), `extra`.
///
/// Clients with the same `extra` share one store of roots: each store is hundreds of certificates.
pub fn tls_config(extra: &[NamedPem]) -> Result<ClientConfig, ClientError> {
    static MADE: Mutex<Vec<(Vec<NamedPem>, ClientConfig)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = made.iter().find(|(roots, _)| roots == extra) {
        return Ok(config.clone());
    }
    let mut roots = common_roots().clone();
    for pem in extra {
        add_roots(&mut roots, pem)?;
    }
    let config = trusting(roots)?;
    made.push((extra.to_vec(), config.clone()));
    Ok(config)
}

/// The bundled roots and the host's, as they were when they were first asked for.
fn common_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a CA file of this host is ignored");
        }
        roots.add_parsable_certificates(native.certs);
        roots
    })
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Whether `pem` holds certificates that can be roots.
///
/// # Errors
/// As [`tls_config`] with it.
pub fn check_roots(pem: &NamedPem) -> Result<(), ClientError> {
    add_roots(&mut RootCertStore::empty(), pem)
}

fn add_roots(roots: &mut RootCertStore, pem: &NamedPem) -> Result<(), ClientError> {
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|source| ClientError::BadRoot {
                origin: pem.origin.clone(),
                source,
            })?;
    }
    Ok(())
}

/// The certificates of `pem`; at least one.
pub(crate) fn certificates(pem: &NamedPem) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let origin = || pem.origin.clone();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.pem).collect();
    let found = found.map_err(|source| ClientError::NotPem {
        origin: origin(),
        source,
    })?;
    match found.is_empty() {
        true => Err(ClientError::NoCertificate { origin: origin() }),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::LauncherPurpose;

    fn pem(text: &str) -> Vec<NamedPem> {
        vec![NamedPem {
            origin: "ca.pem".to_owned(),
            pem: text.as_bytes().to_vec(),
        }]
    }

    #[test]
    fn a_bad_ca_file_is_named() {
        let rows = [
            ("", "`ca.pem` holds no certificate"),
            ("no pem at all", "`ca.pem` holds no certificate"),
            (
                "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n",
                "`ca.pem` is not a PEM file of certificates",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "a certificate in `ca.pem` can't be used as a root",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(
                tls_config(&pem(text)).unwrap_err().to_string(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn clear_text_to_another_host_is_refused() {
        let url = Url::parse("http://gantry.example.org").unwrap();
        let refusal = client_builder(
            &url,
            &ClientOptions::new(LauncherPurpose::Server, "test", &Outside::default()),
        )
        .unwrap_err();
        assert!(matches!(refusal, ClientError::Insecure(_)), "{refusal}");
    }
}
