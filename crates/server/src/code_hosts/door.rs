//! How requests reach a code host.
//!
//! Takes the URL of an API, gives the one way there: directly over `https`, or through an agent of a pool. Never: a
//! redirect followed by itself, or a header of one host at another.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use gantry_net::egress::ServerPurpose;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};

use super::HostError;
use super::ask::Ask;
use super::through::Through;
use crate::app::App;
use crate::domain::VcsPoolId;
use crate::gateway::{self, Gateway};
use crate::outgoing::{Line, Networks, check_url};

/// What a host answered.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it comes.
    pub body: BoxStream<'static, Result<Bytes, HostError>>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// The whole body, if it has at most `limit` bytes; nothing if it is longer.
    pub(super) async fn bytes(mut self, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.body.next().await {
            let piece = piece?;
            if all.len() + piece.len() > limit {
                return Ok(None);
            }
            all.extend_from_slice(&piece);
        }
        Ok(Some(all.into()))
    }
}

/// The way to a host's API.
#[derive(Debug)]
pub(super) enum Door {
    /// Over the network.
    Direct {
        /// A client for the host's addresses.
        line: Line,
        /// The API's URL, without a slash at the end.
        base: String,
        /// Who else may be spoken to.
        networks: Networks,
    },
    /// Through an agent.
    Agent {
        gateway: Gateway,
        pool: VcsPoolId,
        /// The pool's name, for people.
        name: String,
        /// Where the API begins below the agent's base, with a slash before it and none at the end.
        path: String,
    },
}

impl Door {
    /// The door to an API, for an integration of this space.
    pub(super) async fn open(app: &App, api_url: &str, space: &str) -> Result<Self, HostError> {
        if let Some(through) = Through::find(&app.store, api_url, space).await? {
            let path = through.path.trim_end_matches('/');
            return Ok(Self::Agent {
                gateway: app.gateway.clone(),
                pool: through.pool,
                name: through.name,
                path: match path {
                    "" => String::new(),
                    path => format!("/{path}"),
                },
            });
        }
        let url = check_url(api_url)?;
        Ok(Self::Direct {
            line: Line::open(ServerPurpose::CodeHosts, &app.networks, &url).await?,
            base: api_url.trim_end_matches('/').to_owned(),
            networks: app.networks.clone(),
        })
    }

    /// The name of the host, for errors.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Direct { base, .. } => {
                let host = base
                    .split_once("://")
                    .map_or(base.as_str(), |(_, rest)| rest);
                let host = host.split('/').next().unwrap_or_default();
                format!("`{host}`")
            }
            Self::Agent { name, .. } => format!("the host behind VCS agent pool `{name}`"),
        }
    }

    /// Sends a request; any status is an answer.
    pub(super) async fn send(
        &self,
        ask: &Ask,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<Answer, HostError> {
        let headers = with_body(ask, headers);
        match self {
            Self::Direct { line, base, .. } => {
                let url = check_url(&format!("{base}{}", ask.target))?;
                let request = line.client().request(ask.method.clone(), url);
                let request = request.headers(headers).timeout(limit);
                let request = match &ask.body {
                    Some(body) => request.body(body.clone()),
                    None => request,
                };
                direct(line, request).await
            }
            Self::Agent {
                gateway,
                pool,
                path,
                ..
            } => {
                let target = format!("{path}{}", ask.target);
                let body = Bytes::from(ask.body.clone().unwrap_or_default());
                let through = gateway::Ask {
                    purpose: ask.purpose,
                    method: ask.method.clone(),
                    target,
                    headers,
                    body,
                    limit,
                };
                carried(gateway, pool, through).await
            }
        }
    }

    /// Follows a redirect of an archive, once, to the host itself or to the part of it that serves archives. What
    /// opens it is in its address.
    pub(super) async fn follow(
        &self,
        ask: &Ask,
        location: &str,
        limit: Duration,
    ) -> Result<Answer, HostError> {
        let elsewhere = || HostError::Elsewhere {
            host: self.host(),
            purpose: ask.purpose,
        };
        match self {
            Self::Direct { base, networks, .. } => {
                let base = Url::parse(base).map_err(|_| elsewhere())?;
                let url = base.join(location).map_err(|_| elsewhere())?;
                if !serves_archives(&base, &url) {
                    return Err(elsewhere());
                }
                let url = check_url(url.as_str())?;
                let line = Line::open(ServerPurpose::CodeHosts, networks, &url).await?;
                let request = line.client().get(url).timeout(limit);
                direct(&line, request.header(ACCEPT, ask.accept)).await
            }
            Self::Agent { gateway, pool, .. } => {
                let through = gateway::Ask {
                    purpose: ask.purpose,
                    method: ask.method.clone(),
                    target: behind_agent(location).ok_or_else(elsewhere)?,
                    headers: with_body(ask, HeaderMap::new()),
                    body: Bytes::new(),
                    limit,
                };
                carried(gateway, pool, through).await
            }
        }
    }
}

