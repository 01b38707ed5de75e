//! Sends what the rules let through to the host, and nothing else.
//!
//! Takes an [`Admitted`] request (only the rules make one), gives the answer's head and then its body piece by piece.
//! Never: a request to another authority than the base's, a redirect followed that the rules have not seen, a body
//! decompressed or held as a whole.

mod base;
mod credential;
mod failure;
mod headers;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use gantry_net::{ClientError, ClientOptions, internal_client_builder};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::{Instant, timeout_at};

use crate::audit::Audit;
use crate::route::Pace;
use crate::rules::{Admitted, Asked, Rules};

pub use base::{Base, BaseError, JoinError};
pub use credential::{Credential, CredentialError};
pub use failure::{At, Class, Failure, chain};
pub use headers::{Whose, folded};

/// Most redirects that are followed.
const REDIRECTS: usize = 5;

/// How long exchanges may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A whole exchange that is no archive and no clone.
    pub short: Duration,
    /// A whole exchange that is one.
    pub bulk: Duration,
    /// Silence of the host within such a one.
    pub idle: Duration,
}

/// Who asks the host.
pub struct Forwarder {
    base: Base,
    client: reqwest::Client,
    credential: Option<Credential>,
    limits: Limits,
    identity: bool,
    audit: Audit,
}

/// How a forwarder is set up.
pub struct Setup {
    /// Where the host is.
    pub base: Base,
    /// CAs and name resolution.
    pub options: ClientOptions,
    /// What the agent shows instead of what the gateway sends.
    pub credential: Option<Credential>,
    /// How long exchanges may take.
    pub limits: Limits,
    /// Whether the host is told not to compress.
    pub identity: bool,
    /// Where dumps go.
    pub audit: Audit,
}

/// A request that is to be sent.
pub struct Outgoing<'a> {
    /// The gateway's name for it.
    pub id: &'a str,
    /// What the rules let through.
    pub admitted: &'a Admitted,
    /// As the gateway sent them.
    pub headers: HashMap<String, String>,
    /// As the gateway sent it.
    pub body: Bytes,
}

/// The answer.
pub struct Incoming {
    response: Response,
    headers: HeaderMap,
    idle: Duration,
    deadline: Instant,
}

impl Forwarder {
    /// Makes the client.
    ///
    /// # Errors
    /// The added roots can't be used, or the client can't be built.
    pub fn new(setup: Setup) -> Result<Self, SetupError> {
        let client = internal_client_builder(setup.base.url(), &setup.options)?;
        // What the host sends goes on as it is, whatever other parts of a build can decompress.
        let client = client.no_gzip().no_brotli().no_zstd().no_deflate();
        let client = client.build().map_err(SetupError::Client)?;
        Ok(Self {
            base: setup.base,
            client,
            credential: setup.credential,
            limits: setup.limits,
            identity: setup.identity,
            audit: setup.audit,
        })
    }

    /// When an exchange that begins now has to be over.
    pub fn deadline(&self, admitted: &Admitted) -> Instant {
        Instant::now()
            + match admitted.pace() {
                Pace::Short => self.limits.short,
                Pace::Bulk => self.limits.bulk,
            }
    }

    /// Sends, up to the head of the answer. Redirects are followed where they stay below the base and `rules` let the
    /// new request through; otherwise they are the answer.
    ///
    /// # Errors
    /// See [`Class`].
    pub async fn send(
        &self,
        rules: &Rules,
        outgoing: Outgoing<'_>,
        deadline: Instant,
    ) -> Result<Incoming, Failure> {
        let Outgoing {
            id,
            admitted,
            headers,
            body,
        } = outgoing;
        // What is filtered here has to be readable here.
        let identity = self.identity || admitted.filter().is_some();
        let headers = self.headers(headers, &body, identity)?;
        let method = Method::from_bytes(admitted.method().as_str().as_bytes());
        let method = method.map_err(|error| made(&error))?;
        let mut url = self.url(admitted).map_err(|error| made(&error))?;
        let mut left = REDIRECTS;
        loop {
            let shown = Shown {
                id,
                method: &method,
                url: &url,
                headers: &headers,
            };
            let response = self.exchange(&shown, body.clone(), deadline).await?;
            let next = self.next(rules, &method, &url, &response);
            match next {
                Some(next) if left > 0 => {
                    left -= 1;
                    url = next;
                }
                _ => return Ok(self.incoming(response, deadline)),
            }
        }
    }

