//! The AWS SDK's requests over the launcher's own HTTP client.
//!
//! Takes requests of the SDK, gives responses; roots, resolver and proxies are those of every other request of
//! the launcher. Never: clear text beyond this host, but to the metadata services; a metadata request through
//! a proxy.

use std::time::Duration;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use gantry_net::egress::LauncherPurpose;
use gantry_net::{
    ClientError, ClientOptions, Resolver, client_builder, metadata_client_builder,
    require_https_unless_loopback,
};
use reqwest::{Client, Method, Url};

/// One request to AWS, its answer included.
const REQUEST: Duration = Duration::from_secs(15);

/// A metadata service is one hop away or absent.
const METADATA_CONNECT: Duration = Duration::from_secs(1);
const METADATA_REQUEST: Duration = Duration::from_secs(5);

/// Largest answer that is read: tokens and credentials have a few thousand bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A client for AWS' public services.
pub(super) fn cloud(options: &ClientOptions) -> Result<SharedHttpClient, ClientError> {
    let any = |text: &str| Url::parse(text).expect("invariant: a valid URL");
    let build = |text| Ok::<_, ClientError>(client_builder(&any(text), options)?.timeout(REQUEST));
    let reach = Reach::Cloud {
        remote: finish(build("https://amazonaws.com")?),
        // AWS_ENDPOINT_URL may name a stand-in or a forwarder on this host.
        local: finish(build("http://127.0.0.1")?),
    };
    Ok(shared(reach))
}

/// A client for the metadata services of instances and tasks.
pub(super) fn metadata(options: &ClientOptions) -> Result<SharedHttpClient, ClientError> {
    let options = ClientOptions {
        purpose: LauncherPurpose::InstanceCredentials.into(),
        connect_timeout: METADATA_CONNECT,
        ..options.clone()
    };
    let builder = metadata_client_builder(&options)?.timeout(METADATA_REQUEST);
    Ok(shared(Reach::Metadata(finish(builder))))
}

fn finish(builder: reqwest::ClientBuilder) -> Client {
    builder
        .build()
        .expect("invariant: everything that could fail was built before")
}

fn shared(reach: Reach) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(reach);
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Clone, Debug)]
enum Reach {
    Cloud { remote: Client, local: Client },
    Metadata(Client),
}

impl HttpConnector for Reach {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let reach = self.clone();
        HttpConnectorFuture::new(async move { reach.send(request).await })
    }
}

impl Reach {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |error: &str| ConnectorError::user(error.into());
        let url = Url::parse(request.uri()).map_err(|e| ConnectorError::user(e.into()))?;
        let client = self.client_for(&url)?;
        let method = Method::from_bytes(request.method().as_bytes())
            .map_err(|e| ConnectorError::user(e.into()))?;
        let body = request.body().bytes();
        let body = body.ok_or_else(|| user("the request's body is a stream"))?;
        let mut outgoing = client.request(method, url).body(body.to_vec());
        for (name, value) in request.headers() {
            outgoing = outgoing.header(name, value);
        }
        receive(outgoing.send().await.map_err(failure)?).await
    }

    fn client_for(&self, url: &Url) -> Result<&Client, ConnectorError> {
        match self {
            Self::Metadata(client) => Ok(client),
            Self::Cloud { remote, local } => {
                require_https_unless_loopback(url).map_err(|e| ConnectorError::user(e.into()))?;
                Ok(if url.scheme() == "http" {
                    local
                } else {
                    remote
                })
            }
        }
    }
}

async fn receive(mut answer: reqwest::Response) -> Result<HttpResponse, ConnectorError> {
    let other = |error: &str| ConnectorError::other(error.into(), None);
    let status = StatusCode::try_from(answer.status().as_u16())
        .map_err(|_| other("the answer has no valid status"))?;
    let headers = std::mem::take(answer.headers_mut());
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            return Err(other("the answer is too long"));
        }
    }
    let mut response = HttpResponse::new(status, SdkBody::from(bytes));
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            // A header that the SDK can't hold is none that it would read.
            let (name, value) = (name.as_str().to_owned(), value.to_owned());
            let _ = response.headers_mut().try_append(name, value);
        }
    }
    Ok(response)
}

fn failure(error: reqwest::Error) -> ConnectorError {
    // Paths of task credentials are secrets of a kind.
    let error = error.without_url();
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_connect() {
        ConnectorError::io(error.into())
    } else {
        ConnectorError::other(error.into(), None)
    }
}

/// The launcher's resolver for the one lookup that the SDK makes by itself.
#[derive(Clone)]
pub(super) struct Names(pub(super) Resolver);

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl ResolveDns for Names {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move { self.0.lookup(name).await.map_err(ResolveDnsError::new) })
    }
}
