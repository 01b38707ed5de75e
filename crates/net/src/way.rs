//! What an operator is told when a connection fails on its way out: which proxy, by which variable, and what to do.
//!
//! Takes the errors of connecting, gives [`WayError`]s in their place where there is more to say. Never: a proxy's login
//! in a text, or another error hidden (what is not understood goes on as it is).

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::CertificateError;
use tower_layer::Layer;
use tower_service::Service;

use crate::proxy::Proxy;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The proxy asks for a login and the URL has none.
    #[error("the proxy {0} wants a login: write it into the URL, `http://user:password@…`")]
    LoginWanted(String),
    /// The proxy asks for another login.
    #[error("the proxy {0} does not take the login in its URL")]
    LoginRefused(String),
    /// No connection to the proxy.
    #[error("the proxy {proxy} can't be reached")]
    Away {
        /// Place and variable.
        proxy: String,
        /// Why.
        source: BoxError,
    },
    /// The proxy is there, and makes no connection.
    #[error("the proxy {proxy} made no connection to the host")]
    NoTunnel {
        /// Place and variable.
        proxy: String,
        /// What it said.
        source: BoxError,
    },
    /// The certificate's CA is not known, and a proxy is on the way.
    #[error(
        "the certificate that came through the proxy {proxy} is by a CA that is not known here; where that proxy looks into TLS, add its CA (ADDITIONAL_ROOT_CAS or GANTRY_CA_FILES)"
    )]
    UnknownCaBehind {
        /// Place and variable.
        proxy: String,
        /// The handshake.
        source: BoxError,
    },
    /// The certificate's CA is not known.
    #[error(
        "the certificate is by a CA that is not known here; if it is right, add its CA (ADDITIONAL_ROOT_CAS or GANTRY_CA_FILES)"
    )]
    UnknownCa {
        /// The handshake.
        source: BoxError,
    },
    /// Nothing was heard in time.
    #[error("no connection through the proxy {proxy} within {} s", limit.as_secs())]
    Silent {
        /// Place and variable.
        proxy: String,
        /// The limit.
        limit: Duration,
        /// For those who ask for its kind.
        source: io::Error,
    },
}

impl WayError {
    /// Whether a proxy is what failed.
    pub fn is_proxy(&self) -> bool {
        !matches!(self, Self::UnknownCa { .. } | Self::UnknownCaBehind { .. })
    }

    /// What a proxy means that asks for a login.
    pub(crate) fn login(proxy: &Proxy) -> Self {
        match proxy.has_login() {
            true => Self::LoginRefused(proxy.to_string()),
            false => Self::LoginWanted(proxy.to_string()),
        }
    }

    /// What `error` of connecting means where `proxy` was on the way, and the error itself where it means no more than
    /// it says. `clear`: the connection to the proxy is all that there was to make.
    pub fn of(proxy: Option<&Proxy>, clear: bool, error: BoxError) -> BoxError {
        let tunnel = causes(&*error).find_map(tunnel);
        let unknown_ca = causes(&*error).any(unknown_ca);
        let Some(known) = proxy else {
            return match unknown_ca {
                true => Self::UnknownCa { source: error }.into(),
                false => error,
            };
        };
        let proxy = known.to_string();
        match tunnel {
            Some(Tunnel::Login) => Self::login(known).into(),
            Some(Tunnel::NotConnected) => Self::Away {
                proxy,
                source: error,
            }
            .into(),
            Some(Tunnel::Refused) => Self::NoTunnel {
                proxy,
                source: error,
            }
            .into(),
            None if unknown_ca => Self::UnknownCaBehind {
                proxy,
                source: error,
            }
            .into(),
            None if clear => Self::Away {
                proxy,
                source: error,
            }
            .into(),
            None => error,
        }
    }
}

enum Tunnel {
    Login,
    NotConnected,
    Refused,
}

