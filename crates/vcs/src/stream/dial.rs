//! How a connection to the gateway is made.
//!
//! Takes the gateway's `host:port`, gives bytes both ways: through the operator's proxy if there is one for
//! that host, with our TLS or, if the operator said so, without. Never: a name resolved by libc, a loopback address
//! sent to a proxy, TLS that offers anything but HTTP/2.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gantry_net::{BoxError, ClientError, Outside, Proxies, Proxy, Resolver, WayError, tls_config};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tonic::codegen::http::{Uri, uri::InvalidUri};
use tower_service::Service;

/// Longest time for names, TCP, proxy and TLS together.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection that says nothing for this long is asked whether it still lives, by TCP itself: the only way with a
/// gateway that forbids HTTP/2 pings.
const PROBE_AFTER: Duration = Duration::from_secs(20);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Why the gateway can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The token's host is not `host:port`.
    #[error("the token's host `{host}` is not `host:port`")]
    NotAHost {
        /// As the token has it.
        host: String,
        /// What the parser said.
        source: InvalidUri,
    },
    /// As [`DialError::NotAHost`], where the parser had nothing against it.
    #[error("the token's host `{0}` is not `host:port`")]
    NoHost(String),
    /// The added roots.
    #[error(transparent)]
    Roots(#[from] ClientError),
    /// Name or TCP.
    #[error("the gateway `{host}` can't be connected to")]
    Tcp {
        /// `host:port`.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// The way there; what is on it.
    #[error("the gateway `{host}` can't be reached")]
    Way {
        /// `host:port`.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// A name that no certificate can be for.
    #[error("no certificate can be for `{host}`")]
    NotAName {
        /// The host.
        host: String,
        /// Why.
        source: InvalidDnsNameError,
    },
    /// The handshake.
    #[error("TLS with `{host}` failed")]
    Tls {
        /// `host:port`.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// The gateway speaks TLS but not HTTP/2.
    #[error("`{host}` speaks TLS but no HTTP/2: is it the VCS gateway's address?")]
    NoHttp2 {
        /// `host:port`.
        host: String,
    },
    /// Nothing happened for too long.
    #[error("the gateway `{host}` didn't answer within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// `host:port`.
        host: String,
    },
}

/// Bytes both ways.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

type Wire = TokioIo<Box<dyn Pipe>>;

/// Connects to one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Dialler {
    shared: Arc<Shared>,
    tcp: HttpConnector<Names>,
}

struct Shared {
    /// `https://host:port`.
    gateway: Uri,
    tls: Option<Arc<ClientConfig>>,
    /// What leads there; looked up as for TLS, with TLS or without.
    proxy: Option<Proxy>,
    /// For a proxy that itself speaks TLS.
    proxy_tls: Arc<ClientConfig>,
}

impl Dialler {
    /// For the gateway at `host` (`host:port`), reached by `outside`.
    ///
    /// # Errors
    /// `host` is no such thing, or the added CAs can't be used.
    pub fn new(
        host: &str,
        outside: &Outside,
        resolver: Resolver,
        insecure: bool,
    ) -> Result<Self, DialError> {
        let gateway = gateway_uri(host)?;
        let proxy = proxy(&gateway, &outside.proxies);
        let mut proxy_tls = tls_config(&outside.roots)?;
        proxy_tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut tls = tls_config(&outside.roots)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let mut tcp = HttpConnector::new_with_resolver(Names(resolver));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(PROBE_AFTER));
        tcp.set_keepalive_interval(Some(PROBE_EVERY));
        tcp.set_keepalive_retries(Some(PROBES));
        // Bytes that nobody acknowledges are a cut, long before TCP itself gives up after a quarter of an hour.
        tcp.set_tcp_user_timeout(Some(PROBE_AFTER + PROBE_EVERY * PROBES));
        let shared = Shared {
            gateway,
            tls: (!insecure).then(|| Arc::new(tls)),
            proxy,
            proxy_tls: Arc::new(proxy_tls),
        };
        Ok(Self {
            shared: Arc::new(shared),
            tcp,
        })
    }

    /// What HTTP/2 calls the gateway: scheme and `host:port`.
    pub fn origin(&self) -> Uri {
        let authority = self.shared.authority();
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let text = format!("{scheme}://{authority}");
        text.parse().expect("invariant: parsed with another scheme")
    }

    async fn dial(self) -> Result<Wire, DialError> {
        let host = self.shared.authority();
        let whole = tokio::time::timeout(PATIENCE, self.connect());
        whole.await.unwrap_or(Err(DialError::TimedOut { host }))
    }

    async fn connect(mut self) -> Result<Wire, DialError> {
        let shared = Arc::clone(&self.shared);
        let pipe: Box<dyn Pipe> = match &shared.proxy {
            Some(proxy) => self.tunnel(proxy).await?,
            None => {
                let tcp = self.tcp.call(shared.gateway.clone()).await;
                let tcp = tcp.map_err(|source| DialError::Tcp {
                    host: shared.authority(),
                    source: source.into(),
                })?;
                Box::new(tcp.into_inner())
            }
        };
        let Some(config) = &shared.tls else {
            return Ok(TokioIo::new(pipe));
        };
        let tls = handshake(config, &shared.gateway, pipe, shared.proxy.as_ref()).await?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(DialError::NoHttp2 {
                host: shared.authority(),
            });
        }
        Ok(TokioIo::new(Box::new(tls)))
    }

    async fn tunnel(self, proxy: &Proxy) -> Result<Box<dyn Pipe>, DialError> {
        let shared = self.shared;
        let connector = ToProxy {
            tcp: self.tcp,
            tls: Arc::clone(&shared.proxy_tls),
        };
        let matcher = Matcher::builder().all(proxy.url().expose().to_owned());
        let way = matcher.build().intercept(&shared.gateway);
        let way = way.expect("invariant: the URL of a proxy was read, and nothing is excepted");
        let mut tunnel = Tunnel::new(way.uri().clone(), connector);
        if let Some(login) = way.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        let through = tunnel.call(shared.gateway.clone()).await;
        let through = through.map_err(|source| DialError::Way {
            host: shared.authority(),
            source: WayError::of(Some(proxy), false, source.into()),
        })?;
        Ok(through.into_inner())
    }
}