fn with_body(ask: &Ask, mut headers: HeaderMap) -> HeaderMap {
    headers.insert(ACCEPT, HeaderValue::from_static(ask.accept));
    if ask.body.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
    }
    headers
}

async fn direct(line: &Line, request: reqwest::RequestBuilder) -> Result<Answer, HostError> {
    let answer = line.send(request).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let broken = line.breaks();
    let body = answer
        .bytes_stream()
        .map_err(move |error| HostError::Send(broken(error)))
        .boxed();
    Ok(Answer {
        status,
        headers,
        body,
    })
}

async fn carried(
    gateway: &Gateway,
    pool: &VcsPoolId,
    ask: gateway::Ask,
) -> Result<Answer, HostError> {
    let answer = gateway.send(pool, ask).await?;
    Ok(Answer {
        status: answer.status,
        headers: answer.headers,
        body: answer.body.map_err(HostError::from).boxed(),
    })
}

/// What an agent is asked for instead of where a redirect leads: the host is its own. Below `codeload.` archives have
/// paths that agents know by themselves.
fn behind_agent(location: &str) -> Option<String> {
    if location.starts_with('/') {
        return Some(location.to_owned()).filter(|path| !path.starts_with("//"));
    }
    let url = Url::parse(location).ok()?;
    let query = url
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let is_http = matches!(url.scheme(), "https" | "http");
    is_http.then(|| format!("{}{query}", url.path()))
}

/// Whether a URL is the host's own, or that of `codeload.` before it: GitHub serves archives there.
fn serves_archives(base: &Url, url: &Url) -> bool {
    let (Some(host), Some(to)) = (base.host_str(), url.host_str()) else {
        return false;
    };
    let bare = host.strip_prefix("api.").unwrap_or(host);
    let known = to == host || to.strip_prefix("codeload.") == Some(bare);
    let port = base.port_or_known_default() == url.port_or_known_default();
    known && port && base.scheme() == url.scheme() && url.username().is_empty()
}

/// Where GitHub serves archives of the host whose API is at `api`.
pub fn archives(api: &Url) -> Option<Url> {
    let host = api.host_str()?;
    let mut url = api.clone();
    let host = format!("codeload.{}", host.strip_prefix("api.").unwrap_or(host));
    url.set_host(Some(&host)).ok()?;
    serves_archives(api, &url).then_some(url)
}

/// A header whose value is shown nowhere.
pub(super) fn secret_header(name: &'static str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name.to_ascii_lowercase().parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_asked_for_paths_alone() {
        for (to, expected) in [
            (
                "/_codeload/a/b/legacy.tar.gz/c?token=t",
                Some("/_codeload/a/b/legacy.tar.gz/c?token=t"),
            ),
            (
                "https://codeload.ghe.example/a/b/legacy.tar.gz/c?token=t",
                Some("/a/b/legacy.tar.gz/c?token=t"),
            ),
            ("//evil.example/x", None),
            ("ftp://ghe.example/x", None),
            ("x", None),
        ] {
            assert_eq!(behind_agent(to).as_deref(), expected, "{to}");
        }
    }

    #[test]
    fn archives_come_from_the_host_alone() {
        for (base, to, expected) in [
            (
                "https://api.github.com",
                "https://codeload.github.com/a/b/legacy.tar.gz/c?token=x",
                true,
            ),
            (
                "https://ghe.example/api/v3",
                "https://ghe.example/_codeload/a/b",
                true,
            ),
            (
                "https://ghe.example/api/v3",
                "https://codeload.ghe.example/a/b",
                true,
            ),
            (
                "https://ghe.example/api/v3",
                "https://codeload.ghe.example.evil/a/b",
                false,
            ),
            (
                "https://ghe.example/api/v3",
                "https://evil.example/a",
                false,
            ),
            ("https://ghe.example/api/v3", "http://ghe.example/a", false),
            (
                "https://ghe.example/api/v3",
                "https://ghe.example:8443/a",
                false,
            ),
            (
                "https://ghe.example/api/v3",
                "https://x@ghe.example/a",
                false,
            ),
        ] {
            let parsed = |text: &str| Url::parse(text).unwrap();
            assert_eq!(
                serves_archives(&parsed(base), &parsed(to)),
                expected,
                "{to}"
            );
        }
    }
}