    fn incoming(&self, mut response: Response, deadline: Instant) -> Incoming {
        let answered = std::mem::take(response.headers_mut());
        Incoming {
            headers: headers::to_gateway(answered, self.whose()),
            response,
            idle: self.limits.idle,
            deadline,
        }
    }

    fn whose(&self) -> Whose {
        match self.credential {
            Some(_) => Whose::Agents,
            None => Whose::Gateways,
        }
    }

    fn url(&self, admitted: &Admitted) -> Result<Url, JoinError> {
        self.base.reach(admitted.target(), admitted.place())
    }

    fn headers(
        &self,
        sent: HashMap<String, String>,
        body: &[u8],
        identity: bool,
    ) -> Result<HeaderMap, Failure> {
        let mut headers =
            headers::to_host(sent, self.whose(), identity).map_err(|error| made(&error))?;
        if names_a_method(&headers, body) {
            let cause = "the form body has a `_method`, which is another method than the one that was checked";
            return Err(Failure {
                at: At::Making,
                class: Class::Other,
                cause: cause.into(),
            });
        }
        if let Some(credential) = &self.credential {
            let shown = credential.now().map_err(|error| Failure {
                at: At::Making,
                class: Class::Credential,
                cause: chain(&error),
            })?;
            headers.insert(shown.name, shown.value);
        }
        Ok(headers)
    }

    async fn exchange(
        &self,
        shown: &Shown<'_>,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let Shown {
            id,
            method,
            url,
            headers,
        } = shown;
        let target = url.query().map_or_else(
            || url.path().to_owned(),
            |query| format!("{}?{query}", url.path()),
        );
        self.audit.dump(id, &format!("{method} {target}"), headers);
        let mut request = self
            .client
            .request((*method).clone(), (*url).clone())
            .headers((*headers).clone());
        if !body.is_empty() || !matches!(**method, Method::GET | Method::HEAD) {
            request = request.body(body);
        }
        let silent = deadline.min(Instant::now() + self.limits.idle);
        let answered = timeout_at(silent, request.send()).await;
        let answered =
            answered.map_err(|_| Failure::timed_out(At::Asking, "no answer within the limit"))?;
        let response = answered.map_err(|error| Failure::of(At::Asking, &error))?;
        self.audit
            .dump(id, response.status().as_str(), response.headers());
        Ok(response)
    }

    /// Where a redirect leads, if it may be followed.
    fn next(
        &self,
        rules: &Rules,
        method: &Method,
        asked: &Url,
        response: &Response,
    ) -> Option<Url> {
        let follows = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if !follows || !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let (target, place) = self.base.below(asked, location)?;
        let again = Asked {
            method: method.as_str(),
            target: &target,
            body: b"",
        };
        let admitted = rules.admit(&again).ok()?;
        // A list that has to be filtered must not be reached by way of something that has not.
        if admitted.filter().is_some() || admitted.place() != place {
            return None;
        }
        self.url(&admitted).ok()
    }
}

/// A request as it goes out.
struct Shown<'a> {
    id: &'a str,
    method: &'a Method,
    url: &'a Url,
    headers: &'a HeaderMap,
}

/// Why there is no forwarder.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The roots.
    #[error(transparent)]
    Roots(#[from] ClientError),
    /// The client.
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
}

impl Incoming {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers that go to the gateway.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The host is silent for too long, the whole limit passes, or the connection breaks.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let silent = self.deadline.min(Instant::now() + self.idle);
        let piece = timeout_at(silent, self.response.chunk()).await;
        let piece = piece
            .map_err(|_| Failure::timed_out(At::Reading, "no more of the body within the limit"))?;
        piece.map_err(|error| Failure::of(At::Reading, &error))
    }
}

fn made(error: &dyn std::error::Error) -> Failure {
    Failure {
        at: At::Making,
        class: Class::Other,
        cause: chain(error),
    }
}

/// Whether a form body names the method that it wants to be taken for, as some frameworks accept it.
fn names_a_method(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .map(|value| value.as_bytes().to_ascii_lowercase());
    let form = kind.is_some_and(|kind| {
        kind.starts_with(b"application/x-www-form-urlencoded") || kind.starts_with(b"multipart/")
    });
    let word = b"method";
    form && body
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}