impl Service<Uri> for Dialler {
    type Response = Wire;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, DialError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

impl Shared {
    fn authority(&self) -> String {
        let authority = self.gateway.authority();
        authority.map(ToString::to_string).unwrap_or_default()
    }
}

/// Connects to a proxy, with TLS if its address says so.
struct ToProxy {
    tcp: HttpConnector<Names>,
    tls: Arc<ClientConfig>,
}

impl Service<Uri> for ToProxy {
    type Response = Wire;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let (mut tcp, tls) = (self.tcp.clone(), Arc::clone(&self.tls));
        Box::pin(async move {
            let pipe = tcp.call(proxy.clone()).await?.into_inner();
            let pipe: Box<dyn Pipe> = if proxy.scheme_str() == Some("https") {
                Box::new(handshake(&tls, &proxy, Box::new(pipe), None).await?)
            } else {
                Box::new(pipe)
            };
            Ok(TokioIo::new(pipe))
        })
    }
}

async fn handshake(
    config: &Arc<ClientConfig>,
    uri: &Uri,
    pipe: Box<dyn Pipe>,
    through: Option<&Proxy>,
) -> Result<tokio_rustls::client::TlsStream<Box<dyn Pipe>>, DialError> {
    let host = uri.host().unwrap_or_default().to_owned();
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name = ServerName::try_from(bare).map_err(|source| DialError::NotAName {
        host: host.clone(),
        source,
    })?;
    let connector = TlsConnector::from(Arc::clone(config));
    let tls = connector.connect(name, pipe).await;
    tls.map_err(|source| DialError::Tls {
        host,
        source: WayError::of(through, false, source.into()),
    })
}

/// The operator's proxy for a gateway.
fn proxy(gateway: &Uri, proxies: &Proxies) -> Option<Proxy> {
    let url = url::Url::parse(&gateway.to_string()).ok()?;
    proxies.of(&url).cloned()
}

/// Our resolver, as hyper asks for one.
#[derive(Clone)]
struct Names(Resolver);

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = gantry_net::ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.lookup(name.as_str()).await?;
            let sockets: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(sockets.into_iter())
        })
    }
}

/// `host` as the authority of a URL and nothing more.
fn gateway_uri(host: &str) -> Result<Uri, DialError> {
    let uri: Uri = format!("https://{host}")
        .parse()
        .map_err(|source| DialError::NotAHost {
            host: host.to_owned(),
            source,
        })?;
    let plain = uri.authority().is_some_and(|found| found.as_str() == host);
    if !plain || host.contains('@') || uri.port().is_none() {
        return Err(DialError::NoHost(host.to_owned()));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_a_host_and_a_port_and_nothing_else() {
        for host in ["gateway.example.com:443", "10.0.0.1:1984", "[::1]:1984"] {
            assert!(gateway_uri(host).is_ok(), "{host}");
        }
        let refused = [
            "",
            "gateway.example.com",
            "https://g:443",
            "g:443/path",
            "me@g:443",
            "g:443?x",
            "g:443#x",
            "g:x",
            "g :1",
        ];
        for host in refused {
            assert!(gateway_uri(host).is_err(), "{host}");
        }
    }
}