/// The client's own type for this can't be named.
fn tunnel(cause: &(dyn Error + 'static)) -> Option<Tunnel> {
    let text = cause.to_string();
    let said = text.strip_prefix("tunnel error: ")?;
    Some(match said {
        "proxy authorization required" => Tunnel::Login,
        "failed to create underlying connection" => Tunnel::NotConnected,
        _ => Tunnel::Refused,
    })
}

fn unknown_ca(cause: &(dyn Error + 'static)) -> bool {
    let of = |error: &rustls::Error| {
        matches!(
            error,
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
        )
    };
    cause.downcast_ref().is_some_and(of)
}

/// The error and its causes; an I/O error may hold another error that is not its source.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| inner(*cause))
}

fn inner<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let held = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    held.map(|held| held as &(dyn Error + 'static))
        .or_else(|| cause.source())
}

/// What programs on curl (git is one) mean by `said` where `proxy` was on the way; nothing where it is something else.
pub fn means_of_curl(said: &str, proxy: Option<&Proxy>) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let known = proxy.map(ToString::to_string);
    if has(&[
        "certificate verification failed",
        "local issuer",
        "self-signed certificate",
        "self signed certificate",
    ]) {
        let source = String::new().into();
        let meant = match known {
            Some(proxy) => WayError::UnknownCaBehind { proxy, source },
            None => WayError::UnknownCa { source },
        };
        return Some(meant.to_string());
    }
    let (place, known) = (proxy?, known?);
    if has(&["code 407", "response 407", "error: 407"]) {
        return Some(WayError::login(place).to_string());
    }
    if has(&[
        "Could not resolve proxy",
        "Failed to connect",
        "Couldn't connect",
    ]) {
        return Some(format!("the proxy {known} can't be reached"));
    }
    has(&["from proxy after CONNECT", "CONNECT tunnel failed"])
        .then(|| format!("the proxy {known} made no connection to the host"))
}

/// Puts [`WayError`]s in the place of a client's connect errors, and limits the time of connecting.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) proxy: Option<Proxy>,
    pub(crate) clear: bool,
    pub(crate) limit: Duration,
}

impl<S> Layer<S> for Named {
    type Service = Naming<S>;

    fn layer(&self, inner: S) -> Naming<S> {
        Naming {
            inner,
            named: self.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Naming<S> {
    inner: S,
    named: Named,
}

impl<S, R> Service<R> for Naming<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let Named {
            proxy,
            clear,
            limit,
        } = self.named.clone();
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(WayError::of(proxy.as_ref(), clear, error)),
                Err(_) => Err(silent(proxy.as_ref(), limit)),
            }
        })
    }
}

fn silent(proxy: Option<&Proxy>, limit: Duration) -> BoxError {
    let source = io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no connection within {} s", limit.as_secs()),
    );
    match proxy {
        Some(proxy) => WayError::Silent {
            proxy: proxy.to_string(),
            limit,
            source,
        }
        .into(),
        None => source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outside;

    fn proxy(url: &str) -> Proxy {
        let get = |name: &str| (name == "HTTPS_PROXY").then(|| url.to_owned());
        let outside = Outside::read(&get).unwrap();
        outside.proxies.https().unwrap().clone()
    }

    #[test]
    fn what_git_says_of_a_proxy() {
        let (bare, with) = (proxy("http://p:3128"), proxy("http://a:hunter2@p:3128"));
        let refused = "fatal: unable to access 'https://h/': CONNECT tunnel failed, response 407";
        let old =
            "fatal: unable to access 'https://h/': Received HTTP code 407 from proxy after CONNECT";
        let away = "fatal: unable to access 'https://h/': Failed to connect to p port 3128: Connection refused";
        let no =
            "fatal: unable to access 'https://h/': Received HTTP code 403 from proxy after CONNECT";
        let ca = "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none";
        let rows = [
            (
                Some(&bare),
                refused,
                "the proxy http://p:3128 (HTTPS_PROXY) wants a login",
            ),
            (
                Some(&with),
                old,
                "the proxy http://p:3128 (HTTPS_PROXY) does not take the login",
            ),
            (
                Some(&bare),
                away,
                "the proxy http://p:3128 (HTTPS_PROXY) can't be reached",
            ),
            (
                Some(&bare),
                no,
                "the proxy http://p:3128 (HTTPS_PROXY) made no connection",
            ),
            (
                Some(&with),
                ca,
                "the certificate that came through the proxy http://p:3128",
            ),
            (
                None,
                ca,
                "the certificate is by a CA that is not known here",
            ),
        ];
        for (proxy, said, expected) in rows {
            let meant = means_of_curl(said, proxy).unwrap();
            assert!(meant.starts_with(expected), "{meant}");
            assert!(!meant.contains("hunter2"));
        }
        assert_eq!(means_of_curl(away, None), None);
        assert_eq!(
            means_of_curl("fatal: repository not found", Some(&bare)),
            None
        );
    }
}
